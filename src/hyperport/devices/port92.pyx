# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
"""System control port A of the IBM PS/2, port 92h: fast A20 and fast reset (IBM PS/2 Technical Reference).

The gate has another switch, the 8042 (a20_gate.pyx); bit 1 reads what the gate does.

Not modelled: the disk lights, the watchdog and the password lock, which read 0.
"""

from libc.stdint cimport uint8_t, uint32_t

from hyperport.bus.device cimport PortDevice
from hyperport.lines.irq cimport IrqLine
from hyperport.lines.saved cimport Fields


cdef enum:
    FAST_RESET = 0x01   # going from 0 to 1 resets the CPU
    A20 = 0x02          # 1 opens address line 20
    BITS = FAST_RESET | A20


cdef class Port92(PortDevice):
    """reset_line: pulsed for a fast reset. a20_line: the level of bit 1."""

    name = "port92"
    span = 1

    cdef IrqLine reset_line, a20_line
    cdef uint8_t control

    def __init__(self, IrqLine reset_line=None, IrqLine a20_line=None):
        self.reset_line = IrqLine() if reset_line is None else reset_line
        self.a20_line = IrqLine() if a20_line is None else a20_line
        self.reset()

    def reset(self):
        self.control = A20
        self.a20_line.drive(1)

    cdef void on_line(self, int number, int level) noexcept nogil:
        """Input 0 is the state of the A20 gate, which the 8042 opens and closes too."""
        self.control = self.control | A20 if level else self.control & ~A20
        self.a20_line.drive(level)

    cdef uint32_t io_read(self, uint32_t offset, uint32_t size) noexcept nogil:
        return self.control

    cdef void io_write(self, uint32_t offset, uint32_t size, uint32_t value) noexcept nogil:
        cdef uint8_t rising = <uint8_t> value & ~self.control
        self.control = <uint8_t> value & BITS
        self.a20_line.drive(self.control & A20)
        if rising & FAST_RESET:
            self.reset_line.drive(1)
            self.reset_line.drive(0)

    cdef declare(self, Fields fields):
        fields.u8("control", &self.control, BITS)

    cdef after_load(self, dict record):
        self.a20_line.drive(self.control & A20)
