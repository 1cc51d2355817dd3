# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from hyperport.bus.access cimport Access
from hyperport.bus.device cimport PortDevice

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
    MAX_WINDOWS = 256
    MAX_OBSERVERS = 8

cdef struct Window:
    void *device
    uint32_t first      # first port
    uint32_t last       # last port
    uint32_t offset     # device offset of the first port
    uint32_t widths     # bit n set: accesses of n bytes go whole to the device

cdef struct Tally:
    uint64_t accesses   # elements the guest transferred
    uint64_t crossings  # transitions guest -> VMM -> guest that it took

ctypedef void (*gate_function)(void *context) noexcept nogil

cdef class PortObserver:
    cdef void access(self, Access *access) noexcept nogil

cdef class PortBus:
    cdef uint8_t slots[PORTS]
    cdef Window windows[MAX_WINDOWS]
    cdef int window_count
    cdef Tally *tallies
    cdef void *observers[MAX_OBSERVERS]
    cdef int observer_count
    cdef list _attached
    cdef list _watching
    cdef gate_function gate     # what every access from Python passes first: see io/crossing.pyx
    cdef void *gate_context
    cdef void carry(self, Access *access) noexcept nogil
    cdef void carry_block(self, Access *access) noexcept nogil
    cdef void from_python(self, Access *access) noexcept nogil
    cdef bint nobody_at(self, uint32_t port, uint32_t size) noexcept nogil
    cdef uint32_t route_read(self, uint32_t port, uint32_t size) noexcept nogil
    cdef void route_write(self, uint32_t port, uint32_t size, uint32_t value) noexcept nogil
    cdef void tell(self, Access *access) noexcept nogil
