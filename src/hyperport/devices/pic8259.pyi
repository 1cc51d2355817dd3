# SPDX-License-Identifier: GPL-2.0-or-later
from hyperport.bus.device import PortDevice
from hyperport.lines.attention import Attention
from hyperport.lines.interrupt_controller import InterruptController

class Pic8259(PortDevice):
    def __init__(self, attention: Attention) -> None: ...
    def pins(self) -> Pic8259Pins: ...

class Pic8259Pins(InterruptController):
    chip: Pic8259
    def __init__(self, chip: Pic8259) -> None: ...
