# SPDX-License-Identifier: GPL-2.0-or-later
from collections.abc import Mapping

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
        setup: Mapping[int, int] | None = None,
    ) -> None: ...
    def time_of_day_s(self) -> int: ...
