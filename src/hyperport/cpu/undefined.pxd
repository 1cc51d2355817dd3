# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
from libc.stdint cimport uint8_t, uint32_t

cpdef enum Verdict:
    DEFINED = 0
    UNDEFINED = 1           # #UD
    ICEBP = 2               # F1: #DB, a trap
    SMSW_LONG = 3           # SMSW with a 32-bit register
    BY_REP = 4              # F3 chooses the instruction, not 66
    BY_REPNE = 5            # F2 does
    NEED_MORE = -1          # the bytes end before that is decided

cdef int judge_instruction(const uint8_t *code, uint32_t available, bint code32, bint protected,
                           bint *aligned) noexcept nogil
cdef uint32_t prefixes_of(const uint8_t *code, uint32_t available) noexcept nogil
