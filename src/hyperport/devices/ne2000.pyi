# SPDX-License-Identifier: GPL-2.0-or-later
from hyperport.backends.clock import Clock
from hyperport.backends.packet import PacketBackend
from hyperport.bus.irq import IrqLine
from hyperport.devices.dp8390 import Dp8390

class Ne2000(Dp8390):
    mac: bytes
    def __init__(
        self,
        clock: Clock,
        irq: IrqLine | None = None,
        backend: PacketBackend | None = None,
        mac: bytes = ...,
    ) -> None: ...
