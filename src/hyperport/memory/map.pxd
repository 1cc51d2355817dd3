# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
from libc.stdint cimport uint8_t, uint32_t, uint64_t

cdef extern from "map.h" nogil:
    enum:
        HP_REGIONS
        HP_RANGES
        HP_RAM
        HP_ROM
        HP_HOLE
        HP_DEVICE

    cdef struct hp_range:
        uint64_t first, end
        uint8_t *host
        uint64_t offset
        uint32_t number
        uint32_t kind

    cdef struct hp_map:
        uint32_t count
        hp_range *ranges

    const hp_range *hp_range_at(const hp_map *map, uint64_t address)
    uint8_t *hp_host_at(const hp_map *map, uint64_t address, uint64_t length, int store)

cdef enum:
    BLOCKS = 16             # of host memory, with the RAM

cdef struct Block:          # host memory that belongs to the guest
    uint8_t *host
    uint64_t size

cdef struct Row:            # of the table of regions
    uint64_t base, size
    uint64_t offset         # of its first byte: in its block, or in its device's memory
    uint32_t number         # of the block, or the bus's number of the window
    uint8_t kind
    uint8_t mapped

ctypedef void (*changed_function)(void *context) noexcept nogil
ctypedef void (*invalidate_function)(void *context, const uint8_t *host, uint64_t length) noexcept nogil

cdef class MemoryMap:
    cdef hp_map flat
    cdef Block blocks[BLOCKS]
    cdef uint32_t block_count
    cdef Row rows[HP_REGIONS]
    cdef list _regions                  # by row; None where it is free
    cdef readonly uint64_t generation   # how often the map has changed
    cdef changed_function changed       # the engine's
    cdef void *changed_context
    cdef invalidate_function invalidate  # the engine's: the host has written these bytes
    cdef void *invalidate_context
    cdef void build(self) noexcept nogil
    cdef void switch_row(self, int row, bint mapped) noexcept nogil
    cdef bint clashes(self, int row, uint64_t base, uint64_t size) noexcept nogil

cdef class Region:
    cdef MemoryMap owner
    cdef int row
    cdef readonly str name
    cdef readonly str kind
    cdef readonly object alias_of
    cdef uint8_t *host(self) noexcept nogil
    cdef bint switch_on(self) noexcept nogil
    cdef void switch_off(self) noexcept nogil
    cdef void slide(self, uint64_t offset) noexcept nogil
    cdef void dirtied(self, uint64_t offset, uint64_t length) noexcept nogil
