# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
from libc.stdint cimport uint8_t, uint32_t

from hyperport.lines.irq cimport IrqLine

cdef class DmaChannel:
    cdef IrqLine dreq
    cdef readonly bint terminal
    cdef uint32_t put(self, const uint8_t *data, uint32_t count) noexcept nogil
    cdef uint32_t get(self, uint8_t *data, uint32_t count) noexcept nogil
    cdef uint32_t move(self, uint8_t *data, uint32_t count, bint to_memory) noexcept nogil
