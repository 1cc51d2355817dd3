# SPDX-License-Identifier: GPL-2.0-or-later
from __future__ import annotations

from hyperport.devices.port92 import Port92
from hyperport.lines.attention import Attention, StopKind, StopPin
from hyperport.lines.irq import IrqLine


def test_a20_bit_and_read_back() -> None:
    a20 = IrqLine()
    port = Port92(a20_line=a20)
    assert (port.read(0), a20.level) == (2, 1), "open, as firmware leaves it"
    port.write(0, 1, 0)
    assert (port.read(0), a20.level) == (0, 0)
    port.write(0, 1, 0xFE)
    assert (port.read(0), a20.level) == (2, 1)
    port.write(0, 1, 0)
    assert a20.level == 0


def test_reset_on_the_rising_bit_only() -> None:
    attention = Attention()
    line = IrqLine(StopPin(attention), StopKind.RESET)
    port = Port92(line)
    stops = []
    for value in (2, 1, 1, 0, 3):
        port.write(0, 1, value)
        stops.append(attention.take_stop()[0] == StopKind.RESET)
    assert stops == [False, True, False, False, True]
    assert line.level == 0
