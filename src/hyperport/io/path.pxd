# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
from libc.stdint cimport uint8_t, uint32_t, uint64_t

from hyperport.bus.port_bus cimport PortBus
from hyperport.cpu.decode cimport PortInstruction
from hyperport.cpu.vcpu cimport GuestCpu

cdef class PortPath:
    cdef readonly PortBus bus
    cdef readonly bint traps        # every access must raise #GP, which on_fault() then gets
    cdef public bint profile        # sum what the phases take; the engine then calls fault_begins()
    cdef uint32_t port_in(self, uint32_t port, uint32_t size) noexcept nogil
    cdef void port_out(self, uint32_t port, uint32_t size, uint32_t value) noexcept nogil
    cdef void port_block(self, int direction, uint32_t port, uint32_t size, uint32_t count, uint8_t *data) noexcept nogil
    cdef bint port_string(self, GuestCpu cpu, const PortInstruction *instruction) noexcept nogil
    cdef void fault_begins(self) noexcept nogil
    cdef bint on_fault(self, GuestCpu cpu) noexcept nogil
