# SPDX-License-Identifier: GPL-2.0-or-later
"""Interrupt lines are levels that tell their listener of changes only."""

from __future__ import annotations

from hyperport.bus.attention import Attention, StopKind, StopPin
from hyperport.bus.irq import IrqLine


def test_a_line_in_the_air_can_be_driven() -> None:
    line = IrqLine()
    line.set(True)
    assert line.level == 1
    line.set(False)
    assert line.level == 0
    line.pulse()
    assert line.level == 1, "a pulled-up wire comes back to high"


def test_only_changes_are_heard() -> None:
    attention = Attention()
    line = IrqLine(StopPin(attention), StopKind.RESET)
    line.set(5)
    assert attention.take_stop()[0] == StopKind.RESET
    line.set(1)
    assert attention.take_stop()[0] == StopKind.NONE
    line.pulse()
    assert attention.take_stop()[0] == StopKind.RESET
