# SPDX-License-Identifier: GPL-2.0-or-later
from hyperport.bus.device import PortDevice
from hyperport.lines.irq import IrqLine
from hyperport.time.clock import Clock

class Rtc146818(PortDevice):
    def __init__(
        self,
        clock: Clock,
        irq: IrqLine | None = None,
        memory_size: int = 0,
        floppies: tuple[int, int] = ...,
    ) -> None: ...
