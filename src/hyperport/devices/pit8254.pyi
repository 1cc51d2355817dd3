# SPDX-License-Identifier: GPL-2.0-or-later
from collections.abc import Callable

from hyperport.bus.device import PortDevice
from hyperport.lines.irq import IrqLine
from hyperport.time.clock import Clock

class Pit8254(PortDevice):
    def __init__(self, clock: Clock, irq0: IrqLine | None = None) -> None: ...
    def listen(self, listener: Callable[[int, float], object] | None) -> None: ...
