# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
from libc.stdint cimport int32_t, uint64_t

from hyperport.time.clock cimport Clock

cdef class InsnClock(Clock):
    cdef int32_t *left              # instructions until `target`: what executes them counts them down
    cdef int32_t own_left           # where that is while nobody does
    cdef uint64_t target            # the count at which none is left
    cdef bint exact                 # something is due then, or (False) it is only a place to look up at
    cdef uint64_t skipped           # ns that passed while the guest waited in HLT
    cdef uint64_t wall_origin
    cdef readonly uint64_t ns

    cdef uint64_t count(self) noexcept nogil
    cdef void plan(self, uint64_t fewest) noexcept nogil
    cdef void look_up(self) noexcept nogil
    cdef uint64_t tsc(self) noexcept nogil
    cdef drive(self, int32_t *left)
    cdef void release(self) noexcept
