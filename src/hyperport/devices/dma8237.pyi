# SPDX-License-Identifier: GPL-2.0-or-later
from hyperport.bus.device import PortDevice
from hyperport.lines.dma import DmaChannel
from hyperport.lines.irq import IrqLine
from hyperport.memory.dma import DmaView

class Dma8237(PortDevice):
    def __init__(self, memory: DmaView | None = None) -> None: ...
    def channel(self, number: int, dack: IrqLine) -> DmaChannel: ...
