# SPDX-License-Identifier: GPL-2.0-or-later
"""Traces as they are recorded and read again, beside an observer in Python that forgets nothing."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import hyperport
from hyperport.bus.access import Direction, PortAccess, Space
from hyperport.bus.port_bus import PortBus
from hyperport.cpu.state import protected_flat
from hyperport.errors import ConfigError, StateError
from hyperport.guests.registry import locate
from hyperport.lines.irq import IrqLine
from hyperport.observe.filter import compile_filter
from hyperport.observe.recorder import SMALLEST_RING, LineRecorder, Recorder
from hyperport.observe.text_trace import TextTrace
from hyperport.observe.trace import Trace, TraceSpec
from hyperport.observe.trace_decode import HEADER_SIZE, Decoder, LineChange, TracedAccess
from hyperport.observe.trace_file import TraceFile
from hyperport.outcome import GuestExit
from hyperport.time.clock import Clock, RealClock, VirtualClock

from .accesses import Drawn, make

ONE_FOLDER = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
CODE = 0x10_0000
ACCESS = st.tuples(
    st.sampled_from([0x80, 0x81, 0x300, 0xFFFF]),
    st.sampled_from([1, 2, 4]),
    st.booleans(),
    st.integers(0, 0xFFFFFFFF),
    st.sampled_from([1, 2, 3, 5000, 70_000]),
)


def created(file: Path) -> int:
    return os.open(file, os.O_CREAT | os.O_WRONLY | os.O_TRUNC)


def as_seen(access: TracedAccess) -> PortAccess:
    return PortAccess(access.direction, access.port, access.size, access.count, access.data, access.path, access.place)


@ONE_FOLDER
@given(st.lists(ACCESS, max_size=40), st.sampled_from([RealClock, VirtualClock]), st.sampled_from([1, 4]))
def test_what_is_read_is_what_was_seen(tmp_path: Path, accesses: list[Drawn], clock: type[Clock], every: int) -> None:
    bus, seen = PortBus(), list[PortAccess]()
    fd = created(tmp_path / "t")
    recorder = Recorder(clock(), fd, every=every)
    bus.observe(recorder)
    bus.observe(seen.append)
    make(bus, accesses)
    recorder.close(b'{"accesses": %d}' % len(accesses))
    os.close(fd)
    with TraceFile(tmp_path / "t") as trace:
        read = list(trace.accesses())
    assert [as_seen(access) for access in read] == seen
    assert [access.number for access in read] == list(range(len(seen)))
    assert sorted(access.ns for access in read) == [access.ns for access in read]
    assert all(access.stamped for access in read if every == 1 or access.count > 1 or clock is VirtualClock)
    assert (trace.trouble, trace.ending) == ([], {"accesses": len(seen)})


@ONE_FOLDER
@given(st.lists(ACCESS, max_size=60))
def test_a_ring_holds_the_last(tmp_path: Path, accesses: list[Drawn]) -> None:
    bus, seen = PortBus(), list[PortAccess]()
    recorder = Recorder(RealClock(), ring=4 * SMALLEST_RING)
    bus.observe(recorder)
    bus.observe(seen.append)
    make(bus, accesses)
    fd = created(tmp_path / "t")
    recorder.save(fd)
    os.close(fd)
    with TraceFile(tmp_path / "t") as trace:
        read = [as_seen(access) for access in trace.accesses()]
    assert read == seen[len(seen) - len(read) :]
    if sum(len(access.data) + 64 for access in seen) < 2 * SMALLEST_RING:
        assert read == seen
    if len(read) < len(seen):
        cut = [line for line in trace.trouble if "whose beginning is missing" in line]
        assert recorder.overwritten + len(read) + len(cut) == len(seen)
        assert cut or any("have fallen out of its ring" in line for line in trace.trouble)


def test_a_virtual_clock_gives_its_own_times(tmp_path: Path) -> None:
    bus, clock = PortBus(), VirtualClock()
    fd = created(tmp_path / "t")
    recorder = Recorder(clock, fd)
    bus.observe(recorder)
    for ns in (5, 10, 10**10, 10**18):
        clock.advance(ns - clock.now_ns())
        bus.outp(0x80, 1, 0)
    recorder.close()
    os.close(fd)
    assert not recorder.steady_ticks
    with TraceFile(tmp_path / "t") as trace:
        assert [access.ns for access in trace.accesses()] == [5, 10, 10**10, 10**18]


def test_more_sites_than_a_block_can_name_at_a_time(tmp_path: Path) -> None:
    bus = PortBus()
    fd = created(tmp_path / "t")
    recorder = Recorder(RealClock(), fd)
    bus.observe(recorder)
    ports = [*range(0, 0x10000, 3), *range(0x10000)]
    for port in ports:
        bus.outp(port, 1, port & 0xFF)
    recorder.close()
    os.close(fd)
    with TraceFile(tmp_path / "t") as trace:
        assert [(access.port, access.value) for access in trace.accesses()] == [(port, port & 0xFF) for port in ports]


def test_only_what_the_filter_means_is_recorded(tmp_path: Path) -> None:
    bus = PortBus()
    fd = created(tmp_path / "t")
    recorder = Recorder(RealClock(), fd, filter=compile_filter("port 80 write"))
    bus.observe(recorder)
    make(bus, [(0x80, 1, True, 1, 1), (0x80, 1, False, 1, 1), (0x81, 1, True, 1, 1), (0x80, 2, True, 2, 3)])
    recorder.close()
    os.close(fd)
    assert recorder.accesses == 2
    with TraceFile(tmp_path / "t") as trace:
        assert [access.count for access in trace.accesses()] == [1, 6]


class Card(hyperport.Device):
    """Device memory that answers with its offset."""

    memory_span = 4096

    def memory_read(self, offset: int, size: int) -> int:
        return offset

    def memory_write(self, offset: int, size: int, value: int) -> None:
        pass


def test_device_memory_is_traced_as_ports_are(tmp_path: Path) -> None:
    code = bytes.fromhex("a2 000000f0 a1 100000f0 fa f4")  # mov %al, card; mov card + 16, %eax; cli; hlt
    with hyperport.Machine(memory=4 << 20, engine="unicorn") as machine:
        machine.attach(Card(), memory=0xF0000000)
        recorder, text = Recorder(machine.clock, created(tmp_path / "t")), TextTrace(created(tmp_path / "t.txt"))
        machine.bus.observe(recorder)
        machine.bus.observe(text)
        machine.memory.write(0x10000, code)
        machine.engine.set_state(protected_flat(eip=0x10000))
        machine.engine.run()
        recorder.close()
        text.flush()
    with TraceFile(tmp_path / "t") as trace:
        made = list(trace.accesses())
    assert [(one.space, one.direction, one.port, one.size, one.data) for one in made] == [
        (Space.MEMORY, Direction.OUT, 0xF0000000, 1, b"\0"),
        (Space.MEMORY, Direction.IN, 0xF0000010, 4, b"\x10\0\0\0"),
    ]
    assert [one.place.eip for one in made if one.place] == [0x10000, 0x10005]
    assert (tmp_path / "t.txt").read_text() == "st  f0000000 1 00\nld  f0000010 4 00000010\n"


def test_interrupt_lines_stand_between_the_accesses(tmp_path: Path) -> None:
    bus = PortBus()
    fd = created(tmp_path / "t")
    recorder = Recorder(RealClock(), fd)
    bus.observe(recorder)
    line = IrqLine(LineRecorder(recorder), 5)
    bus.outp(0x80, 1, 1)
    line.pulse()
    bus.outp(0x80, 1, 2)
    line.set(0)
    recorder.close()
    os.close(fd)
    with TraceFile(tmp_path / "t") as trace:
        records = list(trace.records())
    assert [(each.line, each.level) if isinstance(each, LineChange) else each.value for each in records] == [
        1,
        (5, 1),
        2,
        (5, 0),
    ]
    assert isinstance(records[2], TracedAccess)
    assert records[2].stamped  # after an event, the clock is read


@pytest.mark.parametrize("by", ["file", "ring"])
def test_a_full_disk_is_told_and_counted(by: str) -> None:
    bus, told = PortBus(), list[int]()
    fd = os.open("/dev/full", os.O_WRONLY)
    if by == "file":
        with pytest.raises(ConfigError, match="a recorder has a file or a ring"):
            Recorder(RealClock(), fd, ring=1 << 20)
    recorder = Recorder(
        RealClock(), fd if by == "file" else None, ring=None if by == "file" else 1 << 20, tell=told.append
    )
    bus.observe(recorder)
    for _ in range(100):
        bus.outp(0x80, 1, 1)
    recorder.flush() if by == "file" else recorder.save(fd)
    assert (recorder.error, told) == (errno.ENOSPC, [errno.ENOSPC])
    bus.outp(0x80, 1, 1)
    assert recorder.lost == (101 if by == "file" else 1)
    recorder.close()
    os.close(fd)


def test_a_dead_pipe_is_told() -> None:
    bus, told = PortBus(), list[int]()
    reader, writer = os.pipe()
    recorder = Recorder(RealClock(), writer, tell=told.append)
    bus.observe(recorder)
    os.close(reader)
    for _ in range(100_000):
        bus.outp(0x80, 4, 1)
    recorder.close()
    os.close(writer)
    assert told == [errno.EPIPE]
    assert recorder.lost == 100_000


def written(file: Path) -> list[PortAccess]:
    """A trace of some blocks, and what is in it."""
    bus, seen = PortBus(), list[PortAccess]()
    fd = created(file)
    recorder = Recorder(RealClock(), fd)
    bus.observe(recorder)
    bus.observe(seen.append)
    for _ in range(3):
        make(bus, [(0x80, 1, True, 7, 1), (0x300, 2, False, 1, 300), (0xCF8, 4, True, 9, 1)])
        recorder.flush()
    recorder.close()
    os.close(fd)
    return seen


def test_a_torn_tail_is_told_and_what_is_before_it_is_read(tmp_path: Path) -> None:
    seen = written(tmp_path / "t")
    whole = (tmp_path / "t").read_bytes()
    lengths = set()
    for end in range(HEADER_SIZE + 4, len(whole)):
        (tmp_path / "torn").write_bytes(whole[:end])
        with TraceFile(tmp_path / "torn") as trace:
            read = [as_seen(access) for access in trace.accesses()]
        assert read == seen[: len(read)]
        assert trace.trouble[-1].startswith("it has no end")
        lengths.add(len(read))
    assert lengths == {0, 3, 6, 9}


@ONE_FOLDER
@given(st.lists(st.tuples(st.integers(0, 5000), st.binary(min_size=1, max_size=8)), min_size=1, max_size=4))
def test_a_damaged_file_is_told_or_read_never_worse(tmp_path: Path, changes: list[tuple[int, bytes]]) -> None:
    written(tmp_path / "t")
    whole = bytearray((tmp_path / "t").read_bytes())
    for at, data in changes:
        at %= len(whole)
        whole[at : at + len(data)] = data[: len(whole) - at]
    (tmp_path / "t").write_bytes(whole)
    with suppress(ConfigError), TraceFile(tmp_path / "t") as trace:
        list(trace.records())


@given(st.binary(max_size=200))
def test_a_block_may_hold_anything_though_its_checksum_is_right(body: bytes) -> None:
    with suppress(StateError):
        Decoder().records(bytes(HEADER_SIZE), body)


@pytest.mark.parametrize("content", [b"", b"hpTB", b"ELF" * 100, bytes(200)])
def test_a_file_that_is_no_trace(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "t").write_bytes(content)
    with pytest.raises(ConfigError, match="this is no trace of hyperport"):
        TraceFile(tmp_path / "t")


def test_a_trace_of_another_version_is_refused(tmp_path: Path) -> None:
    written(tmp_path / "t")
    whole = bytearray((tmp_path / "t").read_bytes())
    whole[5] = 9
    (tmp_path / "t").write_bytes(whole)
    with pytest.raises(ConfigError, match="it has version 9, and this hyperport reads 1"):
        TraceFile(tmp_path / "t")


def test_rings_that_are_too_small() -> None:
    with pytest.raises(ConfigError, match="a ring of 1 bytes"):
        Recorder(RealClock(), ring=1)


@pytest.mark.parametrize("io", ["exit", "trap"])
def test_places_are_those_that_an_observer_in_python_gets(tmp_path: Path, io: str) -> None:
    """Two INs and a string, at CPL 0; round and round, so that places come out of the engine's memory of them."""
    code = b"\xb9\x05\x00\x00\x00" + b"\xec\x66\xed\x6c\x49\x75\xf9" + b"\xfa\xf4"
    seen: list[PortAccess] = []
    with hyperport.Machine(memory=4 << 20, io=io, engine="unicorn") as machine:
        machine.bus.observe(seen.append, places=True)
        with Trace(machine, tmp_path / "t") as recorded:
            machine.memory.write(CODE, code)
            machine.engine.set_state(replace(protected_flat(eip=CODE), edx=0x80, edi=0x20_0000))
            machine.engine.run()
            assert recorded.recorder.accesses == len(seen) == 15
    with TraceFile(tmp_path / "t") as trace:
        read = list(trace.accesses())
        assert [as_seen(access) for access in read] == seen
        assert {access.place.eip for access in read if access.place} == {CODE + 5, CODE + 6, CODE + 8}
        assert trace.device(0x80) == "post-code"
        assert trace.description["io"] == io


