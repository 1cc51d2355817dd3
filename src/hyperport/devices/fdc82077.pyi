# SPDX-License-Identifier: GPL-2.0-or-later
from collections.abc import Sequence

from hyperport.bus.device import PortDevice
from hyperport.devices.floppy_drive import FloppyDrive
from hyperport.lines.dma import DmaChannel
from hyperport.lines.irq import IrqLine
from hyperport.time.clock import Clock

class Fdc82077(PortDevice):
    def __init__(
        self, clock: Clock, irq: IrqLine | None = None, drives: Sequence[FloppyDrive | None] = ...
    ) -> None: ...
    def connect(self, dma: DmaChannel) -> None: ...
