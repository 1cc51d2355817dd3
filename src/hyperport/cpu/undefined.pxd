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
    RESERVED_NOP = 6        # 0F 0D and 0F 18 with a register: do nothing
    NEED_MORE = -1          # the bytes end before that is decided

cdef enum Needs:                # what an instruction asks for, besides its operands
    NEEDS_ALIGNMENT = 1     # a memory operand at a multiple of 16
    NEEDS_NO_ERROR = 2      # x87 and MMX: no unmasked x87 exception is pending
    NEEDS_TWO_REGISTERS = 4     # FCMOVcc: ST(0) and the other one are not empty, whatever the condition

cdef int judge_instruction(const uint8_t *code, uint32_t available, bint code32, bint protected,
                           uint8_t *needs) noexcept nogil
cdef uint32_t prefixes_of(const uint8_t *code, uint32_t available) noexcept nogil
