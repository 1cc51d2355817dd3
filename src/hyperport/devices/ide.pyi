# SPDX-License-Identifier: GPL-2.0-or-later
from hyperport.bus.device import PortDevice
from hyperport.devices.ide_drive import IdeDrive
from hyperport.lines.irq import IrqLine

class IdeChannel(PortDevice):
    drives: tuple[IdeDrive | None, IdeDrive | None]
    def __init__(
        self, irq: IrqLine | None = None, first: IdeDrive | None = None, second: IdeDrive | None = None
    ) -> None: ...
