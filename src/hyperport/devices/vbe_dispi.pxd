# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
from libc.stdint cimport uint32_t, uint64_t

from hyperport.bus.device cimport PortDevice
from hyperport.devices.vga cimport Vga

cdef enum:
    REGISTERS = 11

cdef class VbeDispi(PortDevice):
    cdef Vga vga
    cdef uint32_t index
    cdef uint32_t values[REGISTERS]
    cdef void write_register(self, uint32_t value) noexcept nogil
    cdef uint32_t read_register(self) noexcept nogil
    cdef void switch(self, uint32_t value) noexcept nogil
    cdef void fit(self) noexcept nogil
    cdef uint64_t line_bytes(self) noexcept nogil
    cdef void clear_picture(self) noexcept nogil
    cdef void tell(self, bint moves) noexcept nogil
