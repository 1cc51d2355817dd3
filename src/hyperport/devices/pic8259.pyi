# SPDX-License-Identifier: GPL-2.0-or-later
from hyperport.bus.device import PortDevice
from hyperport.lines.attention import Attention
from hyperport.lines.interrupt_controller import InterruptController
from hyperport.lines.irq import IrqLine

class Pic8259(PortDevice):
    def __init__(self, attention: Attention) -> None: ...
    def look_by(self, look: IrqLine) -> None: ...
    def pins(self) -> Pic8259Pins: ...

class Pic8259Pins(InterruptController):
    chip: Pic8259
    def __init__(self, chip: Pic8259) -> None: ...
