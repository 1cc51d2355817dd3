# SPDX-License-Identifier: GPL-2.0-or-later
from typing import Any

from hyperport.memory.map import MemoryMap

PAGE: int
SMALLEST: int
LARGEST: int
LARGE_PAGES_FROM: int
TEXT_ADDRESS: int
TEXT_SIZE: int

class GuestMemory:
    size: int
    guard: Any
    map: MemoryMap
    def __init__(self, size: int) -> None: ...
    def regions(self) -> tuple[tuple[int, int], ...]: ...
    def read(self, address: int, length: int) -> bytes: ...
    def write(self, address: int, data: bytes | bytearray | memoryview) -> None: ...
    def clear(self) -> None: ...
    def pages(self) -> list[tuple[int, int]]: ...
