# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
"""The last accesses, kept in memory: two rings of fixed size, one of entries and one of their data.

Recording takes no GIL and allocates nothing, so it may stay on for a real guest. What falls out of the rings is
remembered by port, and for device memory as a whole: a log that is not whole says so and is never taken for one that is.
"""

from cpython.bytes cimport PyBytes_AsString, PyBytes_FromStringAndSize
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memset

from hyperport.bus.access cimport SPACE_MEMORY, SPACE_PORT, Access
from hyperport.bus.port_bus cimport PORTS, PortObserver

from hyperport.bus.access import Direction, PortAccess, Space
from hyperport.bus.port_bus import Path

cdef enum:
    ENTRIES = 1 << 16
    DATA_SIZE = 1 << 20

cdef struct Entry:
    uint64_t begin      # of its data, counted from the first byte ever kept
    uint32_t count      # elements
    uint32_t port       # or physical address
    uint8_t space
    uint8_t direction
    uint8_t size
    uint8_t path


cdef class PortLog(PortObserver):
    """An observer for PortBus.observe() that keeps the last 65,536 accesses, with at most 1 MiB of data.

    ports: record only accesses that begin at one of these; None for all, and for those of device memory. Ask while the
    guest is stopped.
    """

    cdef Entry *entries
    cdef uint8_t *data
    cdef uint8_t wanted[PORTS]
    cdef uint8_t incomplete[PORTS]
    cdef bint memory_wanted, memory_incomplete
    cdef uint64_t first, last       # entries first .. last - 1 are kept
    cdef uint64_t data_end

    def __cinit__(self):
        self.entries = <Entry *> calloc(ENTRIES, sizeof(Entry))
        self.data = <uint8_t *> calloc(DATA_SIZE, 1)
        if self.entries == NULL or self.data == NULL:
            raise MemoryError("no memory for the log of port accesses")

    def __init__(self, ports=None):
        memset(self.wanted, ports is None, sizeof(self.wanted))
        self.memory_wanted = ports is None
        for port in ports or ():
            self.wanted[<uint16_t> port] = 1

    def __dealloc__(self):
        free(self.entries)
        free(self.data)

    cdef void access(self, Access *access) noexcept nogil:
        if self.wanted[access.port]:
            self.keep(access)

    cdef void memory_access(self, Access *access) noexcept nogil:
        if self.memory_wanted:
            self.keep(access)

    cdef void keep(self, Access *access) noexcept nogil:
        cdef uint32_t port = access.port
        cdef uint64_t length = <uint64_t> access.size * access.count, at, head
        if length > DATA_SIZE:
            self.lose(access.space, port)
            return
        while self.last - self.first == ENTRIES or (
                self.first < self.last and self.data_end + length - self.entries[self.first % ENTRIES].begin > DATA_SIZE):
            self.lose(self.entries[self.first % ENTRIES].space, self.entries[self.first % ENTRIES].port)
            self.first += 1
        self.entries[self.last % ENTRIES] = Entry(self.data_end, access.count, port, access.space, access.direction,
                                                  access.size, access.path)
        self.last += 1
        at = self.data_end % DATA_SIZE
        head = min(length, DATA_SIZE - at)
        memcpy(self.data + at, access.data, head)
        memcpy(self.data, access.data + head, length - head)
        self.data_end += length

    cdef inline void lose(self, uint8_t space, uint32_t port) noexcept nogil:
        if space == SPACE_PORT:
            self.incomplete[port] = True
        else:
            self.memory_incomplete = True

    def accesses(self, port=None, limit=None, space=None):
        """The kept accesses that begin at port (None: at any), oldest first; with a limit, only the last ones.

        space: Space.PORT or Space.MEMORY, where port is a physical address; None: both.
        """
        cdef uint64_t number = self.last
        cdef Entry *entry
        found = []
        while number > self.first and (limit is None or len(found) < limit):
            number -= 1
            entry = &self.entries[number % ENTRIES]
            if (port is None or entry.port == port) and (space is None or entry.space == space):
                found.append(PortAccess(Direction(entry.direction), entry.port, entry.size, entry.count,
                                        self.data_of(entry), Path(entry.path), None, Space(entry.space)))
        found.reverse()
        return found

    cdef bytes data_of(self, Entry *entry):
        cdef uint64_t length = <uint64_t> entry.size * entry.count, at = entry.begin % DATA_SIZE
        cdef uint64_t head = min(length, DATA_SIZE - at)
        cdef bytes copy = PyBytes_FromStringAndSize(NULL, <Py_ssize_t> length)
        memcpy(PyBytes_AsString(copy), self.data + at, head)
        memcpy(PyBytes_AsString(copy) + head, self.data, length - head)
        return copy

    def complete(self, port, space=Space.PORT):
        """Whether every access that began at port, or every one of device memory, since the last clear() is still here."""
        if space == SPACE_MEMORY:
            return self.memory_wanted and not self.memory_incomplete
        return self.wanted[<uint16_t> port] and not self.incomplete[<uint16_t> port]

    def clear(self):
        """Forget all accesses."""
        self.first = self.last
        self.memory_incomplete = False
        memset(self.incomplete, 0, sizeof(self.incomplete))
