# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
"""The device contract, compiled side: what a chip must answer, and nothing about where it sits.

A chip knows offsets (0 to span - 1), never port numbers; it is handed its wires (IrqLine, Clock, backend)
by its constructor and never sees machine, bus or engine. All io_ and on_ methods run on the vCPU's thread,
without the GIL, and must not allocate. Plain Python devices meet the same contract through
python_device.pyx.
"""

from cpython.bytes cimport PyBytes_AsString, PyBytes_FromStringAndSize
from libc.stdint cimport uint8_t, uint16_t, uint32_t
from libc.stdlib cimport free, realloc
from libc.string cimport memcpy

from hyperport.bus.attributes cimport PortAttributes
from hyperport.lines.saved cimport Saved

from hyperport.errors import AccessError


cdef inline uint32_t ones(uint32_t size) noexcept nogil:
    return (<uint32_t> 0xFFFFFFFF) >> (32 - 8 * size)


cdef class PortDevice(Saved):
    """Base of all compiled chips with ports. Subclasses override the io_ methods, what they hear as a Listener, and the
    class attributes.

    name: short lower-case name, shown in port tables and messages
    span: number of consecutive offsets
    widths: sizes of accesses, 1, 2 or 4 bytes, that io_read and io_write take whole; all others are split
    widths_at: offset -> widths, where they are others
    memory_span: bytes of device memory, a multiple of 4,096; 0 for none. memory_widths: as widths, for mem_read and mem_write
    """

    name = "device"
    span = 1
    widths = (1,)
    widths_at = {}
    memory_span = 0
    memory_widths = (1, 2, 4)

    def __dealloc__(self):
        free(self.attachments)

    cdef uint32_t io_read(self, uint32_t offset, uint32_t size) noexcept nogil:
        """One IN of size bytes at offset. Unused upper bits of the answer are ignored."""
        return 0xFFFFFFFF

    cdef void io_write(self, uint32_t offset, uint32_t size, uint32_t value) noexcept nogil:
        """One OUT of size bytes at offset; value has no bits above size."""
        pass

    cdef void io_read_block(self, uint32_t offset, uint32_t size, uint32_t count, uint8_t *data) noexcept nogil:
        """count elements of a string IN, packed little-endian into data."""
        cdef uint32_t i, value
        cdef uint16_t word
        if size == 1:
            for i in range(count):
                data[i] = <uint8_t> self.io_read(offset, 1)
        elif size == 2:
            for i in range(count):
                word = <uint16_t> self.io_read(offset, 2)
                memcpy(data + 2 * i, &word, 2)
        else:
            for i in range(count):
                value = self.io_read(offset, 4)
                memcpy(data + 4 * i, &value, 4)

    cdef void io_write_block(self, uint32_t offset, uint32_t size, uint32_t count, const uint8_t *data) noexcept nogil:
        """count elements of a string OUT, packed little-endian in data."""
        cdef uint32_t i, value
        cdef uint16_t word
        if size == 1:
            for i in range(count):
                self.io_write(offset, 1, data[i])
        elif size == 2:
            for i in range(count):
                memcpy(&word, data + 2 * i, 2)
                self.io_write(offset, 2, word)
        else:
            for i in range(count):
                memcpy(&value, data + 4 * i, 4)
                self.io_write(offset, 4, value)

    cdef uint32_t mem_read(self, uint32_t offset, uint32_t size) noexcept nogil:
        """One load of size bytes at offset of the device's memory, naturally aligned. Upper bits are ignored."""
        return 0xFFFFFFFF

    cdef void mem_write(self, uint32_t offset, uint32_t size, uint32_t value) noexcept nogil:
        """One store of size bytes likewise; value has no bits above size."""
        pass

    # Attributes: what the guest cannot tell about an access. attributes() is asked when the device is attached, and
    # at each publish() while somebody observes.

    cdef uint32_t attributes(self, uint32_t offset) noexcept nogil:
        """What holds for accesses at offset in the present state: postable(sizes) | shadowed(sizes).

        postable: nobody can time these OUTs; they may come up to a millisecond late, in order, and before any other
        access of the guest: so in this state none of them changes a line, starts a timer, or changes what is declared or
        what a shadowed register reads. shadowed: these INs have no effect, and read what they read at the last publish().
        """
        return 0

    cdef void tell_attributes(self, uint32_t offset) noexcept nogil:
        """publish(), once somebody observes."""
        cdef Attachment *window
        cdef Py_ssize_t i
        for i in range(self.attachment_count):
            window = &self.attachments[i]
            if window.offset <= offset < window.offset + window.span:
                (<PortAttributes> window.attributes).set(window.port + offset - window.offset,
                                                         self.attributes(offset))

    cdef note_attachment(self, PortAttributes attributes, uint32_t port, uint32_t offset, uint32_t span):
        """From now on publish() tells attributes of this window; the bus calls it when it attaches one."""
        cdef size_t size = <size_t> (self.attachment_count + 1) * sizeof(Attachment)
        cdef Attachment *grown = <Attachment *> realloc(self.attachments, size)
        cdef uint32_t i
        if grown == NULL:
            raise MemoryError("no memory for a window")
        self.attachments = grown
        if self._kept is None:
            self._kept = []
        self._kept.append(attributes)
        self.attachments[self.attachment_count] = Attachment(<void *> attributes, port, offset, span)
        self.attachment_count += 1
        self.observed = self.observed or attributes.observer_count > 0
        attributes.note_device(self)
        for i in range(span):
            attributes.set(port + i, self.attributes(offset + i))

    def tell_windows(self, PortAttributes attributes not None, bint observed):
        """Tell these attributes of all offsets that have ports there. observed: publish() is to tell of changes."""
        cdef Attachment *window
        cdef Py_ssize_t i
        cdef uint32_t at
        self.observed = self.observed or observed
        for i in range(self.attachment_count):
            window = &self.attachments[i]
            if window.attributes == <void *> attributes:
                for at in range(window.span):
                    attributes.set(window.port + at, self.attributes(window.offset + at))

    def attributes_at(self, uint32_t offset):
        """The attribute bits of offset just now, as PortAttributes.at() gives them."""
        return self.attributes(offset)

    def publish_at(self, uint32_t offset):
        """publish() from Python."""
        self.publish(offset)

    def reset(self):
        """Bring the chip to its power-on state."""

    def bus_reset(self):
        """The bus's RESET line: as power-on, but for what a battery keeps."""
        self.reset()

    # The same accesses from Python, split as the bus does: for tests, the monitor and devices that wrap another device.

    def takes(self, offset):
        """The widths that offset takes whole, without those that reach beyond the span."""
        widths = self.widths_at.get(offset, self.widths)
        return tuple(size for size in widths if offset + size <= self.span)

    def read(self, uint32_t offset, uint32_t size=1):
        """Read size (1, 2 or 4) bytes at offset; returns an int with no bits above size."""
        self._check(offset, size)
        if size in self.takes(offset):
            return self.io_read(offset, size) & ones(size)
        if size == 1:
            return 0xFF
        half = size >> 1
        low = self.read(offset, half)
        return low | (self.read(offset + half, half) if offset + half < self.span else ones(half)) << 8 * half

    def write(self, uint32_t offset, uint32_t size, uint32_t value):
        """Write the low size bytes of value at offset."""
        self._check(offset, size)
        value &= ones(size)
        if size in self.takes(offset):
            self.io_write(offset, size, value)
        elif size > 1:
            half = size >> 1
            self.write(offset, half, value)
            if offset + half < self.span:
                self.write(offset + half, half, value >> 8 * half)

    def read_block(self, uint32_t offset, uint32_t size, uint32_t count):
        """String IN: count elements of size bytes, as bytes."""
        self._check(offset, size)
        if size not in self.takes(offset):
            return b"".join([self.read(offset, size).to_bytes(size, "little") for _ in range(count)])
        data = PyBytes_FromStringAndSize(NULL, <Py_ssize_t> size * count)
        self.io_read_block(offset, size, count, <uint8_t *> PyBytes_AsString(data))
        return data

    def write_block(self, uint32_t offset, uint32_t size, bytes data):
        """String OUT: data holds a whole number of elements of size bytes."""
        self._check(offset, size)
        if len(data) % size:
            raise AccessError(f"{self.name}: {len(data)} bytes are no whole number of {size}-byte elements")
        if size in self.takes(offset):
            self.io_write_block(offset, size, <uint32_t> (len(data) // size), <const uint8_t *> PyBytes_AsString(data))
            return
        for at in range(0, len(data), size):
            self.write(offset, size, int.from_bytes(data[at:at + size], "little"))

    def _check(self, uint32_t offset, uint32_t size):
        if size not in (1, 2, 4) or offset >= self.span:
            raise AccessError(f"{self.name}: no access of {size} bytes at offset {offset}, span is {self.span}")
