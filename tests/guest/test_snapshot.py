# SPDX-License-Identifier: GPL-2.0-or-later
"""The state of all devices, taken from a machine in the middle of its work."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from hyperport import (
    Direction,
    GuestExit,
    Machine,
    MemoryBackend,
    PortAccess,
    Quit,
    StateError,
    StopKind,
    Timeout,
    VirtualClock,
)

from ..conftest import LIMIT_S, built_in

PIC_COMMAND = 0x20


def stop_at_interrupt(machine: Machine, number: int) -> None:
    """Run until the guest has ended its n-th interrupt."""
    seen = 0

    def watch(access: PortAccess) -> None:
        nonlocal seen
        if access.port == PIC_COMMAND and access.direction == Direction.OUT:
            seen += 1
            if seen == number:
                machine.request_stop(StopKind.QUIT)

    machine.bus.observe(watch)
    assert machine.run(timeout=LIMIT_S) == Quit()


@pytest.mark.parametrize("interrupt", [1, 2, 9, 19])
def test_guest_goes_on_in_another_machine(interrupt: int) -> None:
    first_console, second_console = MemoryBackend(), MemoryBackend()
    with (
        built_in("demo", serial=first_console, clock=VirtualClock()) as first,
        Machine(memory=32 << 20, serial=second_console, clock=VirtualClock()) as second,
    ):
        stop_at_interrupt(first, interrupt)
        records = first.save_devices()
        second.load_devices(copy.deepcopy(records))
        assert second.save_devices() == records
        second.memory.write(0, first.memory.read(0, first.memory.size))
        second.engine.set_state(first.engine.state())
        assert first.run(timeout=LIMIT_S) == GuestExit(0)
        assert second.run(timeout=LIMIT_S) == GuestExit(0)
    assert first_console.output().endswith(second_console.output())
    assert b"20 interrupts" in second_console.output()


def test_busy_machine_round_trips() -> None:
    with built_in("stress", "irqs=100000000", clock=VirtualClock()) as first, built_in("demo") as second:
        assert first.run(timeout=0.2) == Timeout(0.2)
        records = first.save_devices()
        assert records["rtc146818"]["cmos"][0x0B] & 0x40
        second.load_devices(copy.deepcopy(records))
        assert second.save_devices().keys() == records.keys()
        first.load_devices(copy.deepcopy(records))
        assert first.save_devices() == records


@pytest.mark.parametrize("name", ["pic8259", "pit8254", "rtc146818", "i8042", "uart16550", "port92", "post-code.2"])
def test_hostile_records_are_refused(name: str) -> None:
    with built_in("demo") as machine:
        good = machine.save_devices()

        def load(change: Any) -> None:
            records = copy.deepcopy(good)
            change(records)
            with pytest.raises(StateError) as caught:
                machine.load_devices(records)
            assert "\n" not in str(caught.value)

        load(lambda records: records.pop(name))
        load(lambda records: records.update(another={}))
        load(lambda records: records[name].update(surplus=1))
        load(lambda records: records[name].popitem())
        for field in good[name]:
            for value in (-1, 1 << 70, None, "x", [-1], [1 << 70], [0] * 100_000):
                load(lambda records, field=field, value=value: records[name].update({field: value}))
        machine.load_devices(good)
        assert machine.run(timeout=LIMIT_S) == GuestExit(0)
