# SPDX-License-Identifier: GPL-2.0-or-later
from typing import Final

from hyperport.devices.ide_drive import IdeDrive
from hyperport.host.disk import Disk

COMMANDS: Final[tuple[int, ...]]
PACKETS: Final[dict[int, int]]

class AtapiCdrom(IdeDrive):
    tray_is_open: bool
    def press_button(self) -> bool: ...
    def insert(self, disk: Disk | None) -> bool: ...
