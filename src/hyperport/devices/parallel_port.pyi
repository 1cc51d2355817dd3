# SPDX-License-Identifier: GPL-2.0-or-later
from hyperport.backends.char import CharBackend
from hyperport.bus.device import PortDevice
from hyperport.bus.irq import IrqLine

class ParallelPort(PortDevice):
    def __init__(self, irq: IrqLine | None = None, backend: CharBackend | None = None) -> None: ...
