# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
"""Stage 2 of an access to device memory: a physical address becomes a window. Next: bus/port_bus.pyx, carry_memory().

The engine has done the page walk, so permission is checked and an Access is made here for each element of 1, 2 or 4
naturally aligned bytes. Whatever else an instruction moves is split into such, as the core of the engine unicorn does it:

8, 10 and 16 bytes      pieces of 4, lowest first, and what is left
unaligned loads         the two aligned elements that hold it, lower one first
unaligned stores        bytes, lowest first

An access may come in the middle of another crossing (INS to device memory, a string call); that goes on behind it.
"""

from libc.stdint cimport uint8_t, uint32_t, uint64_t, uintptr_t
from libc.string cimport memcpy

from hyperport.bus.access cimport Access, SPACE_MEMORY, describe
from hyperport.bus.port_bus cimport DIRECTION_IN, DIRECTION_OUT, EXIT, PortBus, ones
from hyperport.cpu.vcpu cimport Vcpu
from hyperport.io.crossing cimport Crossing, enter
from hyperport.memory.map cimport HP_DEVICE, HP_RAM, MemoryMap, hp_range, hp_range_at


cdef uint32_t memory_in(Vcpu vcpu, PortBus bus, MemoryMap map, uint64_t address, uint32_t size, uintptr_t token) noexcept nogil:
    """A load of one aligned element, from whatever is there now."""
    cdef const hp_range *found = hp_range_at(&map.flat, address)
    cdef uint32_t value = 0, why = vcpu.why
    cdef uintptr_t outer = vcpu.token
    cdef Access access
    if found != NULL and found.kind != HP_DEVICE:
        memcpy(&value, found.host + (address - found.first), size)
        return value
    enter(vcpu, Crossing.MMIO, token)
    value = ones(size)
    if found != NULL:
        describe(&access, DIRECTION_IN, <uint32_t> address, size, EXIT, <void *> vcpu, token)
        access.space = SPACE_MEMORY
        bus.carry_memory(&access, found.number, <uint32_t> (found.offset + (address - found.first)))
        value = access.value
    vcpu.why, vcpu.token = why, outer
    return value


cdef void memory_out(Vcpu vcpu, PortBus bus, MemoryMap map, uint64_t address, uint32_t size, uint32_t value,
                     uintptr_t token) noexcept nogil:
    """A store of one aligned element, likewise."""
    cdef const hp_range *found = hp_range_at(&map.flat, address)
    cdef uint32_t why = vcpu.why
    cdef uintptr_t outer = vcpu.token
    cdef uint8_t *host
    cdef Access access
    if found != NULL and found.kind != HP_DEVICE:
        if found.kind == HP_RAM:
            host = found.host + (address - found.first)
            memcpy(host, &value, size)
            map.invalidate(map.invalidate_context, host, size)
        return
    enter(vcpu, Crossing.MMIO, token)
    if found != NULL:
        describe(&access, DIRECTION_OUT, <uint32_t> address, size, EXIT, <void *> vcpu, token)
        access.space = SPACE_MEMORY
        access.value = value & ones(size)
        bus.carry_memory(&access, found.number, <uint32_t> (found.offset + (address - found.first)))
    vcpu.why, vcpu.token = why, outer


cdef uint32_t load_at(Vcpu vcpu, PortBus bus, MemoryMap map, uint64_t first, uint64_t last, uint32_t size,
                      uintptr_t token) noexcept nogil:
    """A load of 1, 2 or 4 bytes. first, last: physical addresses of its ends, which may lie in two pages."""
    cdef uint32_t within = first & (size - 1)
    cdef uint32_t low
    if not within:
        return memory_in(vcpu, bus, map, first, size, token)
    low = memory_in(vcpu, bus, map, first - within, size, token) >> (8 * within)
    return (low | memory_in(vcpu, bus, map, last & ~<uint64_t> (size - 1), size, token) << (8 * (size - within))) & ones(size)


cdef void store_at(Vcpu vcpu, PortBus bus, MemoryMap map, uint64_t first, uint64_t last, uint32_t size, uint32_t value,
                   uintptr_t token) noexcept nogil:
    """A store of 1, 2 or 4 bytes likewise."""
    cdef uint32_t i
    cdef uint64_t page = ~<uint64_t> 0xFFF
    if not first & (size - 1):
        memory_out(vcpu, bus, map, first, size, value, token)
        return
    for i in range(size):
        memory_out(vcpu, bus, map, first + i if (first + i) & page == first & page else last - (size - 1 - i), 1,
                   value >> (8 * i) & 0xFF, token)


cdef void bytes_in(Vcpu vcpu, PortBus bus, MemoryMap map, uint64_t address, uint32_t length, uint8_t *data) noexcept nogil:
    """A load of 1 to 8 bytes within a page, for engines that report them so."""
    cdef uint64_t low, high
    cdef uint32_t piece, within, i
    if length == 1 or length == 2 or length == 4:
        piece = load_at(vcpu, bus, map, address, address + length - 1, length, 0)
        memcpy(data, &piece, length)
        return
    if length != 8:                     # what one page has of an access to two
        for i in range(length):
            data[i] = <uint8_t> memory_in(vcpu, bus, map, address + i, 1, 0)
        return
    within = address & 7
    address -= within
    low = memory_in(vcpu, bus, map, address, 4, 0)
    low |= <uint64_t> memory_in(vcpu, bus, map, address + 4, 4, 0) << 32
    if within:
        high = memory_in(vcpu, bus, map, address + 8, 4, 0)
        high |= <uint64_t> memory_in(vcpu, bus, map, address + 12, 4, 0) << 32
        low = low >> (8 * within) | high << (64 - 8 * within)
    memcpy(data, &low, 8)


cdef void bytes_out(Vcpu vcpu, PortBus bus, MemoryMap map, uint64_t address, uint32_t length, const uint8_t *data) noexcept nogil:
    """A store of 1 to 8 bytes likewise."""
    cdef uint32_t size = min(length, <uint32_t> 4), value, at = 0
    if length & (length - 1) or address & (length - 1):
        size = 1
    while at < length:
        value = 0
        memcpy(&value, data + at, size)
        memory_out(vcpu, bus, map, address + at, size, value, 0)
        at += size