def test_a_guest_and_its_interrupts(tmp_path: Path) -> None:
    with hyperport.Machine(kernel=locate("demo").kernel, engine="unicorn", clock=VirtualClock()) as machine:
        with Trace(machine, TraceSpec(tmp_path / "t")):
            assert machine.run(timeout=60) == GuestExit(0)
        total = sum(row.accesses for row in machine.bus.counts())
    with TraceFile(tmp_path / "t") as trace:
        records = list(trace.records())
    assert sum(each.count for each in records if isinstance(each, TracedAccess)) == total
    assert sum(isinstance(each, LineChange) and each.line == 0 and each.level for each in records) >= 20
    assert trace.trouble == []


KILLED = """
import os, signal, sys
from hyperport.bus.port_bus import PortBus
from hyperport.observe.recorder import Recorder
from hyperport.time.clock import VirtualClock
bus, clock = PortBus(), VirtualClock()
recorder = Recorder(clock, os.open(sys.argv[1], os.O_CREAT | os.O_WRONLY))
bus.observe(recorder)
for value in range(100):
    bus.outp(0x80, 1, value)
clock.advance(30_000_000)
bus.outp(0x80, 1, 100)  # what is before it is written now
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_after_a_kill_what_is_older_than_a_block_may_be_is_there(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", KILLED, str(tmp_path / "t")], check=False, timeout=60)
    with TraceFile(tmp_path / "t") as trace:
        assert [access.value for access in trace.accesses()] == list(range(100))
    assert trace.trouble == ["it has no end: the run was killed or its disk was full; the last accesses are missing"]
