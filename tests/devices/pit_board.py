# SPDX-License-Identifier: GPL-2.0-or-later
"""The timer on a board of its own: a virtual clock that moves by pulses, and a controller that hears IRQ 0."""

from __future__ import annotations

from fractions import Fraction
from math import ceil, floor

from hyperport.devices.pic8259 import Pic8259
from hyperport.devices.pit8254 import Pit8254
from hyperport.lines.attention import Attention
from hyperport.lines.irq import IrqLine
from hyperport.time.clock import VirtualClock

HZ = 1193182
SECOND = 10**9
CONTROL, PORT_B = 3, 4
LOW, HIGH, BOTH = 1, 2, 3


def tick_ns(tick: int) -> int:
    """The first ns of a pulse."""
    return ceil(Fraction(tick * SECOND, HZ))


class Board:
    """The timer with a clock that moves by pulses, and a controller that counts IRQ 0."""

    def __init__(self, tick: int = 0) -> None:
        self.clock = VirtualClock()
        self.clock.advance(tick_ns(tick))
        self.pic = Pic8259(Attention())
        self.pins = self.pic.pins()
        for offset, value in ((0, 0x13), (1, 0x20), (1, 0x03)):  # automatic EOI
            self.pic.write(offset, 1, value)
        self.pit = Pit8254(self.clock, IrqLine(self.pic, 0))

    def now(self) -> int:
        return floor(Fraction(self.clock.now_ns() * HZ, SECOND))

    def to_tick(self, tick: int) -> None:
        self.clock.advance(tick_ns(tick) - self.clock.now_ns())

    def forward(self, ticks: int) -> None:
        self.to_tick(self.now() + ticks)

    def program(self, channel: int, mode: int, count: int, access: int = BOTH, bcd: int = 0) -> None:
        self.pit.write(CONTROL, 1, channel << 6 | access << 4 | mode << 1 | bcd)
        self.count(channel, count, access)

    def count(self, channel: int, count: int, access: int = BOTH) -> None:
        if access & LOW:
            self.pit.write(channel, 1, count & 0xFF)
        if access & HIGH:
            self.pit.write(channel, 1, count >> 8)

    def latched(self, channel: int) -> int:
        self.pit.write(CONTROL, 1, channel << 6)
        return self.read(channel)

    def read(self, channel: int) -> int:
        return self.pit.read(channel) | self.pit.read(channel) << 8

    def status(self, channel: int) -> int:
        self.pit.write(CONTROL, 1, 0xE0 | 2 << channel)
        return self.pit.read(channel)

    def out(self, channel: int) -> int:
        return self.status(channel) >> 7

    def gate(self, level: int) -> None:
        self.pit.write(PORT_B, 1, level)

    def interrupts(self) -> int:
        """1 if IRQ 0 had a rising edge since the last call."""
        if not self.pins.pending():
            return 0
        assert self.pins.take_vector() == 0x20
        return 1

    def edges(self, until: int) -> list[int]:
        """Ticks of the rising edges of IRQ 0 on the way to a tick, looked at whenever a deadline comes."""
        found = []
        while (due := self.clock.next_deadline_ns()) is not None and due <= tick_ns(until):
            self.clock.advance(due - self.clock.now_ns())
            if self.interrupts():
                found.append(self.now())
        self.to_tick(until)
        return found
