# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
from libc.stdint cimport uint8_t, uint32_t, uint64_t, uintptr_t

from hyperport.bus.port_bus cimport PortBus
from hyperport.cpu.vcpu cimport Vcpu
from hyperport.memory.map cimport MemoryMap

cdef uint32_t memory_in(Vcpu vcpu, PortBus bus, MemoryMap map, uint64_t address, uint32_t size, uintptr_t token) noexcept nogil
cdef void memory_out(Vcpu vcpu, PortBus bus, MemoryMap map, uint64_t address, uint32_t size, uint32_t value,
                     uintptr_t token) noexcept nogil
cdef uint32_t load_at(Vcpu vcpu, PortBus bus, MemoryMap map, uint64_t first, uint64_t last, uint32_t size,
                      uintptr_t token) noexcept nogil
cdef void store_at(Vcpu vcpu, PortBus bus, MemoryMap map, uint64_t first, uint64_t last, uint32_t size, uint32_t value,
                   uintptr_t token) noexcept nogil
cdef void bytes_in(Vcpu vcpu, PortBus bus, MemoryMap map, uint64_t address, uint32_t length, uint8_t *data) noexcept nogil
cdef void bytes_out(Vcpu vcpu, PortBus bus, MemoryMap map, uint64_t address, uint32_t length, const uint8_t *data) noexcept nogil
