# SPDX-License-Identifier: GPL-2.0-or-later
from enum import IntEnum

class Verdict(IntEnum):
    DEFINED = 0
    UNDEFINED = 1
    ICEBP = 2
    SMSW_LONG = 3
    BY_REP = 4
    BY_REPNE = 5
    RESERVED_NOP = 6
    NEED_MORE = -1

def judge(code: bytes, code32: bool = True, protected: bool = True) -> Verdict: ...
def must_be_aligned(code: bytes) -> bool: ...
def waits_for_errors(code: bytes) -> bool: ...
