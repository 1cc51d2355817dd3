# SPDX-License-Identifier: GPL-2.0-or-later
from hyperport.host.disk import Disk
from hyperport.lines.saved import Saved

class IdeDrive(Saved):
    disk: Disk
    def __init__(self, disk: Disk) -> None: ...
    def reset(self) -> None: ...
