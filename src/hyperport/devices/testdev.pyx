# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
"""A port for measuring and comparing string I/O: reads give a known stream, writes fold into a checksum.

The stream is a linear congruential generator modulo 2^32 (Knuth, TAOCP 2, 3.3.4, table 1, line 16): every element read
at DATA moves it one step, whatever its width, and is the upper bits of the new state. The checksum is FNV-1a with whole
elements in place of bytes: sum = (sum ^ element) * 16777619, modulo 2^32.
Both are defined element by element, so that they show a lost, doubled or reordered element. Not a real chip;
the guest finds it by seeding it and reading the checksum's start value.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t
from libc.string cimport memcpy

from hyperport.bus.attributes cimport postable
from hyperport.bus.device cimport PortDevice
from hyperport.lines.saved cimport Fields


cdef enum:
    DATA = 0            # any width: read the stream, write into the checksum
    CONTROL = 4         # doubleword: read the checksum; write starts both anew, the stream at the value written

    LCG_FACTOR = 1664525
    LCG_STEP = 1013904223
    FNV_START = 2166136261
    FNV_PRIME = 16777619


cdef class TestDevice(PortDevice):
    """It has no wires. Other offsets than DATA and CONTROL read all ones."""

    __test__ = False    # for pytest: this is no test case
    name = "testdev"
    span = 8
    widths = (1, 2, 4)

    cdef uint32_t state
    cdef uint32_t checksum

    def __init__(self):
        self.reset()

    def reset(self):
        self.state = 0
        self.checksum = FNV_START

    cdef uint32_t io_read(self, uint32_t offset, uint32_t size) noexcept nogil:
        if offset == DATA:
            self.state = self.state * <uint32_t> LCG_FACTOR + <uint32_t> LCG_STEP
            return self.state >> (32 - 8 * size)
        if offset == CONTROL and size == 4:
            return self.checksum
        return 0xFFFFFFFF

    cdef void io_write(self, uint32_t offset, uint32_t size, uint32_t value) noexcept nogil:
        if offset == DATA:
            self.checksum = (self.checksum ^ value) * <uint32_t> FNV_PRIME
        elif offset == CONTROL and size == 4:
            self.state = value
            self.checksum = FNV_START

    cdef void io_read_block(self, uint32_t offset, uint32_t size, uint32_t count, uint8_t *data) noexcept nogil:
        cdef uint32_t i, state
        cdef uint16_t word
        if offset != DATA:
            PortDevice.io_read_block(self, offset, size, count, data)
            return
        state = self.state
        for i in range(count):
            state = state * <uint32_t> LCG_FACTOR + <uint32_t> LCG_STEP
            if size == 1:
                data[i] = <uint8_t> (state >> 24)
            elif size == 2:
                word = <uint16_t> (state >> 16)
                memcpy(data + 2 * i, &word, 2)
            else:
                memcpy(data + 4 * i, &state, 4)
        self.state = state

    cdef void io_write_block(self, uint32_t offset, uint32_t size, uint32_t count, const uint8_t *data) noexcept nogil:
        cdef uint32_t i, value, checksum
        cdef uint16_t word
        if offset != DATA:
            PortDevice.io_write_block(self, offset, size, count, data)
            return
        checksum = self.checksum
        for i in range(count):
            if size == 1:
                value = data[i]
            elif size == 2:
                memcpy(&word, data + 2 * i, 2)
                value = word
            else:
                memcpy(&value, data + 4 * i, 4)
            checksum = (checksum ^ value) * <uint32_t> FNV_PRIME
        self.checksum = checksum

    cdef uint32_t attributes(self, uint32_t offset) noexcept nogil:
        """Data may be posted: no line moves, and only a read of the checksum shows them, which is never posted."""
        return postable(1 | 2 | 4) if offset == DATA else 0

    cdef declare(self, Fields fields):
        fields.u32("state", &self.state)
        fields.u32("checksum", &self.checksum)
