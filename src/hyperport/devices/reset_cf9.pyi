# SPDX-License-Identifier: GPL-2.0-or-later
from hyperport.bus.device import PortDevice
from hyperport.lines.irq import IrqLine

class ResetCf9(PortDevice):
    def __init__(self, reset_line: IrqLine | None = None, hard_line: IrqLine | None = None) -> None: ...
