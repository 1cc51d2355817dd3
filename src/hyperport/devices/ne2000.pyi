# SPDX-License-Identifier: GPL-2.0-or-later
from hyperport.devices.dp8390 import Dp8390
from hyperport.host.packet import PacketBackend
from hyperport.lines.irq import IrqLine
from hyperport.time.clock import Clock

class Ne2000(Dp8390):
    mac: bytes
    def __init__(
        self,
        clock: Clock,
        irq: IrqLine | None = None,
        backend: PacketBackend | None = None,
        mac: bytes = ...,
    ) -> None: ...
