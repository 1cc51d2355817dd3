# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
from libc.stdint cimport uint32_t, uint64_t, uintptr_t

from hyperport.engines.unicorn.library cimport Library

cdef struct CodeFilter:         # where the translator is in the bytes of one instruction
    uint64_t next_opcode        # a prefix was read: the byte after it
    uint64_t second_byte        # of a UD2 that was begun
    uint64_t predicate          # where the immediate of a comparison stands
    uint32_t repeat             # the prefix that stands for every 66, F2 and F3 of this instruction; 0 for none
    uintptr_t opcode_caller     # the place in the core that reads opcodes; 0 before the first
    char *tcg                   # the TCGContext

cdef void forget_position(CodeFilter *filter) noexcept nogil
cdef uint32_t filtered_byte(CodeFilter *filter, Library *library, void *env, uint64_t address,
                            uintptr_t caller) noexcept nogil
