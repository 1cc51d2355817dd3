# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
"""A wire from one chip's output to one numbered input of another: a level, 0 or 1.

What an edge means is the listener's business (the 8259A latches rising edges unless ELCR says level).
A line has one driver; two devices that want the same input are an error when they are attached, except where the
board has a SharedLine for them.
"""

from libc.stdint cimport uint32_t

from hyperport.errors import ConfigError

from hyperport.bus.device cimport PortDevice


cdef class IrqLine:
    """A level that one device drives and one PortDevice hears through on_line(number, level).

    Without a sink the line ends in the air, which is what a device gets that was not wired.
    """

    def __init__(self, PortDevice sink=None, int number=0):
        self.sink = PortDevice() if sink is None else sink
        self.number = number
        self.level = 0

    cdef void drive(self, int level) noexcept nogil:
        level = 1 if level else 0
        if level != self.level:
            self.level = level
            self.sink.on_line(self.number, level)

    def set(self, level):
        """Drive the line to level (truth value)."""
        self.drive(1 if level else 0)

    def pulse(self):
        """Low, then high and left high: how an ISA card asks for an edge-triggered interrupt on its pulled-up wire."""
        self.drive(0)
        self.drive(1)


cdef class SharedLine(PortDevice):
    """Several lines made one: high while any of the inputs, numbered 0 to 31, is.

    An edge-triggered listener hears the first of several devices; the guest's driver has to look at all of them until
    none wants anything, as drivers for COM1 and COM3 on IRQ 4 do.
    """

    name = "shared-line"

    def __init__(self, IrqLine line not None):
        self.line = line
        self.levels = 0
        self.taken = 0

    def input(self):
        """A new wire into this line. Raises ConfigError for a thirty-third."""
        if self.taken == 32:
            raise ConfigError(f"{self.name}: more than 32 devices on one line")
        self.taken += 1
        return IrqLine(self, self.taken - 1)

    cdef void on_line(self, int number, int level) noexcept nogil:
        if level:
            self.levels |= (<uint32_t> 1) << number
        else:
            self.levels &= ~((<uint32_t> 1) << number)
        self.line.drive(self.levels != 0)
