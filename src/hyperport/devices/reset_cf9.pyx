# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
"""Reset control register of Intel's PIIX, port CF9h (82371SB datasheet, 290550)."""

from libc.stdint cimport uint8_t, uint32_t

from hyperport.bus.device cimport PortDevice
from hyperport.lines.irq cimport IrqLine
from hyperport.lines.saved cimport Fields


cdef enum:
    SYSTEM_RESET = 0x02     # what RESET_CPU does: 1 hard reset, of all chips; 0 soft reset, of the CPU
    RESET_CPU = 0x04        # going from 0 to 1 resets
    BITS = SYSTEM_RESET | RESET_CPU


cdef class ResetCf9(PortDevice):
    """reset_line: pulsed for a soft reset. hard_line: for a hard one; by default the same line."""

    name = "reset-cf9"
    span = 1

    cdef IrqLine reset_line, hard_line
    cdef uint8_t control

    def __init__(self, IrqLine reset_line=None, IrqLine hard_line=None):
        self.reset_line = IrqLine() if reset_line is None else reset_line
        self.hard_line = self.reset_line if hard_line is None else hard_line
        self.reset()

    def reset(self):
        self.control = 0

    cdef uint32_t io_read(self, uint32_t offset, uint32_t size) noexcept nogil:
        return self.control

    cdef void io_write(self, uint32_t offset, uint32_t size, uint32_t value) noexcept nogil:
        cdef uint8_t rising = <uint8_t> value & ~self.control
        self.control = <uint8_t> value & BITS
        if rising & RESET_CPU and value & SYSTEM_RESET:
            self.hard_line.drive(1)
            self.hard_line.drive(0)
        elif rising & RESET_CPU:
            self.reset_line.drive(1)
            self.reset_line.drive(0)

    cdef declare(self, Fields fields):
        fields.u8("control", &self.control, BITS)
