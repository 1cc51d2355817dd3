# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
"""INS and OUTS as whole strings: the memory side of a string port access, page by page.

What the guest may see of a string is its state between two elements: index and count registers, memory, and the
order in which the device was accessed. A chunk (elements within one page, in RAM) is therefore moved like this:

1. The page is probed. If it may not be read or written the guest gets its #PF here, with the registers of the
   first element that was not done, and before the device has been touched.
2. The device is accessed for all elements of the chunk, in order.
3. Index and count move on.

Elements that straddle two pages, or lie outside RAM, go one by one; both pages are probed first. With DF set the
elements of a chunk lie downward in memory; the device still sees them in order.

Where the segment is not flat, its limit and rights are looked at before each element, which then goes alone.

A string is left after MOST_ELEMENTS so that interrupts get their window, and an instruction under TF after each
element: run_string() says that it is not over, and the caller leaves EIP where it is, as the CPU does between two
elements.
"""

from libc.stdint cimport uint8_t, uint32_t
from libc.string cimport memcpy

from hyperport.bus.access cimport Access, describe
from hyperport.bus.port_bus cimport DIRECTION_IN, PortBus, carry_element, carry_string
from hyperport.cpu.decode cimport PortInstruction
from hyperport.cpu.vcpu cimport ECX, EDI, EDX, EFLAGS_DF, ESI, Vcpu

cdef enum:
    PAGE_SIZE = 4096
    MOST_ELEMENTS = 4096


cdef void string_of(Vcpu vcpu, const PortInstruction *instruction, int path, StringAccess *access) noexcept nogil:
    """The access that a decoded INS or OUTS makes."""
    access.path = path
    access.direction = instruction.direction
    access.port = vcpu.get(EDX) & 0xFFFF
    access.size = instruction.size
    access.segment = instruction.segment
    access.base = vcpu.segment_base(instruction.segment)
    access.mask = 0xFFFF if instruction.address_size == 2 else <uint32_t> 0xFFFFFFFF
    access.repeated = instruction.rep != 0
    access.checked = vcpu.segment_checked(instruction.segment)
    access.stepped = vcpu.steps()
    access.index_register = EDI if instruction.direction == DIRECTION_IN else ESI
    access.count_register = ECX


cdef inline void put_part(Vcpu vcpu, int register, uint32_t value, uint32_t mask) noexcept nogil:
    """The bits of mask; the others of the register stay."""
    vcpu.put(register, value if mask == <uint32_t> 0xFFFFFFFF else (vcpu.get(register) & ~mask) | (value & mask))


cdef bint run_string(Vcpu vcpu, PortBus bus, StringAccess *access) noexcept nogil:
    """Do all elements, or as many as may be done without a look up. True when the string is complete. May fault."""
    cdef bint down = (vcpu.flags() & EFLAGS_DF) != 0
    cdef uint32_t count = vcpu.get(access.count_register) & access.mask if access.repeated else 1
    cdef uint32_t budget = 1 if access.stepped else MOST_ELEMENTS
    cdef uint32_t crossings = 1
    cdef uint32_t index, done
    cdef int vector
    while count:
        if budget == 0:
            return False
        index = vcpu.get(access.index_register) & access.mask
        if access.checked:
            vector = vcpu.segment_fault(access.segment, index, access.size, access.direction == DIRECTION_IN)
            if vector:
                vcpu.fault(vector, 0)
        done = chunk_size(access.base + index, index, access, down, min(count, budget))
        if access.checked and done > 1 and not whole_chunk_fits(vcpu, access, index, done, down):
            done = 1
        if done:
            done = move_chunk(vcpu, bus, access, access.base + index, done, down, crossings)
        if not done:
            move_element(vcpu, bus, access, access.base + index, crossings)
            done = 1
        crossings = 0
        count -= done
        budget -= done
        index += -(done * access.size) if down else done * access.size
        put_part(vcpu, access.index_register, index, access.mask)
        if access.repeated:
            put_part(vcpu, access.count_register, count, access.mask)
            vcpu.moved(done)
    return True


cdef uint32_t chunk_size(uint32_t linear, uint32_t index, StringAccess *access, bint down, uint32_t most) noexcept nogil:
    """How many elements from here lie within this page and before the index wraps; 0 if the first one does not."""
    cdef uint32_t offset = linear & (PAGE_SIZE - 1)
    cdef uint32_t fit
    if offset + access.size > PAGE_SIZE or index > access.mask - (access.size - 1):
        return 0
    if down:
        fit = min(offset, index) // access.size + 1
    else:
        fit = min(PAGE_SIZE - offset, access.mask - index + 1 if index else PAGE_SIZE) // access.size
    return min(fit, most)


cdef bint whole_chunk_fits(Vcpu vcpu, StringAccess *access, uint32_t index, uint32_t count, bint down) noexcept nogil:
    """Whether the segment has the last of count elements: it has the first, and what lies between two of a segment's bytes."""
    cdef uint32_t way = (count - 1) * access.size
    return not vcpu.segment_fault(access.segment, index - way if down else index + way, access.size,
                                  access.direction == DIRECTION_IN)


cdef uint32_t move_chunk(Vcpu vcpu, PortBus bus, StringAccess *access, uint32_t linear, uint32_t count, bint down,
                         uint32_t crossings) noexcept nogil:
    """Move count elements of one page; returns 0 where they are not in RAM."""
    cdef uint32_t bytes_moved = count * access.size
    cdef uint8_t scratch[PAGE_SIZE]
    cdef uint32_t lowest = linear - (bytes_moved - access.size) if down else linear
    cdef uint8_t *host
    cdef uint32_t i
    cdef Access record
    if down and count > 1:
        vcpu.probe(linear, access.size, access.direction == DIRECTION_IN)    # a fault names the first element
    host = vcpu.probe(lowest, bytes_moved, access.direction == DIRECTION_IN)
    if host == NULL:
        return 0
    describe(&record, access.direction, access.port, access.size, access.path, <void *> vcpu, 0)
    record.crossings = <uint8_t> crossings
    if count == 1:              # as one element: the bus has a shorter way for it
        if access.direction == DIRECTION_IN:
            carry_element(bus, &record)
            memcpy(host, &record.value, access.size)
        else:
            memcpy(&record.value, host, access.size)
            carry_element(bus, &record)
        return 1
    record.count = count
    record.data = host
    if not down:
        carry_string(bus, &record)
        return count
    record.data = scratch
    if access.direction == DIRECTION_IN:
        carry_string(bus, &record)
        for i in range(count):
            memcpy(host + (count - 1 - i) * access.size, scratch + i * access.size, access.size)
    else:
        for i in range(count):
            memcpy(scratch + i * access.size, host + (count - 1 - i) * access.size, access.size)
        carry_string(bus, &record)
    return count


cdef void move_element(Vcpu vcpu, PortBus bus, StringAccess *access, uint32_t linear,
                       uint32_t crossings) noexcept nogil:
    """Move one element that straddles pages or lies outside RAM."""
    cdef Access record
    cdef uint32_t first = min(access.size, PAGE_SIZE - (linear & (PAGE_SIZE - 1)))
    describe(&record, access.direction, access.port, access.size, access.path, <void *> vcpu, 0)
    record.crossings = <uint8_t> crossings
    if access.direction == DIRECTION_IN:
        vcpu.probe(linear, first, True)
        if first < access.size:
            vcpu.probe(linear + first, access.size - first, True)
        carry_element(bus, &record)
        vcpu.store(linear, access.size, record.value)
    else:
        record.value = vcpu.load(linear, access.size)
        carry_element(bus, &record)
