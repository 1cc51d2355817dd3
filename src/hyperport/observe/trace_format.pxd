# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
# The trace file as recorder.pyx writes and trace_decode.pyx reads it; docs/trace.md describes it for others. Little-endian.
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

cdef enum:
    FORMAT_VERSION = 1
    SLOTS = 4096            # sites that a block can name at a time: 12 bits
    HEAD_KIND_SHIFT = 12
    HEAD_VALUE_SHIFT = 16   # of a SHORT its value, of a STRING the next two bits, of a LINE its number
    HEAD_MORE = 1 << 16     # the access goes on with the next STRING
    HEAD_AGAIN = 1 << 17    # and this one does not begin it
    HEAD_LEVEL_SHIFT = 24
    SLOT_MASK = SLOTS - 1
    KIND_MASK = 0xF
    BARE = 8                # of a kind: it has no ticks, since the clock was not read
    MOST_PIECE = 1 << 16    # bytes of one STRING record; a longer access has several

    FLAG_OUT = 1            # of a site: an OUT
    FLAG_SIZE_SHIFT = 1     # size is 1 << these two bits
    FLAG_PATH_SHIFT = 3     # three bits
    FLAG_CROSSED = 1 << 6   # it is charged with a crossing
    FLAG_CPL_SHIFT = 7      # two bits
    FLAG_EXACT = 1 << 9     # EIP is that of the instruction, else it may be behind it
    FLAG_PLACED = 1 << 10   # guest code made it, and CS, EIP and CPL say where
    FLAG_SPACE_SHIFT = 11   # two bits; 0: ports

cdef enum RecordKind:
    SHORT = 0               # head, ticks since the record before: an element of at most two bytes
    LONG = 1                # and its value
    STRING = 2              # and the number of elements, and the elements, filled up to four bytes
    SITE = 3                # head, address, EIP, CS and flags: what a slot means from here on
    TIME = 4                # head, low and high half of the ticks of what comes next
    LINE = 5                # head, ticks: an interrupt line has changed

cdef enum BlockKind:
    DESCRIPTION = 0         # JSON: of what this is a trace
    ACCESSES = 1
    ENDING = 2              # JSON: how it ended

cdef struct BlockHeader:
    uint8_t magic[4]        # hpTB
    uint8_t kind
    uint8_t version
    uint16_t reserved
    uint32_t length         # of the body, in bytes
    uint32_t accesses       # in it
    uint64_t first          # the number of its first access, from 0
    uint64_t begin_ticks, begin_ns
    uint64_t end_ticks, end_ns
    uint64_t checksum       # of the body, see checksum()

cdef struct SiteKey:
    uint32_t address
    uint32_t eip
    uint16_t cs
    uint16_t flags


cdef inline uint64_t checksum(const uint8_t *body, size_t length) noexcept nogil:
    """Two sums of the body's words, as in Fletcher's; a body is filled up to four bytes."""
    cdef const uint32_t *words = <const uint32_t *> body
    cdef uint64_t plain = 0, weighted = 0
    cdef size_t i
    for i in range(length >> 2):
        plain += words[i]
        weighted += plain
    return plain ^ weighted << 32 ^ weighted >> 32
