# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
"""A wire from one chip's output to one numbered input of another: a level, 0 or 1.

What an edge means is the listener's business (the 8259A latches rising edges unless ELCR says level).
A line has one driver; two devices that want the same input are an error when they are attached, except where the
board has a SharedLine for them.
"""

from hyperport.lines.listener cimport Listener

from hyperport.errors import ConfigError


cdef class IrqLine:
    """A level that one device drives and one Listener hears through on_line(number, level).

    Without a sink the line ends in the air, which is what a device gets that was not wired.
    """

    def __init__(self, Listener sink=None, int number=0):
        self.sink = Listener() if sink is None else sink
        self.number = number
        self.level = 0

    def set(self, level):
        """Drive the line to level (truth value)."""
        self.drive(1 if level else 0)

    def pulse(self):
        """Low, then high and left high: how an ISA card asks for an edge-triggered interrupt on its pulled-up wire."""
        self.drive(0)
        self.drive(1)


cdef class LineTap(Listener):
    """Between wires and what they end in: hands each change on, and before that to who watches, if there is one."""

    def __init__(self, Listener sink not None):
        self.sink = sink

    def watch(self, Listener watcher):
        """From now on watcher hears of each change first; None: nobody. Raises ConfigError if somebody else does."""
        if watcher is not None and self.watcher is not None:
            raise ConfigError("the interrupt lines are watched already")
        self.watcher = watcher

    cdef void on_line(self, int number, int level) noexcept nogil:
        if self.watcher is not None:
            self.watcher.on_line(number, level)
        self.sink.on_line(number, level)


cdef class SharedLine(Listener):
    """Several lines made one: high while any of the inputs is.

    An edge-triggered listener hears the first of several devices; the guest's driver has to look at all of them until
    none wants anything, as drivers for COM1 and COM3 on IRQ 4 do.
    """

    def __init__(self, IrqLine line not None):
        self.line = line

    def input(self):
        """A new wire into this line."""
        self.taken += 1
        return IrqLine(self, <int> (self.taken - 1))

    cdef void on_line(self, int number, int level) noexcept nogil:
        self.high += 1 if level else -1     # a wire tells of changes only
        self.line.drive(self.high != 0)
