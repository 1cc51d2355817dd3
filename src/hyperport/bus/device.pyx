# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
"""The device contract, compiled side: what a chip must answer, and nothing about where it sits.

A chip knows offsets (0 to span - 1), never port numbers; it is handed its wires (IrqLine, Clock, backend)
by its constructor and never sees machine, bus or engine. All io_ and on_ methods run on the vCPU's thread,
without the GIL, and must not allocate. Plain Python devices meet the same contract through
python_device.pyx.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.stdint cimport uint8_t, uint32_t
from libc.string cimport memcpy

from hyperport.lines.listener cimport Listener

from hyperport.errors import AccessError, StateError


cdef class PortDevice(Listener):
    """Base of all compiled chips with ports. Subclasses override the io_ methods, what they hear as a Listener, and the
    class attributes.

    name:   short lower-case name, shown in port tables and messages
    span:   number of consecutive offsets
    widths: access sizes in bytes that io_read and io_write take whole; the bus splits all others
    postable: offsets whose writes nobody can time: they may come up to a millisecond late, in order, and before
        any other access of the guest
    """

    name = "device"
    span = 1
    widths = (1,)
    postable = ()

    cdef uint32_t io_read(self, uint32_t offset, uint32_t size) noexcept nogil:
        """One IN of size bytes at offset. Unused upper bits of the answer are ignored."""
        return 0xFFFFFFFF

    cdef void io_write(self, uint32_t offset, uint32_t size, uint32_t value) noexcept nogil:
        """One OUT of size bytes at offset; value has no bits above size."""
        pass

    cdef void io_read_block(self, uint32_t offset, uint32_t size, uint32_t count, uint8_t *data) noexcept nogil:
        """count elements of a string IN, packed little-endian into data."""
        cdef uint32_t i, value
        for i in range(count):
            value = self.io_read(offset, size)
            memcpy(data + i * size, &value, size)

    cdef void io_write_block(self, uint32_t offset, uint32_t size, uint32_t count, const uint8_t *data) noexcept nogil:
        """count elements of a string OUT, packed little-endian in data."""
        cdef uint32_t i, value
        for i in range(count):
            value = 0
            memcpy(&value, data + i * size, size)
            self.io_write(offset, size, value)

    def reset(self):
        """Bring the chip to its power-on state."""

    def save(self):
        """The chip's state as a small named record: dict of str to int, bytes or list of int."""
        return {}

    def load(self, record):
        """Take back what save() gave. Raises StateError for a record this chip cannot have made."""
        if record:
            raise StateError(f"{self.name}: unknown fields {sorted(record)}")

    # The same accesses from Python: for tests, the monitor and devices that wrap another device.

    def read(self, uint32_t offset, uint32_t size=1):
        """Read size (1, 2 or 4) bytes at offset; returns an int with no bits above size."""
        self._check(offset, size)
        return self.io_read(offset, size) & ((<uint32_t> 0xFFFFFFFF) >> (32 - 8 * size))

    def write(self, uint32_t offset, uint32_t size, uint32_t value):
        """Write the low size bytes of value at offset."""
        self._check(offset, size)
        self.io_write(offset, size, value & ((<uint32_t> 0xFFFFFFFF) >> (32 - 8 * size)))

    def read_block(self, uint32_t offset, uint32_t size, uint32_t count):
        """String IN: count elements of size bytes, as bytes."""
        self._check(offset, size)
        data = PyBytes_FromStringAndSize(NULL, <Py_ssize_t> size * count)
        self.io_read_block(offset, size, count, <uint8_t *> PyBytes_AS_STRING(data))
        return data

    def write_block(self, uint32_t offset, uint32_t size, bytes data):
        """String OUT: data holds a whole number of elements of size bytes."""
        self._check(offset, size)
        if len(data) % size:
            raise AccessError(f"{self.name}: {len(data)} bytes are no whole number of {size}-byte elements")
        self.io_write_block(offset, size, <uint32_t> (len(data) // size), <const uint8_t *> PyBytes_AS_STRING(data))

    def _check(self, uint32_t offset, uint32_t size):
        if size not in (1, 2, 4) or offset >= self.span:
            raise AccessError(f"{self.name}: no access of {size} bytes at offset {offset}, span is {self.span}")
