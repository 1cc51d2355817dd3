# SPDX-License-Identifier: GPL-2.0-or-later
from collections.abc import Container

from hyperport.io.hypercall import CallTable
from hyperport.io.path import PortPath
from hyperport.memory.ram import GuestMemory

class GuestFaultError(Exception):
    vector: int
    address: int

class ScriptedVcpu:
    path: PortPath
    memory: GuestMemory
    eip: int
    eflags: int
    cpl: int
    code32: bool
    absent: set[int]
    limits: dict[int, int]
    allowed: Container[int] | None
    retired: int
    def __init__(self, path: PortPath, memory: GuestMemory, table: CallTable | None = None) -> None: ...
    def __getitem__(self, name: str) -> int: ...
    def __setitem__(self, name: str, value: int) -> None: ...
    def access(self, direction: int, port: int, size: int, value: int = 0) -> int: ...
    def execute(self) -> bool: ...
    def decode(self) -> tuple[int, int, int, int]: ...
    def call(self, convention: int, number: int) -> int: ...
    def find(self) -> tuple[int, int]: ...
    def end_string(self) -> None: ...
