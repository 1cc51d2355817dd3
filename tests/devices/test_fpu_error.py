# SPDX-License-Identifier: GPL-2.0-or-later
from __future__ import annotations

import pytest

from hyperport.devices.fpu_error import FpuError
from hyperport.lines.irq import IrqLine


@pytest.mark.parametrize("offset", [0, 1])
def test_an_edge_asks_until_a_port_is_written(offset: int) -> None:
    irq = IrqLine()
    chip = FpuError(irq)
    ferr = IrqLine(chip, 0)
    ferr.set(1)
    ferr.set(0)
    assert irq.level == 1
    chip.write(offset, 1, 0)
    assert (irq.level, chip.read(offset)) == (0, 0xFF)
    ferr.set(1)
    assert irq.level == 1
