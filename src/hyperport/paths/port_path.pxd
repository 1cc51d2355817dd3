# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
from libc.stdint cimport uint32_t
from hyperport.bus.port_bus cimport PortBus

cdef class PortPath:
    cdef readonly PortBus bus
    cdef uint32_t port_in(self, uint32_t port, uint32_t size) noexcept nogil
    cdef void port_out(self, uint32_t port, uint32_t size, uint32_t value) noexcept nogil
