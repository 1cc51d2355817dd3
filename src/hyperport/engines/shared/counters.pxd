# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
from libc.stdint cimport uint32_t, uint64_t

cdef class Counters:
    cdef uint64_t exceptions[256]
    cdef uint64_t software[256]
    cdef uint64_t interrupts[256]
    cdef uint64_t hlts
    cdef uint64_t mmio

    cdef object record(self)


cdef inline void count_exception(Counters counters, uint32_t vector) noexcept nogil:
    counters.exceptions[vector & 0xFF] += 1


cdef inline void count_software(Counters counters, uint32_t vector) noexcept nogil:
    counters.software[vector & 0xFF] += 1


cdef inline void count_interrupt(Counters counters, uint32_t vector) noexcept nogil:
    counters.interrupts[vector & 0xFF] += 1
