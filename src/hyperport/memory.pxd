# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
from libc.stdint cimport uint8_t, uint64_t

ctypedef void (*invalidate_function)(void *context, uint64_t address, uint64_t length) noexcept nogil

cdef class GuestMemory:
    cdef uint8_t *base
    cdef readonly uint64_t size
    cdef invalidate_function invalidate
    cdef void *invalidate_context
