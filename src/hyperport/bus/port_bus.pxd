# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from hyperport.bus.access cimport Access
from hyperport.bus.attributes cimport PortAttributes
from hyperport.bus.device cimport PortDevice
from hyperport.bus.memo cimport Counting, count_known
from hyperport.memory.map cimport HP_REGIONS

cpdef enum Path:
    TRAP = 0            # #GP, fetch, decode, simulate
    EXIT = 1            # the engine reported the access
    HYPERCALL = 2       # the guest called
    POSTED = 3          # a write drained from the ring
    SHADOW = 4          # a read answered from the shared page

cdef enum:
    PORTS = 65536
    SIZES = 3           # 1, 2 and 4 bytes, at index size >> 1
    PATH_KINDS = 5
    DIRECTION_IN = 0
    DIRECTION_OUT = 1
    MOST_REGISTERS = 4096   # bytes of a window of device memory that reports tell the addresses of

cdef struct Slot:       # one port
    void *device        # its PortDevice, or NULL
    uint32_t offset     # the device's offset
    uint8_t whole       # sizes (1 | 2 | 4) of accesses that go whole to the device
    uint8_t touched     # the port has been accessed
    uint8_t direct      # sizes for which an element needs no more than the device and two counters
    uint8_t counted     # sizes for which it may need no more than that and the counter of an observer

cdef struct Tally:
    uint64_t accesses   # elements the guest transferred
    uint64_t crossings  # transitions guest -> VMM -> guest that it took

cdef struct MemoryWindow:       # device memory
    uint32_t offset     # where in the device's it begins
    uint32_t size       # bytes
    void *device        # its PortDevice
    uint8_t whole       # sizes (1 | 2 | 4) of accesses that go whole to it
    Tally tallies[2 * SIZES]    # direction * SIZES + (size >> 1)

ctypedef void (*gate_function)(void *context) noexcept nogil

cdef class PortObserver:
    cdef Counting *counting     # NULL: it wants to see every access
    cdef void access(self, Access *access) noexcept nogil
    cdef void memory_access(self, Access *access) noexcept nogil

cdef class PortBus:
    cdef Slot *slots
    cdef Tally *tallies
    cdef uint16_t *touched      # the ports that have been accessed
    cdef uint32_t touched_count
    cdef void **observers
    cdef Py_ssize_t observer_count
    cdef Counting *counting     # of the only observer
    cdef bint clocked           # carry() measures what the device takes
    cdef uint64_t device_ticks  # of the TSC, of the last access while clocked
    cdef readonly PortAttributes attributes
    cdef list _windows          # (first port, last port, device)
    cdef MemoryWindow memory_windows[HP_REGIONS]
    cdef list _regions          # by number of the window: (Region, device)
    cdef dict _attached         # id of what was given to attach() -> its PortDevice
    cdef list _watching
    cdef public object guard    # see machine/guard.py; None: whoever comes
    cdef gate_function gate     # what every access from Python passes first: see io/crossing.pyx
    cdef void *gate_context
    cdef void touch(self, uint32_t port) noexcept nogil
    cdef void settle(self, Slot *slot) noexcept nogil
    cdef void carry(self, Access *access) noexcept nogil
    cdef void carry_block(self, Access *access) noexcept nogil
    cdef void carry_memory(self, Access *access, uint32_t window, uint32_t offset) noexcept nogil
    cdef void from_python(self, Access *access) noexcept nogil
    cdef bint nobody_at(self, uint32_t port, uint32_t size) noexcept nogil
    cdef uint32_t route_read(self, uint32_t port, uint32_t size) noexcept nogil
    cdef void route_write(self, uint32_t port, uint32_t size, uint32_t value) noexcept nogil
    cdef void tell(self, Access *access) noexcept nogil


cdef inline uint32_t tally_index(uint32_t port, int direction, uint32_t size, int path) noexcept nogil:
    return ((port * 2 + direction) * SIZES + (size >> 1)) * PATH_KINDS + path


cdef inline uint64_t memory_index(const Access *access) noexcept nogil:
    """Of an access to device memory, what tally_index() is of one to a port."""
    return <uint64_t> 1 << 63 | <uint64_t> access.site << 3 | access.direction * SIZES + (access.size >> 1)


cdef inline uint32_t ones(uint32_t size) noexcept nogil:
    return (<uint32_t> 0xFFFFFFFF) >> (32 - 8 * size)


cdef inline Slot *straight(PortBus bus, Access *access, uint32_t elements) noexcept nogil:
    """Where nothing stands between an access and its device: the slot, with the access counted. Else it is carried, and NULL."""
    cdef Slot *slot = &bus.slots[access.port]
    cdef uint32_t index = tally_index(access.port, access.direction, access.size, access.path)
    cdef Tally *tally
    if not slot.direct & access.size and not (slot.counted & access.size and count_known(bus.counting, access, index)):
        bus.carry(access)
        return NULL
    tally = &bus.tallies[index]
    tally.accesses += elements
    tally.crossings += access.crossings
    return slot


cdef inline void carry_element(PortBus bus, Access *access) noexcept nogil:
    """carry() for what has no data, inline as far as the device."""
    cdef Slot *slot = straight(bus, access, 1)
    if slot == NULL:
        return
    if access.direction == DIRECTION_IN:
        access.value = (<PortDevice> slot.device).io_read(slot.offset, access.size) & ones(access.size)
    else:
        (<PortDevice> slot.device).io_write(slot.offset, access.size, access.value & ones(access.size))


cdef inline void carry_string(PortBus bus, Access *access) noexcept nogil:
    """carry() for several elements in data, inline as far as the device likewise."""
    cdef Slot *slot = straight(bus, access, access.count)
    if slot == NULL:
        return
    if access.direction == DIRECTION_IN:
        (<PortDevice> slot.device).io_read_block(slot.offset, access.size, access.count, access.data)
    else:
        (<PortDevice> slot.device).io_write_block(slot.offset, access.size, access.count, access.data)
