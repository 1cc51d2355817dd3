# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
"""Direct memory access: the guest's RAM as a device reaches it, and nothing else of the memory object.

Every access is checked against the regions that are RAM for the guest (GuestMemory.regions()); one that is not inside
one region as a whole moves no byte. A write makes the engine drop code that it has translated from there.
Addresses are guest-physical, A20 does not apply.
"""

from cpython.bytes cimport PyBytes_AsString, PyBytes_FromStringAndSize
from libc.stdint cimport uint8_t, uint64_t
from libc.string cimport memcpy

from hyperport.memory.ram cimport HOLE, HOLE_END, GuestMemory

from hyperport.errors import AccessError


cdef class DmaView:
    """What a device is handed instead of the memory. size: bytes of RAM, counted from address 0 with its hole."""

    def __init__(self, GuestMemory memory not None):
        self.memory = memory

    @property
    def size(self):
        return self.memory.size

    # For compiled chips: False, and nothing done, where the range is not RAM.

    cdef bint covers(self, uint64_t address, uint64_t length) noexcept nogil:
        """Whether length bytes at address are RAM."""
        if length > self.memory.size or address > self.memory.size - length:
            return False
        return address + length <= HOLE or address >= HOLE_END

    cdef bint fetch(self, uint64_t address, uint64_t length, uint8_t *data) noexcept nogil:
        """Copy length bytes of RAM at address to data."""
        if not self.covers(address, length):
            return False
        memcpy(data, self.memory.base + address, length)
        return True

    cdef bint store(self, uint64_t address, uint64_t length, const uint8_t *data) noexcept nogil:
        """Copy length bytes of data to RAM at address."""
        if not self.covers(address, length):
            return False
        memcpy(self.memory.base + address, data, length)
        self.memory.invalidate(self.memory.invalidate_context, address, length)
        return True

    # The same for devices in plain Python.

    def is_ram(self, address, length):
        """Whether length bytes at address are RAM: ask before an access whose address came from the guest."""
        return 0 <= address <= self.memory.size and 0 <= length <= self.memory.size and self.covers(address, length)

    def read(self, address, length):
        """length bytes of RAM at address. Raises AccessError where they are not RAM."""
        self._check(address, length)
        data = PyBytes_FromStringAndSize(NULL, <Py_ssize_t> length)
        self.fetch(address, length, <uint8_t *> PyBytes_AsString(data))
        return data

    def write(self, address, data):
        """Store data in RAM at address. Raises AccessError where that is not RAM."""
        cdef bytes source = bytes(data)
        self._check(address, len(source))
        self.store(address, <uint64_t> len(source), <const uint8_t *> PyBytes_AsString(source))

    def _check(self, address, length):
        if not self.is_ram(address, length):
            raise AccessError(f"DMA: {length} bytes at {address:#x} are not RAM; RAM is "
                              + " and ".join(f"{low:#x} to {high - 1:#x}" for low, high in self.memory.regions()))
