# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
"""The last port accesses, kept in memory: two rings of fixed size, one of entries and one of their data.

Recording takes no GIL and allocates nothing, so it may stay on for a real guest. What falls out of the rings is
remembered by port: a log that is not whole for a port says so and is never taken for one that is.
"""

from cpython.bytes cimport PyBytes_AsString, PyBytes_FromStringAndSize
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memset

from hyperport.bus.access cimport SPACE_PORT, Access
from hyperport.bus.port_bus cimport PORTS, PortObserver

from hyperport.bus.access import Direction, PortAccess
from hyperport.bus.port_bus import Path

cdef enum:
    ENTRIES = 1 << 16
    DATA_SIZE = 1 << 20

cdef struct Entry:
    uint64_t begin      # of its data, counted from the first byte ever kept
    uint32_t count      # elements
    uint16_t port
    uint8_t direction
    uint8_t size
    uint8_t path


cdef class PortLog(PortObserver):
    """An observer for PortBus.observe() that keeps the last 65,536 accesses, with at most 1 MiB of data.

    ports: record only accesses that begin at one of these; None for all. Ask while the guest is stopped.
    """

    cdef Entry *entries
    cdef uint8_t *data
    cdef uint8_t wanted[PORTS]
    cdef uint8_t incomplete[PORTS]
    cdef uint64_t first, last       # entries first .. last - 1 are kept
    cdef uint64_t data_end

    def __cinit__(self):
        self.entries = <Entry *> calloc(ENTRIES, sizeof(Entry))
        self.data = <uint8_t *> calloc(DATA_SIZE, 1)
        if self.entries == NULL or self.data == NULL:
            raise MemoryError("no memory for the log of port accesses")

    def __init__(self, ports=None):
        memset(self.wanted, ports is None, sizeof(self.wanted))
        for port in ports or ():
            self.wanted[<uint16_t> port] = 1

    def __dealloc__(self):
        free(self.entries)
        free(self.data)

    cdef void access(self, Access *access) noexcept nogil:
        cdef uint32_t port = access.port
        cdef uint64_t length = <uint64_t> access.size * access.count, at, head
        if access.space != SPACE_PORT or not self.wanted[port]:
            return
        if length > DATA_SIZE:
            self.incomplete[port] = True
            return
        while self.last - self.first == ENTRIES or (
                self.first < self.last and self.data_end + length - self.entries[self.first % ENTRIES].begin > DATA_SIZE):
            self.incomplete[self.entries[self.first % ENTRIES].port] = True
            self.first += 1
        self.entries[self.last % ENTRIES] = Entry(self.data_end, access.count, <uint16_t> port, access.direction,
                                                  access.size, access.path)
        self.last += 1
        at = self.data_end % DATA_SIZE
        head = min(length, DATA_SIZE - at)
        memcpy(self.data + at, access.data, head)
        memcpy(self.data, access.data + head, length - head)
        self.data_end += length

    def accesses(self, port=None, limit=None):
        """The kept accesses that begin at port (None: at any), oldest first; with a limit, only the last ones."""
        cdef uint64_t number = self.last
        cdef Entry *entry
        found = []
        while number > self.first and (limit is None or len(found) < limit):
            number -= 1
            entry = &self.entries[number % ENTRIES]
            if port is None or entry.port == port:
                found.append(PortAccess(Direction(entry.direction), entry.port, entry.size, entry.count,
                                        self.data_of(entry), Path(entry.path)))
        found.reverse()
        return found

    cdef bytes data_of(self, Entry *entry):
        cdef uint64_t length = <uint64_t> entry.size * entry.count, at = entry.begin % DATA_SIZE
        cdef uint64_t head = min(length, DATA_SIZE - at)
        cdef bytes copy = PyBytes_FromStringAndSize(NULL, <Py_ssize_t> length)
        memcpy(PyBytes_AsString(copy), self.data + at, head)
        memcpy(PyBytes_AsString(copy) + head, self.data, length - head)
        return copy

    def complete(self, uint16_t port):
        """Whether every access that began at port since the last clear() is still here."""
        return self.wanted[port] and not self.incomplete[port]

    def clear(self):
        """Forget all accesses."""
        self.first = self.last
        memset(self.incomplete, 0, sizeof(self.incomplete))
