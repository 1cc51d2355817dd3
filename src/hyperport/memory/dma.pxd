# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
from libc.stdint cimport uint8_t, uint64_t

from hyperport.memory.ram cimport GuestMemory

cdef class DmaView:
    cdef GuestMemory memory
    cdef bint covers(self, uint64_t address, uint64_t length) noexcept nogil
    cdef bint fetch(self, uint64_t address, uint64_t length, uint8_t *data) noexcept nogil
    cdef bint store(self, uint64_t address, uint64_t length, const uint8_t *data) noexcept nogil
