# SPDX-License-Identifier: GPL-2.0-or-later
from collections.abc import Sequence
from enum import IntEnum
from typing import Protocol

from hyperport.bus.access import Place

class Field(IntEnum):
    PORT = 0
    DIRECTION = 1
    SIZE = 2
    COUNT = 3
    PATH = 4
    VALUE = 5
    CPL = 6
    CS = 7
    EIP = 8
    MEMORY = 9

class Verdict(IntEnum):
    TAKE = 0xFFFF
    LEAVE = 0xFFFE

MOST_ROWS: int

class Filterable(Protocol):
    @property
    def direction(self) -> int: ...
    @property
    def port(self) -> int: ...
    @property
    def size(self) -> int: ...
    @property
    def count(self) -> int: ...
    @property
    def data(self) -> bytes: ...
    @property
    def path(self) -> int: ...
    @property
    def place(self) -> Place | None: ...
    @property
    def space(self) -> int: ...

class FilterProgram:
    text: str
    def __init__(
        self, rows: Sequence[tuple[int, int, int, int, bool, int, int]], entry: int, text: str = ""
    ) -> None: ...
    def takes(self, access: Filterable) -> bool: ...
