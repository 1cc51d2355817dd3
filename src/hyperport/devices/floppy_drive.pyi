# SPDX-License-Identifier: GPL-2.0-or-later
from collections.abc import Sequence

from hyperport.host.disk import Disk
from hyperport.lines.saved import Saved

class FloppyDrive(Saved):
    disk: Disk
    kind: int
    rate: int
    cylinders: int
    heads: int
    sectors: int
    cylinder: int
    changed: bool
    dirty: bool
    def __init__(self, kind: int, disk: Disk | None = None, geometry: Sequence[int] = ...) -> None: ...
    def reset(self) -> None: ...
    def insert(self, disk: Disk | None, geometry: Sequence[int] = ...) -> None: ...
    def flush(self) -> None: ...
