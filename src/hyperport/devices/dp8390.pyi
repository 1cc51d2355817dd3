# SPDX-License-Identifier: GPL-2.0-or-later
from hyperport.backends.clock import Clock
from hyperport.backends.packet import PacketBackend
from hyperport.bus.device import PortDevice
from hyperport.bus.irq import IrqLine

class Dp8390(PortDevice):
    def __init__(self, clock: Clock, irq: IrqLine | None = None, backend: PacketBackend | None = None) -> None: ...
    def receive(self) -> None: ...
