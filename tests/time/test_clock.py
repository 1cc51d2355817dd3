# SPDX-License-Identifier: GPL-2.0-or-later
"""Clocks and timers."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hyperport.bus.python_device import PythonDevice
from hyperport.time.clock import RealClock, Timer, VirtualClock


class Owner:
    """Notes when its timers fire, and may arm them again."""

    def __init__(self, clock: VirtualClock, period: int = 0) -> None:
        self.clock = clock
        self.period = period
        self.fired: list[tuple[int, int]] = []
        self.timer: Timer | None = None

    def read(self, offset: int, size: int) -> int:
        return 0

    def write(self, offset: int, size: int, value: int) -> None:
        pass

    def on_timer(self, number: int) -> None:
        self.fired.append((number, self.clock.now_ns()))
        if self.timer is not None and self.period:
            self.timer.arm_at(self.clock.now_ns() + self.period)


def test_timers_fire_in_order_each_at_its_time() -> None:
    clock = VirtualClock()
    owner = Owner(clock)
    device = PythonDevice(owner)
    timers = [Timer(clock, device, number) for number in range(3)]
    for timer, deadline in zip(timers, (300, 100, 200), strict=True):
        timer.arm_at(deadline)
    assert clock.next_deadline_ns() == 100
    clock.advance(250)
    assert owner.fired == [(1, 100), (2, 200)]
    timers[0].cancel()
    clock.advance(1000)
    assert owner.fired == [(1, 100), (2, 200)]
    assert clock.next_deadline_ns() is None


def test_a_timer_may_arm_itself_again() -> None:
    clock = VirtualClock()
    owner = Owner(clock, period=100)
    owner.timer = Timer(clock, PythonDevice(owner), 0)
    owner.timer.arm_at(100)
    clock.advance(1000)
    assert [at for _, at in owner.fired] == list(range(100, 1001, 100))


def test_a_timer_that_is_always_due_does_not_hold_the_vcpu() -> None:
    clock = VirtualClock()
    owner = Owner(clock)
    owner.timer = Timer(clock, PythonDevice(owner), 0)

    def again(number: int) -> None:
        owner.fired.append((number, 0))
        assert owner.timer is not None
        owner.timer.arm_at(0)

    owner.on_timer = again  # type: ignore[method-assign]
    owner.timer.arm_at(0)
    clock.fire_due()
    assert 1 < len(owner.fired) <= 1000


def test_virtual_wall_time_follows() -> None:
    clock = VirtualClock(start_wall_ns=5)
    clock.advance(10)
    assert (clock.now_ns(), clock.wall_ns()) == (10, 15)


def test_real_time_moves_forward() -> None:
    clock = RealClock()
    first = clock.now_ns()
    assert clock.now_ns() >= first
    assert clock.wall_ns() > 1_700_000_000_000_000_000


@given(st.lists(st.tuples(st.integers(0, 40), st.none() | st.integers(0, 30), st.integers(0, 5)), max_size=200))
def test_any_number_of_timers_fires_in_order(steps: list[tuple[int, int | None, int]]) -> None:
    """Against a list that is sorted anew each time: arm (None: cancel) one of 41 timers, then let time pass."""
    clock = VirtualClock()
    owner = Owner(clock)
    device = PythonDevice(owner)
    timers = [Timer(clock, device, number) for number in range(41)]
    armed: dict[int, int] = {}
    expected = []
    now = 0
    for number, after, passes in steps:
        if after is None:
            timers[number].cancel()
            armed.pop(number, None)
        else:
            timers[number].arm_at(now + after)
            armed[number] = now + after
        assert clock.next_deadline_ns() == min(armed.values(), default=None)
        until = now + passes
        for due, which in sorted((deadline, which) for which, deadline in armed.items() if deadline <= until):
            expected.append((which, max(due, now)))
            del armed[which]
        now = until
        clock.advance(passes)
    assert owner.fired == expected


def test_a_thousand_timers() -> None:
    clock = VirtualClock()
    owner = Owner(clock)
    device = PythonDevice(owner)
    timers = [Timer(clock, device, number) for number in range(1000)]
    for timer in timers[::-1]:
        timer.arm_at(10)
    clock.advance(10)
    assert owner.fired == [(number, 10) for number in range(1000)]
