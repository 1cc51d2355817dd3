# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
# Fields of the core's structures, by the byte offsets of layout.pxi.
from libc.stdint cimport uint32_t, uint64_t


cdef inline uint32_t *u32(char *base, int offset) noexcept nogil:
    return <uint32_t *> (base + offset)


cdef inline uint64_t *u64(char *base, int offset) noexcept nogil:
    return <uint64_t *> (base + offset)


cdef inline void *at(char *base, int offset) noexcept nogil:
    return (<void **> (base + offset))[0]
