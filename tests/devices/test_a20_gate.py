# SPDX-License-Identifier: GPL-2.0-or-later
from __future__ import annotations

import pytest

from hyperport.devices.a20_gate import A20Gate
from hyperport.devices.i8042 import I8042
from hyperport.devices.port92 import Port92
from hyperport.lines.irq import IrqLine


def test_open_at_power_on_and_either_input_keeps_it_open() -> None:
    out = IrqLine()
    gate = A20Gate(out)
    keyboard, fast = IrqLine(gate, 0), IrqLine(gate, 1)
    assert out.level == 1
    keyboard.set(1)
    levels = []
    for line, level in ((keyboard, 0), (fast, 1), (keyboard, 1), (fast, 0), (keyboard, 0)):
        line.set(level)
        levels.append(out.level)
    assert levels == [0, 1, 1, 1, 0]


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 0, 2)])
def test_the_board_resets_to_an_open_gate_in_any_order(order: tuple[int, ...]) -> None:
    out = IrqLine()
    gate = A20Gate(out)
    controller = I8042(a20_line=IrqLine(gate, 0))
    fast = Port92(a20_line=IrqLine(gate, 1))
    fast.write(0, 1, 2)
    controller.write(1, 1, 0xDD)
    fast.write(0, 1, 0)
    assert out.level == 0
    chips = (gate, controller, fast)
    for index in order:
        chips[index].reset()
    assert out.level == 1
    assert gate.save() == {"inputs": 1}
    controller.write(1, 1, 0xDD)
    assert out.level == 0
