# SPDX-License-Identifier: GPL-2.0-or-later
from hyperport.backends.disk import Disk
from hyperport.devices.ide_drive import IdeDrive

class AtaDrive(IdeDrive):
    def __init__(self, disk: Disk, serial: str = ...) -> None: ...
