# SPDX-License-Identifier: GPL-2.0-or-later
from typing import Final

from hyperport.devices.ide_drive import IdeDrive
from hyperport.host.disk import Disk

COMMANDS: Final[tuple[tuple[int, int, int], ...]]

class AtaDrive(IdeDrive):
    def __init__(self, disk: Disk, serial: str = ..., geometry: tuple[int, int] = ...) -> None: ...
