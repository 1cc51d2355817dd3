# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
cimport cython
from libc.stdint cimport uint8_t, uint32_t

from hyperport.bus.attributes cimport PortAttributes
from hyperport.lines.saved cimport Saved

cdef struct Attachment:     # one window of one bus, for publish()
    void *attributes        # the bus's PortAttributes
    uint32_t port           # first port
    uint32_t offset         # the device's offset there
    uint32_t span

cdef class PortDevice(Saved):
    cdef Attachment *attachments
    cdef Py_ssize_t attachment_count
    cdef list _kept         # what the attachments point to
    cdef bint observed      # by whoever uses the attributes of one of these buses
    cdef object __weakref__
    cdef uint32_t io_read(self, uint32_t offset, uint32_t size) noexcept nogil
    cdef void io_write(self, uint32_t offset, uint32_t size, uint32_t value) noexcept nogil
    cdef void io_read_block(self, uint32_t offset, uint32_t size, uint32_t count, uint8_t *data) noexcept nogil
    cdef void io_write_block(self, uint32_t offset, uint32_t size, uint32_t count, const uint8_t *data) noexcept nogil
    cdef uint32_t attributes(self, uint32_t offset) noexcept nogil
    cdef uint32_t mem_read(self, uint32_t offset, uint32_t size) noexcept nogil
    cdef void mem_write(self, uint32_t offset, uint32_t size, uint32_t value) noexcept nogil
    cdef void tell_attributes(self, uint32_t offset) noexcept nogil
    cdef note_attachment(self, PortAttributes attributes, uint32_t port, uint32_t offset, uint32_t span)

    @cython.final
    cdef inline void publish(self, uint32_t offset) noexcept nogil:
        """Say that attributes(offset), or what a shadowed register there reads, may have changed. To be called after the
        change; bounded, for the hot way too: a look at a flag while nobody wants to know."""
        if self.observed:
            self.tell_attributes(offset)
