# SPDX-License-Identifier: GPL-2.0-or-later
from hyperport.memory.map import Region

class VgaPlanes:
    def __init__(self, memory: Region) -> None: ...
