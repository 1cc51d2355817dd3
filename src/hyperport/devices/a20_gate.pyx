# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
"""The gate of address line A20: one latch that the keyboard controller and port 92h both set; who wrote last is obeyed.

An IBM PS/2 and Intel's chipsets join the two by OR: software that wants the gate closed has to close both. What software
meets under QEMU and Bochs is one latch, and DOS memory managers try one switch alone: HIMEM gives a switch up if the gate
does not follow it. With an OR that would be port 92h for ever, because power-on leaves the 8042's side open, as firmware
does. See docs/decisions/0025-a20.md.

Both switches read back what the gate does. So whoever wants another state than the one it reads writes a change.
"""

from hyperport.lines.irq cimport IrqLine
from hyperport.lines.saved cimport Fields, Saved


cdef class A20Gate(Saved):
    """out: high while address line 20 works. It has no ports; its inputs are wires from the switches, by on_line."""

    name = "a20-gate"

    cdef IrqLine out, controller, fast
    cdef bint is_open

    def __init__(self, IrqLine out=None):
        self.out = IrqLine() if out is None else out
        self.controller, self.fast = IrqLine(), IrqLine()
        self.reset()

    def read_back_by(self, IrqLine controller not None, IrqLine fast not None):
        """Wires back to the 8042 and to port 92h, which are at the gate's level from now on."""
        self.controller, self.fast = controller, fast
        self.switch(self.is_open)

    def reset(self):
        """Open, as a PC's firmware leaves it."""
        self.switch(True)

    cdef void on_line(self, int number, int level) noexcept nogil:
        if level != self.is_open:
            self.switch(level)

    cdef void switch(self, bint level) noexcept nogil:
        self.is_open = level
        self.out.drive(level)
        self.controller.drive(level)
        self.fast.drive(level)

    cdef declare(self, Fields fields):
        fields.flag("is_open", &self.is_open)

    cdef after_load(self, dict record):
        self.switch(self.is_open)
