# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
"""Direct memory access: the guest's memory as a device reaches it, and nothing else of the memory object.

Every access goes through the map as it is now (map.pyx): RAM and its aliases are read and written, ROM is read and
writes to it vanish; a range that holds device memory, or where nobody is, is refused as a whole and moves no byte. A
write makes the engine drop code that it has translated from there. Addresses are guest-physical, A20 does not apply.
"""

from cpython.bytes cimport PyBytes_AsString, PyBytes_FromStringAndSize
from libc.stdint cimport uint8_t, uint64_t
from libc.string cimport memcpy

from hyperport.memory.map cimport HP_RAM, hp_host_at, hp_range, hp_range_at
from hyperport.memory.ram cimport GuestMemory

from hyperport.errors import AccessError

TOP = 1 << 32


cdef class DmaView:
    """What a device is handed instead of the memory. size: bytes of RAM, counted from address 0 with its hole."""

    def __init__(self, GuestMemory memory not None):
        self.memory = memory

    @property
    def size(self):
        return self.memory.size

    # For compiled chips: False, and nothing done, where the range is not memory.

    cdef bint covers(self, uint64_t address, uint64_t length) noexcept nogil:
        """Whether length bytes at address are RAM or ROM."""
        cdef const hp_range *found
        cdef uint64_t end = address + length
        if end < address:
            return False
        if length == 0:                 # the end of memory counts as in it
            return hp_host_at(&self.memory.map.flat, address, 0, False) != NULL or (
                address and hp_host_at(&self.memory.map.flat, address - 1, 0, False) != NULL)
        while address < end:
            found = hp_range_at(&self.memory.map.flat, address)
            if found == NULL or found.host == NULL:
                return False
            address = found.end
        return True

    cdef bint fetch(self, uint64_t address, uint64_t length, uint8_t *data) noexcept nogil:
        """Copy length bytes of memory at address to data."""
        cdef const hp_range *found
        cdef uint64_t piece
        if not self.covers(address, length):
            return False
        while length:
            found = hp_range_at(&self.memory.map.flat, address)
            piece = min(length, found.end - address)
            memcpy(data, found.host + (address - found.first), piece)
            address, data, length = address + piece, data + piece, length - piece
        return True

    cdef bint store(self, uint64_t address, uint64_t length, const uint8_t *data) noexcept nogil:
        """Copy length bytes of data to memory at address."""
        cdef const hp_range *found
        cdef uint64_t piece
        cdef uint8_t *host
        if not self.covers(address, length):
            return False
        while length:
            found = hp_range_at(&self.memory.map.flat, address)
            piece = min(length, found.end - address)
            if found.kind == HP_RAM:
                host = found.host + (address - found.first)
                memcpy(host, data, piece)
                self.memory.map.invalidate(self.memory.map.invalidate_context, host, piece)
            address, data, length = address + piece, data + piece, length - piece
        return True

    # The same for devices in plain Python.

    def is_ram(self, address, length):
        """Whether length bytes at address are RAM or ROM: ask before an access whose address came from the guest."""
        return 0 <= address < TOP and 0 <= length < TOP and self.covers(address, length)

    def read(self, address, length):
        """length bytes of memory at address. Raises AccessError where they are not RAM or ROM."""
        self._check(address, length)
        data = PyBytes_FromStringAndSize(NULL, <Py_ssize_t> length)
        self.fetch(address, length, <uint8_t *> PyBytes_AsString(data))
        return data

    def write(self, address, data):
        """Store data in memory at address. Raises AccessError where that is not RAM or ROM."""
        cdef bytes source = bytes(data)
        self._check(address, len(source))
        self.store(address, <uint64_t> len(source), <const uint8_t *> PyBytes_AsString(source))

    def _check(self, address, length):
        if not self.is_ram(address, length):
            raise AccessError(f"DMA: {length} bytes at {address:#x} are not RAM; RAM and ROM are "
                              + " and ".join(f"{low:#x} to {high:#x}" for low, high, kind, _ in self.memory.map.layout()
                                             if kind not in ("device", "hole")))
