# SPDX-License-Identifier: GPL-2.0-or-later
from hyperport.bus.device import PortDevice
from hyperport.lines.irq import IrqLine

class FpuError(PortDevice):
    def __init__(self, irq: IrqLine | None = None) -> None: ...
