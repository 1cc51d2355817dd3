# SPDX-License-Identifier: GPL-2.0-or-later
from hyperport.host.disk import Disk

class NbdDisk(Disk):
    fd: int
    def __init__(self, fd: int, size: int, writable: bool, flushes: bool, limit_ns: int) -> None: ...
