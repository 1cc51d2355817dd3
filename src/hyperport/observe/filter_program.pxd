# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
from libc.stdint cimport uint8_t, uint16_t, uint64_t

from hyperport.bus.access cimport Access
from hyperport.cpu.vcpu cimport Place, Vcpu

cdef struct Seen:           # an access as observers look at it: its place is found out once, and only if it is asked for
    Access *access
    bint asked
    bint placed             # guest code made it, and place says where
    Place place

cdef struct Row:            # one test, and where to go on
    uint64_t mask, low, high
    uint8_t field
    uint8_t outside         # it holds outside low .. high, else inside
    uint16_t yes, no        # rows before this one, or a verdict


cdef inline void look_at(Seen *seen, Access *access) noexcept nogil:
    seen.access = access
    seen.asked = False


cdef inline bint place_of(Seen *seen) noexcept nogil:
    """Whether the access has a place; seen.place is then good."""
    if not seen.asked:
        seen.asked = True
        seen.placed = seen.access.vcpu != NULL
        if seen.placed:
            (<Vcpu> seen.access.vcpu).place(seen.access.token, &seen.place)
    return seen.placed


cdef class FilterProgram:
    cdef readonly str text
    cdef Row *rows
    cdef uint16_t entry
    cdef int count
    cdef bint passes(self, Seen *seen) noexcept nogil
