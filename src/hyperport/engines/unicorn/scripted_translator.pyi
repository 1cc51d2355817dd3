# SPDX-License-Identifier: GPL-2.0-or-later
from collections.abc import Iterable

class ScriptedTranslator:
    fetched: int
    temporaries: int
    def __init__(
        self,
        code: bytes,
        at: int = 0x100,
        *,
        code32: bool = True,
        protected: bool = True,
        v8086: bool = False,
        cpl: int = 0,
        iopl: int = 0,
        limit: int = 0xFFFFFFFF,
        breakpoints: bool = False,
        resumed: bool = False,
        absent: Iterable[int] = (),
        device: Iterable[int] = (),
    ) -> None: ...
    def opcode(self, address: int) -> int: ...
    def operand(self, address: int) -> int: ...
    @property
    def block_ends(self) -> bool: ...
