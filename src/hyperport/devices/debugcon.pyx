# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
"""The debug console of Bochs and its kin: one port, a byte written is a byte printed.

It sits at E9h, and again at 402h where SeaBIOS and OVMF write their log. A read gives E9h at either, by which
a guest knows that it is there (Bochs user manual, port_e9_hack).
"""

from libc.stdint cimport uint8_t, uint32_t
from libc.string cimport memset

from hyperport.host.char cimport CharBackend
from hyperport.bus.attributes cimport postable, shadowed
from hyperport.bus.device cimport PortDevice

cdef enum:
    PRESENT = 0xE9


cdef class Debugcon(PortDevice):
    """backend: where the bytes go; none drops them. It has no state."""

    name = "debugcon"
    span = 1

    cdef CharBackend backend

    def __init__(self, CharBackend backend=None):
        self.backend = CharBackend() if backend is None else backend

    cdef uint32_t attributes(self, uint32_t offset) noexcept nogil:
        return postable(1) | shadowed(1)

    cdef uint32_t io_read(self, uint32_t offset, uint32_t size) noexcept nogil:
        return PRESENT

    cdef void io_write(self, uint32_t offset, uint32_t size, uint32_t value) noexcept nogil:
        self.backend.put(<uint8_t> value)

    cdef void io_read_block(self, uint32_t offset, uint32_t size, uint32_t count, uint8_t *data) noexcept nogil:
        memset(data, PRESENT, count)

    cdef void io_write_block(self, uint32_t offset, uint32_t size, uint32_t count, const uint8_t *data) noexcept nogil:
        self.backend.put_block(data, count)
