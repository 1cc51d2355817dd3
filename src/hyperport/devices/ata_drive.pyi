# SPDX-License-Identifier: GPL-2.0-or-later
from hyperport.devices.ide_drive import IdeDrive
from hyperport.host.disk import Disk

class AtaDrive(IdeDrive):
    def __init__(self, disk: Disk, serial: str = ...) -> None: ...
