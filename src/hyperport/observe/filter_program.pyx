# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
"""A compiled filter: what a compiled observer asks about an access, without the GIL. filter.py makes it of a text.

A program is a table of rows. A row looks whether a field of the access, under a mask, lies in a range, and names the row
to go on with for either answer, always one before it, or a verdict. So every program ends, after each row at most once.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy

from hyperport.bus.access cimport SPACE_MEMORY, SPACE_PORT, Access

from hyperport.errors import AccessError

cpdef enum Field:
    PORT = 0
    DIRECTION = 1
    SIZE = 2
    COUNT = 3
    PATH = 4
    VALUE = 5               # of any element
    CPL = 6                 # this and the next two hold for no access without a place
    CS = 7
    EIP = 8
    MEMORY = 9              # an address of device memory; holds for no access to a port

cpdef enum Verdict:
    TAKE = 0xFFFF
    LEAVE = 0xFFFE

MOST_ROWS = 4096


cdef inline bint holds(const Row *row, uint64_t value) noexcept nogil:
    value &= row.mask
    return (row.low <= value <= row.high) != row.outside


cdef inline bint some_element(const Row *row, const Access *access) noexcept nogil:
    cdef uint32_t i
    cdef uint64_t value
    if access.size == 1 and access.count == 1:
        return holds(row, access.data[0])
    for i in range(access.count):
        value = 0
        memcpy(&value, access.data + <size_t> i * access.size, access.size)
        if holds(row, value):
            return True
    return False


cdef inline bint matches(const Row *row, Seen *seen) noexcept nogil:
    cdef Access *access = seen.access
    cdef uint8_t field = row.field
    if field == Field.PORT:
        return access.space == SPACE_PORT and holds(row, access.port)
    elif field == Field.DIRECTION:
        return holds(row, access.direction)
    elif field == Field.SIZE:
        return holds(row, access.size)
    elif field == Field.COUNT:
        return holds(row, access.count)
    elif field == Field.PATH:
        return holds(row, access.path)
    elif field == Field.VALUE:
        return some_element(row, access)
    elif field == Field.MEMORY:
        return access.space == SPACE_MEMORY and holds(row, access.port)
    elif field == Field.CPL:
        return place_of(seen) and holds(row, seen.place.cpl)
    elif field == Field.CS:
        return place_of(seen) and holds(row, seen.place.cs)
    return place_of(seen) and holds(row, seen.place.eip)


cdef class FilterProgram:
    """rows: (field, mask, low, high, outside, yes, no) each; entry: the row to begin with, or a verdict. text: of messages."""

    def __cinit__(self, rows, uint16_t entry, text=""):
        cdef int index
        self.count = len(rows)
        self.text = text
        self.entry = entry
        if self.count > MOST_ROWS or (entry < Verdict.LEAVE and entry >= self.count):
            raise AccessError("no filter program")
        self.rows = <Row *> calloc(self.count + 1, sizeof(Row))
        if self.rows == NULL:
            raise MemoryError("no memory for a filter")
        for index, (field, mask, low, high, outside, yes, no) in enumerate(rows):
            if (yes < Verdict.LEAVE and yes >= index) or (no < Verdict.LEAVE and no >= index):
                raise AccessError(f"row {index} of a filter program does not go on before itself")
            self.rows[index] = Row(mask, low, high, field, bool(outside), yes, no)

    def __dealloc__(self):
        free(self.rows)

    cdef bint passes(self, Seen *seen) noexcept nogil:
        cdef uint16_t at = self.entry
        cdef const Row *row
        while at < Verdict.LEAVE:
            row = &self.rows[at]
            at = row.yes if matches(row, seen) else row.no
        return at == Verdict.TAKE

    def takes(self, access):
        """Whether a PortAccess passes."""
        cdef Access one
        cdef Seen seen
        cdef bytes data = access.data
        one.direction, one.size, one.path, one.crossings = access.direction, access.size, access.path, 0
        one.space, one.port, one.count = access.space, access.port, access.count
        one.value = 0
        one.data = <uint8_t *> data
        one.vcpu = NULL
        one.token = 0
        if len(data) != access.size * access.count or access.size > sizeof(uint64_t):
            raise AccessError(f"{len(data)} bytes are not {access.count} elements of {access.size}")
        look_at(&seen, &one)
        seen.asked = True
        seen.placed = access.place is not None
        if seen.placed:
            seen.place.cs, seen.place.eip = access.place.cs, access.place.eip
            seen.place.cpl, seen.place.exact = access.place.cpl, access.place.exact
        return self.passes(&seen)
