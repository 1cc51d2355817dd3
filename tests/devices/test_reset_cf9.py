# SPDX-License-Identifier: GPL-2.0-or-later
from __future__ import annotations

import pytest

from hyperport.devices.reset_cf9 import ResetCf9
from hyperport.errors import StateError
from hyperport.lines.attention import Attention, StopKind, StopPin
from hyperport.lines.irq import IrqLine


def test_reset_on_the_rising_bit_only() -> None:
    attention = Attention()
    line = IrqLine(StopPin(attention), StopKind.RESET)
    port = ResetCf9(line)
    stops = []
    for value in (0x02, 0x06, 0x0E, 0x02, 0x04):
        port.write(0, 1, value)
        stops.append(attention.take_stop()[0] == StopKind.RESET)
        assert port.read(0) == value & 0x06
    assert stops == [False, True, False, False, True]
    assert line.level == 0


def test_a_record_with_an_unkept_bit_is_refused() -> None:
    with pytest.raises(StateError):
        ResetCf9().load({"control": 1})
