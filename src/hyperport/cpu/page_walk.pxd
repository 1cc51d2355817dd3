# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
from libc.stdint cimport uint8_t, uint32_t, uint64_t

cdef enum WalkAccess:       # what is wanted; the bits are those of #PF's error code
    WALK_LOAD = 0
    WALK_STORE = 1 << 1
    WALK_USER = 1 << 2      # CPL 3
    WALK_FETCH = 1 << 4
    WALK_UNSEEN = 1 << 30   # of no error code: accessed and dirty bits stay as they are

cdef enum:
    WALK_OK = -1

cdef struct Ram:            # guest-physical memory: bytes 0 to size - 1 at base, but for a hole
    uint8_t *base
    uint64_t size
    uint64_t hole
    uint64_t hole_end

cdef struct Paging:
    uint32_t cr0
    uint32_t cr3
    uint32_t cr4
    bint nx                 # EFER.NXE

cdef uint8_t *ram_at(const Ram *ram, uint64_t physical, uint64_t length) noexcept nogil
cdef int walk(const Ram *ram, const Paging *paging, uint32_t linear, uint32_t access, uint64_t *physical) noexcept nogil
