# SPDX-License-Identifier: GPL-2.0-or-later
"""The watcher thread, with nobody running guest code."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from hyperport.bus.python_device import PythonDevice
from hyperport.host.events import HostEvents
from hyperport.lines.attention import Attention, StopKind
from hyperport.time.clock import RealClock, Timer

from .watching import eventually


class Ticker:
    """A device whose timer falls due every 2 ms."""

    def __init__(self, clock: RealClock) -> None:
        self.clock = clock
        self.timer: Timer | None = None

    def read(self, offset: int, size: int) -> int:
        return 0

    def write(self, offset: int, size: int, value: int) -> None:
        pass

    def on_timer(self, number: int) -> None:
        assert self.timer
        self.timer.arm_at(self.clock.now_ns() + 2_000_000)


class Watched:
    """A pipe with a byte in it, and who looks at it: has no room for some calls, then reads."""

    def __init__(self, refusals: int) -> None:
        self.reader, self.writer = os.pipe()
        self.refusals = refusals
        self.got = b""
        os.write(self.writer, b"!")

    def look(self) -> bool:
        if self.refusals:
            self.refusals -= 1
            return False
        self.got += os.read(self.reader, 100)
        return True


@pytest.fixture
def watched() -> Iterator[Watched]:
    watched = Watched(refusals=3)
    yield watched
    os.close(watched.reader)
    os.close(watched.writer)


@pytest.mark.parametrize("ticking", [False, True])
def test_a_descriptor_without_room_is_looked_at_again_however_often_timers_fire(
    watched: Watched, ticking: bool
) -> None:
    clock, attention = RealClock(), Attention()
    ticker = Ticker(clock)
    owner = PythonDevice(ticker)
    ticker.timer = Timer(clock, owner)
    if ticking:
        ticker.on_timer(0)
    events = HostEvents(attention, clock)
    events.watch(watched.reader, watched.look)
    events.start()

    def has_read() -> bool:
        clock.fire_due()
        return watched.got == b"!"

    try:
        assert eventually(has_read)
    finally:
        events.stop()


def test_a_deadline_after_a_sleep_that_ended_early() -> None:
    """While the vCPU sleeps until a deadline nobody else looks after it; once it is awake, somebody does."""
    clock, attention = RealClock(), Attention()
    ticker = Ticker(clock)
    timer = Timer(clock, PythonDevice(ticker))
    events = HostEvents(attention, clock)
    events.start()
    try:
        timer.arm_at(clock.now_ns() + 200_000_000)
        waker = threading.Timer(0.02, attention.stop, (StopKind.QUIT,))
        waker.start()
        clock.idle(attention)
        waker.join()
        attention.take_stop()
        clock.fire_due()
        assert eventually(lambda: attention.pending_flags() != 0)
        assert clock.next_deadline_ns() is not None  # nobody but the vCPU fires it
    finally:
        events.stop()


def alarms_that_are_on() -> int:
    """How many timers of this process that are descriptors are set; see proc(5)."""
    count = 0
    for entry in Path("/proc/self/fdinfo").iterdir():
        with suppress(FileNotFoundError):  # of the directory itself
            count += re.search(r"it_value: \((?!0, 0\))", entry.read_text()) is not None
    return count


def test_the_alarm_is_off_while_the_vcpu_sleeps_until_a_deadline() -> None:
    clock, attention = RealClock(), Attention()
    timer = Timer(clock, PythonDevice(Ticker(clock)))
    events = HostEvents(attention, clock)
    events.start()
    on: list[int] = []

    def look() -> None:
        on.append(alarms_that_are_on())
        attention.stop(StopKind.QUIT)

    try:
        others = alarms_that_are_on()
        timer.arm_at(clock.now_ns() + 60_000_000_000)
        on.append(alarms_that_are_on())
        looker = threading.Timer(0.02, look)
        looker.start()
        clock.idle(attention)
        looker.join()
        on.append(alarms_that_are_on())  # awake too early
    finally:
        events.stop()
    assert on == [others + 1, others, others + 1]


def test_unwatch_in_the_callback_and_an_exception_in_it() -> None:
    attention = Attention()
    events = HostEvents(attention, RealClock())
    once, broken = Watched(0), Watched(0)
    calls = []

    def look_once() -> bool:
        calls.append(1)
        events.unwatch(once.reader)
        return True

    def fail() -> bool:
        raise ValueError("no good")

    events.watch(once.reader, look_once)
    events.start()
    try:
        assert eventually(lambda: calls == [1])
        events.watch(broken.reader, fail)
        assert eventually(lambda: attention.pending_flags() != 0)
    finally:
        events.stop()
    kind, _, failure, _ = attention.take_stop()
    assert (kind, str(failure), calls) == (StopKind.DEVICE_ERROR, "no good", [1])
    for each in (once, broken):
        os.close(each.reader)
        os.close(each.writer)
