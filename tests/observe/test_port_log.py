# SPDX-License-Identifier: GPL-2.0-or-later
"""The log of port accesses beside an observer in Python that forgets nothing."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hyperport import Device
from hyperport.bus.access import Direction, PortAccess, Space
from hyperport.bus.port_bus import PortBus
from hyperport.engines.shared.scripted_vcpu import ScriptedVcpu
from hyperport.io.exit import ExitPath
from hyperport.memory.ram import GuestMemory
from hyperport.observe.port_log import PortLog

from .accesses import Drawn, make

ENTRIES = 65536
DATA_SIZE = 1 << 20
PORTS = st.sampled_from([0x80, 0x81, 0x300, 0xFFFF])
ACCESS = st.tuples(
    PORTS, st.sampled_from([1, 2, 4]), st.booleans(), st.integers(0, 0xFFFFFFFF), st.sampled_from([1, 2, 70_000])
)


def observed(ports: list[int] | None = None) -> tuple[PortBus, PortLog, list[PortAccess]]:
    bus, log, seen = PortBus(), PortLog(ports), list[PortAccess]()
    bus.observe(log)
    bus.observe(seen.append)
    return bus, log, seen


@given(st.lists(ACCESS, max_size=40))
def test_what_is_kept_is_the_end_of_what_was_seen(accesses: list[Drawn]) -> None:
    bus, log, seen = observed()
    make(bus, accesses)
    kept = log.accesses()
    assert kept == seen[len(seen) - len(kept) :]
    lost = seen[: len(seen) - len(kept)]
    assert sum(len(row.data) for row in kept) <= DATA_SIZE
    assert not lost or sum(len(row.data) for row in seen[-len(kept) - 1 :]) > DATA_SIZE
    for port in (0x80, 0x81, 0x300, 0xFFFF):
        assert log.complete(port) == (port not in {row.port for row in lost})
        assert log.accesses(port) == [row for row in kept if row.port == port]
    assert log.accesses(limit=3) == kept[-3:]


def test_a_full_log_forgets_the_oldest_and_says_for_which_port() -> None:
    bus, log, _ = observed()
    bus.inp(0x300)
    for _ in range(ENTRIES):
        bus.outp(0x80, 1, 7)
    assert not log.complete(0x300)
    assert log.complete(0x80)
    assert len(log.accesses(0x80)) == ENTRIES
    bus.outp(0x80, 1, 8)
    assert not log.complete(0x80)
    assert log.accesses(limit=1)[0].value == 8
    log.clear()
    assert log.accesses() == []
    assert log.complete(0x80)


def test_a_string_larger_than_the_log_is_not_in_it() -> None:
    bus, log, _ = observed()
    bus.outp_block(0x80, 1, bytes(DATA_SIZE + 1))
    assert log.accesses() == []
    assert not log.complete(0x80)


def test_only_wanted_ports_are_recorded() -> None:
    bus, log, _ = observed([0x300])
    bus.inp(0x80)
    bus.outp(0x300, 2, 0x1234)
    assert [(row.direction, row.port, row.size, row.value) for row in log.accesses()] == [
        (Direction.OUT, 0x300, 2, 0x1234)
    ]
    assert log.complete(0x300)
    assert not log.complete(0x80)


class Card(Device):
    memory_span = 8192


def test_device_memory_is_kept_beside_ports_and_is_whole_or_not_as_a_whole() -> None:
    memory = GuestMemory(2 << 20)
    bus, log, _ = observed()
    few = PortLog([0x80])
    bus.observe(few)
    bus.attach_memory(memory.map, Card(), 0xE0000000)
    vcpu = ScriptedVcpu(ExitPath(bus), memory)
    vcpu.load_store(Direction.OUT, 0xE0000080, 4, 0x12345678)
    bus.outp(0x80, 1, 7)
    vcpu.load_store(Direction.IN, 0xE0000080, 2)
    assert [(row.space, row.port, row.direction, row.size) for row in log.accesses()] == [
        (Space.MEMORY, 0xE0000080, Direction.OUT, 4),
        (Space.PORT, 0x80, Direction.OUT, 1),
        (Space.MEMORY, 0xE0000080, Direction.IN, 2),
    ]
    assert [row.value for row in log.accesses(0xE0000080, space=Space.MEMORY)] == [0x12345678, 0xFFFF]
    assert log.accesses(0xE0000080, space=Space.PORT) == []
    assert log.complete(0, Space.MEMORY)
    assert not few.complete(0, Space.MEMORY)
    assert [row.port for row in few.accesses()] == [0x80]
    for _ in range(ENTRIES):
        bus.outp(0x80, 1, 7)
    assert not log.complete(0, Space.MEMORY)
    log.clear()
    assert log.complete(0, Space.MEMORY)
