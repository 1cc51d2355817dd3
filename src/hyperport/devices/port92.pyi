# SPDX-License-Identifier: GPL-2.0-or-later
from hyperport.bus.device import PortDevice
from hyperport.lines.irq import IrqLine

class Port92(PortDevice):
    def __init__(self, reset_line: IrqLine | None = None, a20_line: IrqLine | None = None) -> None: ...
