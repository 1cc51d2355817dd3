# SPDX-License-Identifier: GPL-2.0-or-later
from hyperport.bus.device import PortDevice
from hyperport.host.packet import PacketBackend
from hyperport.lines.irq import IrqLine
from hyperport.time.clock import Clock

class Dp8390(PortDevice):
    def __init__(self, clock: Clock, irq: IrqLine | None = None, backend: PacketBackend | None = None) -> None: ...
    def receive(self) -> None: ...
