# SPDX-License-Identifier: GPL-2.0-or-later
from dataclasses import dataclass
from typing import Final

DECODE_OTHER: Final = 0
DECODE_INVALID: Final = -1
DECODE_TOO_LONG: Final = -2
DECODE_MORE: Final = -3

@dataclass(frozen=True, slots=True)
class PortInstructionRecord:
    length: int
    direction: int
    string: bool
    size: int
    address_size: int
    rep: bool
    segment: int
    immediate: bool
    port: int

def decode(code: bytes, code32: bool) -> PortInstructionRecord | None: ...
def decode_result(code: bytes, code32: bool) -> int: ...
