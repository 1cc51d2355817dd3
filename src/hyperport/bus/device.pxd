# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
from libc.stdint cimport uint8_t, uint32_t

from hyperport.lines.listener cimport Listener

cdef class PortDevice(Listener):
    cdef uint32_t io_read(self, uint32_t offset, uint32_t size) noexcept nogil
    cdef void io_write(self, uint32_t offset, uint32_t size, uint32_t value) noexcept nogil
    cdef void io_read_block(self, uint32_t offset, uint32_t size, uint32_t count, uint8_t *data) noexcept nogil
    cdef void io_write_block(self, uint32_t offset, uint32_t size, uint32_t count, const uint8_t *data) noexcept nogil
