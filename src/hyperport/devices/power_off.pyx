# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
"""The PM1a control register of ACPI, at port 604h as on QEMU's PC: writing SLP_EN switches the machine off.

Source: ACPI specification 6.5, section 4.8.3.2.1. The board knows one sleeping state, off, whatever SLP_TYP
says. SLP_EN reads as 0.
"""

from libc.stdint cimport uint16_t, uint32_t

from hyperport.bus.device cimport PortDevice
from hyperport.lines.irq cimport IrqLine
from hyperport.lines.saved cimport Fields


cdef enum:
    SLP_EN = 0x2000     # sleep now, as bits 10-12 (SLP_TYP) say


cdef class PowerOff(PortDevice):
    """power_line: pulsed to switch off. Takes bytes and words, as the specification asks."""

    name = "power-off"
    span = 2
    widths = (1, 2)

    cdef IrqLine power_line
    cdef uint16_t control

    def __init__(self, IrqLine power_line=None):
        self.power_line = IrqLine() if power_line is None else power_line
        self.reset()

    def reset(self):
        self.control = 0

    cdef uint32_t io_read(self, uint32_t offset, uint32_t size) noexcept nogil:
        return self.control >> 8 * offset

    cdef void io_write(self, uint32_t offset, uint32_t size, uint32_t value) noexcept nogil:
        cdef uint32_t mask = 0xFF if size == 1 else 0xFFFF
        cdef uint32_t written = self.control & ~(mask << 8 * offset) | (value & mask) << 8 * offset
        self.control = <uint16_t> (written & ~SLP_EN)
        if written & SLP_EN:
            self.power_line.drive(1)
            self.power_line.drive(0)

    cdef declare(self, Fields fields):
        fields.u16("control", &self.control, 0xFFFF & ~SLP_EN)
