# SPDX-License-Identifier: GPL-2.0-or-later
from hyperport.bus.device import PortDevice
from hyperport.lines.irq import IrqLine

class PowerOff(PortDevice):
    def __init__(self, power_line: IrqLine | None = None) -> None: ...
