# SPDX-License-Identifier: GPL-2.0-or-later
from hyperport.bus.device import PortDevice
from hyperport.bus.irq import IrqLine
from hyperport.devices.ide_drive import IdeDrive

class IdeChannel(PortDevice):
    drives: tuple[IdeDrive | None, IdeDrive | None]
    def __init__(
        self, irq: IrqLine | None = None, first: IdeDrive | None = None, second: IdeDrive | None = None
    ) -> None: ...
