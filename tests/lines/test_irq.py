# SPDX-License-Identifier: GPL-2.0-or-later
"""Interrupt lines are levels that tell their listener of changes only."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperport.errors import ConfigError
from hyperport.lines.attention import Attention, StopKind, StopPin
from hyperport.lines.irq import IrqLine, LineTap, SharedLine


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


@given(st.lists(st.tuples(st.integers(0, 3), st.booleans()), max_size=40))
def test_a_shared_line_is_high_while_any_input_is(steps: list[tuple[int, bool]]) -> None:
    line = IrqLine()
    shared = SharedLine(line)
    inputs = [shared.input() for _ in range(4)]
    for number, level in steps:
        inputs[number].set(level)
        assert line.level == any(wire.level for wire in inputs)


def test_a_shared_line_takes_as_many_devices_as_there_are() -> None:
    line = IrqLine()
    shared = SharedLine(line)
    wires = [shared.input() for _ in range(1000)]
    for wire in wires:
        wire.set(1)
    for wire in wires:
        assert line.level == 1
        wire.set(0)
    assert line.level == 0


def test_a_tap_hands_on_what_it_hears_to_the_watcher_first() -> None:
    sink, watcher = Attention(), Attention()
    tap = LineTap(StopPin(sink))
    line = IrqLine(tap, StopKind.RESET)
    line.pulse()
    assert sink.take_stop()[0] == StopKind.RESET
    tap.watch(StopPin(watcher))
    line.pulse()
    assert (sink.take_stop()[0], watcher.take_stop()[0]) == (StopKind.RESET, StopKind.RESET)
    with pytest.raises(ConfigError, match="watched already"):
        tap.watch(StopPin(watcher))
    tap.watch(None)
    line.pulse()
    assert (sink.take_stop()[0], watcher.take_stop()[0]) == (StopKind.RESET, StopKind.NONE)
