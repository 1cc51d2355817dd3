# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
"""Where a block of translated code must end, for the core does not look.

The translator gives each block at most TCG_MAX_TEMPS temporaries, in an array of that size. Many instructions never
free theirs (AAM, MOV from CR0, PSHUFD, most of x87), and nothing checks the end of the array: a block of 234 FSUB
writes over what lies behind it, and the process dies. A block does end early when it has TCG_OPS_FULL operations, which
is looked at after each instruction. So while the bytes of an instruction are read, before it takes a temporary, the
temporaries are counted; are they too many for one more instruction, the operations are made to look too many as well.

MOST_OF_ONE_INSTRUCTION is more than any instruction takes, the end of the block after it included. What they take is
measured by tools/translator_limits.py over all opcodes, prefixes and modes, and tests/engines/test_translator_limits.py
holds it against this number.
"""
from libc.stdint cimport uint32_t

from hyperport.engines.unicorn.fields cimport u32

include "layout.pxi"

cdef enum:
    MOST_OF_ONE_INSTRUCTION = 64
    TEMPS_BEFORE_LAST = TCG_MAX_TEMPS - MOST_OF_ONE_INSTRUCTION
    FULL = 1 << 20          # far above TCG_OPS_FULL, as some are taken back


cdef inline void end_block_in_time(char *tcg) noexcept nogil:
    """Called for each code byte that the translator of this TCGContext reads."""
    if u32(tcg, TCG_NB_TEMPS)[0] > TEMPS_BEFORE_LAST:
        u32(tcg, TCG_NB_OPS)[0] = FULL
