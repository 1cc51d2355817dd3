# SPDX-License-Identifier: GPL-2.0-or-later
from hyperport.bus.device import PortDevice
from hyperport.host.char import CharBackend
from hyperport.lines.irq import IrqLine

class ParallelPort(PortDevice):
    def __init__(self, irq: IrqLine | None = None, backend: CharBackend | None = None) -> None: ...
