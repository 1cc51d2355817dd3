# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
"""A byte that only remembers: the POST code at port 80h, and the delay ports 80h and EDh.

On the AT port 80h is a spare page register of the DMA controller (IBM PC AT Technical Reference, I/O map), so
it reads back what was written. Kernels write it to wait a microsecond; here that takes no time.
"""

from libc.stdint cimport uint8_t, uint32_t
from libc.string cimport memset

from hyperport.bus.attributes cimport postable
from hyperport.bus.device cimport PortDevice
from hyperport.lines.saved cimport Fields


cdef class PostCode(PortDevice):
    """One such port. last: the byte written last, for who wants to know how far a guest came."""

    name = "post-code"
    span = 1

    cdef readonly uint8_t last

    def reset(self):
        self.last = 0

    cdef uint32_t attributes(self, uint32_t offset) noexcept nogil:
        return postable(1)

    cdef uint32_t io_read(self, uint32_t offset, uint32_t size) noexcept nogil:
        return self.last

    cdef void io_write(self, uint32_t offset, uint32_t size, uint32_t value) noexcept nogil:
        self.last = <uint8_t> value

    cdef void io_read_block(self, uint32_t offset, uint32_t size, uint32_t count, uint8_t *data) noexcept nogil:
        memset(data, self.last, count)

    cdef void io_write_block(self, uint32_t offset, uint32_t size, uint32_t count, const uint8_t *data) noexcept nogil:
        if count:
            self.last = data[count - 1]

    cdef declare(self, Fields fields):
        fields.u8("last", &self.last)
