# SPDX-License-Identifier: GPL-2.0-or-later
from typing import Any, Final

from hyperport.bus.device import PortDevice
from hyperport.memory.map import Region
from hyperport.memory.ram import GuestMemory
from hyperport.time.clock import Clock

FRAME_BUFFER: Final[int]
MEMORY_BYTES: Final[int]
WINDOW: Final[int]
WINDOW_BYTES: Final[int]

class Vga(PortDevice):
    def __init__(self, clock: Clock, memory: GuestMemory) -> None: ...
    @property
    def guest_memory(self) -> GuestMemory: ...
    def connect(self, low: Region, high: Region) -> None: ...
    def registers(self) -> dict[str, Any]: ...
    def plane_bytes(self) -> bytes: ...
