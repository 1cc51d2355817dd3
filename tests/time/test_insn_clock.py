# SPDX-License-Identifier: GPL-2.0-or-later
"""The clock of instructions by itself; with an engine that counts: tests/engines/test_counting.py."""

from __future__ import annotations

from typing import Any

import pytest

from hyperport import Machine
from hyperport.bus.python_device import PythonDevice
from hyperport.errors import ConfigError, StateError, UsageError
from hyperport.time.clock import RealClock, Timer
from hyperport.time.insn_clock import InsnClock
from hyperport.time.kinds import make_clock
from hyperport.time.options import REAL, ClockSpec, parse_clock

from .test_clock import Owner


def test_time_passes_as_in_hlt_and_timers_fire_each_at_its_time() -> None:
    clock = InsnClock(ns=10)
    owner = Owner(clock, period=25)  # type: ignore[arg-type]
    owner.timer = Timer(clock, PythonDevice(owner), 0)
    owner.timer.arm_at(25)
    clock.advance(100)
    assert [at for _, at in owner.fired] == [25, 50, 75, 100]
    assert (clock.now_ns(), clock.instructions) == (100, 0)


def test_words_of_the_option() -> None:
    assert parse_clock("real") is REAL
    assert parse_clock("insns") == ClockSpec(4)
    assert parse_clock("insns=100") == ClockSpec(100)
    assert isinstance(make_clock(REAL), RealClock)
    clock = make_clock(ClockSpec(7))
    assert isinstance(clock, InsnClock)
    assert clock.ns == 7


@pytest.mark.parametrize(
    "text", ["", "insns=", "insns=0", "insns=1000001", "insns=1.5", "insns=-1", "icount", "insns=9999999999"]
)
def test_other_words(text: str) -> None:
    with pytest.raises(UsageError, match="insns=NS"):
        parse_clock(text)


def test_an_instruction_takes_some_time() -> None:
    for ns in (0, -1, 1_000_001):
        with pytest.raises(ConfigError, match="ns"):
            InsnClock(ns)


@pytest.mark.parametrize("engine", ["kvm", "scripted"])
def test_engines_that_do_not_count_refuse(engine: str) -> None:
    with pytest.raises(ConfigError, match="unicorn"):
        Machine(engine=engine, clock=InsnClock())
    with pytest.raises(ConfigError, match="unicorn"):
        Machine(engine=engine, clock="insns")


def test_a_clock_is_for_one_machine() -> None:
    clock = InsnClock()
    with Machine(engine="unicorn", clock=clock), pytest.raises(ConfigError, match="one machine"):
        Machine(engine="unicorn", clock=clock)
    Machine(engine="unicorn", clock=clock).close()


def test_saved_and_loaded() -> None:
    clock, other = InsnClock(ns=4), InsnClock(ns=4)
    clock.advance(12345)
    time = (4 << 40) + 7
    counted = {"ns": 4, "instructions": 1 << 40, "skipped": 7}
    other.load({"kind": "insns", "now": time, "wall": 2 * time, **counted})
    assert (other.instructions, other.now_ns()) == (1 << 40, (4 << 40) + 7)
    other.load(clock.save())
    assert other.save() == clock.save()
    assert clock.save() | {"wall": 0} == {
        "kind": "insns", "now": 12345, "wall": 0, "ns": 4, "instructions": 0, "skipped": 12345
    }  # fmt: skip


@pytest.mark.parametrize(
    "change",
    [{"kind": 2}, {"ns": 5}, {"instructions": -1}, {"instructions": 1 << 62}, {"skipped": -1}, {"now": 98},
     {"skipped": 1 << 63}, {"instructions": "1"}, {"wall": 0}, {"more": 1}],
)  # fmt: skip
def test_what_is_no_record_changes_nothing(change: dict[str, Any]) -> None:
    clock = InsnClock()
    clock.advance(99)
    before = clock.save()
    records: list[Any] = [before | change, None, [], dict(list(before.items())[1:])]
    for record in records:
        with pytest.raises(StateError):
            clock.load(record)
    assert clock.save() == before
