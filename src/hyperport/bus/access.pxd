# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
# The record of one access to a port or to device memory. It is made where guest code is left, and goes by pointer from there
# to path, bus, tallies and observers. Plain data: a guest fault may longjmp over it. bus/access.py holds what Python gets to see
# of it.
from libc.stdint cimport uint8_t, uint32_t, uintptr_t

cdef enum:
    SPACE_PORT = 0
    SPACE_MEMORY = 1

cdef struct Access:
    uint8_t direction       # DIRECTION_IN or DIRECTION_OUT, see bus/port_bus.pxd
    uint8_t size            # of an element, in bytes: 1, 2 or 4
    uint8_t path            # a Path
    uint8_t crossings       # that it is charged with: 0 for what follows within one crossing, and for posted writes
    uint8_t space           # SPACE_PORT, or SPACE_MEMORY: then port is a physical address
    uint8_t window          # of device memory: the number of its window,
    uint32_t site           # and where reports count it: a register's address, or where a large window begins
    uint32_t port
    uint32_t count          # elements
    uint32_t value          # of the only element, where data is NULL
    uint8_t *data           # count * size bytes, little-endian
    void *vcpu              # its place: who made it (a Vcpu, borrowed; NULL: not the guest's code), and the engine's
    uintptr_t token         # own word for where. Vcpu.place() makes CS:EIP of it, while the access is at hand


cdef inline void describe(Access *access, int direction, uint32_t port, uint32_t size, int path, void *vcpu,
                          uintptr_t token) noexcept nogil:
    """One element, one crossing, value 0."""
    access.direction = <uint8_t> direction
    access.size = <uint8_t> size
    access.path = <uint8_t> path
    access.crossings = 1
    access.space = SPACE_PORT
    access.port = port
    access.count = 1
    access.value = 0
    access.data = NULL
    access.vcpu = vcpu
    access.token = token
