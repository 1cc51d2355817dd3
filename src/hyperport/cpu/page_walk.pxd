# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
from libc.stdint cimport uint32_t, uint64_t

from hyperport.memory.map cimport hp_map

cdef enum WalkAccess:       # what is wanted; the bits are those of #PF's error code
    WALK_LOAD = 0
    WALK_STORE = 1 << 1
    WALK_USER = 1 << 2      # CPL 3
    WALK_FETCH = 1 << 4
    WALK_UNSEEN = 1 << 30   # of no error code: accessed and dirty bits stay as they are

cdef enum:
    WALK_OK = -1

cdef struct Paging:
    uint32_t cr0
    uint32_t cr3
    uint32_t cr4
    bint nx                 # EFER.NXE

cdef int walk(const hp_map *map, const Paging *paging, uint32_t linear, uint32_t access, uint64_t *physical) noexcept nogil
