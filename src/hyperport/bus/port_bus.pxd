# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from hyperport.bus.attributes cimport PortAttributes

cpdef enum Path:
    TRAP = 0            # #GP, fetch, decode, simulate
    EXIT = 1            # the engine reported the access
    HYPERCALL = 2       # the guest called
    POSTED = 3          # a write drained from the ring
    SHADOW = 4          # a read answered from the shared page

cdef enum:
    PORTS = 65536
    PATHS = 5
    DIRECTION_IN = 0
    DIRECTION_OUT = 1

cdef struct Slot:       # one port
    void *device        # its PortDevice, or NULL
    uint32_t offset     # the device's offset
    uint8_t whole       # sizes (1 | 2 | 4) of accesses that go whole to the device
    uint8_t touched     # the port has been accessed

cdef struct Tally:
    uint64_t accesses   # elements the guest transferred
    uint64_t crossings  # transitions guest -> VMM -> guest that it took

cdef class PortObserver:
    cdef void access(self, int direction, uint32_t port, uint32_t size, uint32_t count,
                     const uint8_t *data, int path) noexcept nogil

cdef class PortBus:
    cdef Slot *slots
    cdef Tally *tallies
    cdef uint16_t *touched      # the ports that have been accessed
    cdef uint32_t touched_count
    cdef void **observers
    cdef Py_ssize_t observer_count
    cdef readonly PortAttributes attributes
    cdef list _windows          # (first port, last port, device)
    cdef dict _attached         # id of what was given to attach() -> its PortDevice
    cdef list _watching
    cdef Tally *tally_of(self, uint32_t port, int direction, uint32_t size, int path) noexcept nogil
    cdef void touch(self, uint32_t port) noexcept nogil
    cdef uint32_t read(self, uint32_t port, uint32_t size, int path) noexcept nogil
    cdef void write(self, uint32_t port, uint32_t size, uint32_t value, int path) noexcept nogil
    cdef void read_block(self, uint32_t port, uint32_t size, uint32_t count, uint8_t *data, int path,
                         uint32_t crossings) noexcept nogil
    cdef void write_block(self, uint32_t port, uint32_t size, uint32_t count, const uint8_t *data, int path,
                          uint32_t crossings) noexcept nogil
    cdef bint nobody_at(self, uint32_t port, uint32_t size) noexcept nogil
    cdef uint32_t route_read(self, uint32_t port, uint32_t size) noexcept nogil
    cdef void route_write(self, uint32_t port, uint32_t size, uint32_t value) noexcept nogil
    cdef void tell(self, int direction, uint32_t port, uint32_t size, uint32_t count, const uint8_t *data,
                   int path) noexcept nogil
