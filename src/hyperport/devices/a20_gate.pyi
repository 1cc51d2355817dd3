# SPDX-License-Identifier: GPL-2.0-or-later
from hyperport.bus.device import PortDevice
from hyperport.lines.irq import IrqLine

class A20Gate(PortDevice):
    def __init__(self, out: IrqLine | None = None) -> None: ...
