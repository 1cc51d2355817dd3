# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
"""The parallel port of a PC (SPP), with a printer at its other end that takes every byte.

Source: IBM PC AT Technical Reference (1985), "Serial/Parallel Adapter"; signals: IEEE 1284-1994, compatibility mode.

The byte on the data lines is taken when nStrobe goes low. The printer is busy for as long as nStrobe stays low, and
answers its end with a pulse of nAck, which takes no time: so no guest sees nAck low, but with the interrupt on each
byte gives an edge of the line. Nothing is read from the printer, the data lines are outputs.
"""

from libc.stdint cimport uint8_t, uint32_t

from hyperport.host.char cimport CharBackend
from hyperport.bus.attributes cimport postable
from hyperport.bus.device cimport PortDevice
from hyperport.lines.irq cimport IrqLine
from hyperport.lines.saved cimport Fields


cdef enum:
    DATA = 0
    STATUS = 1              # read only
    CONTROL = 2

    STATUS_IDLE = 0xDF      # not busy, nAck high, no paper end, selected, no error; bits 0 to 2 float high
    STATUS_NOT_BUSY = 0x80  # low while the printer is busy

    STROBE = 0x01           # 1: nStrobe is low, the byte is valid
    INTERRUPT_ON = 0x10     # nAck reaches the interrupt line
    CONTROL_BITS = 0x1F     # with autofeed 02h, initialize 04h and select 08h, which this printer has no use for
    CONTROL_FLOATING = 0xE0     # the other bits read as ones


cdef class ParallelPort(PortDevice):
    """irq: the interrupt output. backend: the paper."""

    name = "parallel-port"
    span = 3

    cdef IrqLine irq
    cdef CharBackend backend
    cdef uint8_t data, control

    def __init__(self, IrqLine irq=None, CharBackend backend=None):
        self.irq = IrqLine() if irq is None else irq
        self.backend = CharBackend() if backend is None else backend
        self.reset()

    def reset(self):
        self.data = self.control = 0
        self.irq.drive(0)

    cdef uint32_t io_read(self, uint32_t offset, uint32_t size) noexcept nogil:
        if offset == DATA:
            return self.data
        if offset == STATUS:
            return STATUS_IDLE & ~STATUS_NOT_BUSY if self.control & STROBE else STATUS_IDLE
        return self.control | CONTROL_FLOATING

    cdef void io_write(self, uint32_t offset, uint32_t size, uint32_t value) noexcept nogil:
        cdef uint8_t before = self.control
        if offset == DATA:
            self.data = <uint8_t> value
        elif offset == CONTROL:
            self.control = value & CONTROL_BITS
            if self.control & ~before & STROBE:
                self.backend.put(self.data)
            elif before & ~self.control & STROBE and self.control & INTERRUPT_ON:
                self.irq.drive(0)
                self.irq.drive(1)

    cdef uint32_t attributes(self, uint32_t offset) noexcept nogil:
        """The printer takes what is on the data lines when nStrobe falls."""
        return postable(1) if offset == DATA else 0

    cdef declare(self, Fields fields):
        fields.u8("data", &self.data)
        fields.u8("control", &self.control, CONTROL_BITS)
        fields.level("irq", self.irq)
