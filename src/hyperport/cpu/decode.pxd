# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
from libc.stdint cimport uint8_t, uint16_t, uint32_t

cpdef enum:
    DECODE_OTHER = 0        # another instruction
    DECODE_INVALID = -1     # #UD: a port instruction with LOCK
    DECODE_TOO_LONG = -2    # #GP(0): more than 15 bytes
    DECODE_MORE = -3        # the bytes end before the instruction does

cdef struct PortInstruction:
    uint8_t length          # bytes, prefixes included
    uint8_t direction       # 0 in, 1 out
    uint8_t string          # 1 for INS and OUTS
    uint8_t size            # bytes per access: 1, 2, 4
    uint8_t address_size    # strings: 2 for (E)CX, (E)SI, (E)DI taken as 16 bits, 4 as 32; else 0
    uint8_t rep             # strings: 1 if repeated; else 0
    uint8_t segment         # strings: 0 ES, 1 CS, 2 SS, 3 DS, 4 FS, 5 GS; else 0
    uint8_t immediate       # 1: the port is in `port`; 0: it is in DX
    uint16_t port           # 0 without immediate

cdef int decode_port_instruction(const uint8_t *code, uint32_t available, bint code32,
                                 PortInstruction *out) noexcept nogil
