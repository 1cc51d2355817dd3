# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
"""The gate of address line A20: open when the keyboard controller or port 92h says so (IBM PS/2, "wired or").

It starts open, as a PC's firmware leaves it, with the 8042's input high.
"""

from libc.stdint cimport uint8_t

from hyperport.lines.irq cimport IrqLine
from hyperport.lines.listener cimport Listener

from hyperport.bus.record import check_record

cdef enum:
    INPUT_8042 = 0x01       # input 0
    INPUT_PORT92 = 0x02     # input 1
    INPUTS = INPUT_8042 | INPUT_PORT92

FIELDS = {"inputs": 2}


cdef class A20Gate(Listener):
    """out: high while address line 20 works. It has no ports; it hears its inputs 0 and 1 by on_line."""

    name = "a20-gate"

    cdef IrqLine out
    cdef uint8_t inputs

    def __init__(self, IrqLine out=None):
        self.out = IrqLine() if out is None else out
        self.reset()

    def reset(self):
        self.inputs = INPUT_8042
        self.out.drive(1)

    cdef void on_line(self, int number, int level) noexcept nogil:
        cdef uint8_t bit = <uint8_t> (1 << (number & 1))
        self.inputs = self.inputs | bit if level else self.inputs & ~bit
        self.out.drive(self.inputs)

    def save(self):
        return {"inputs": self.inputs}

    def load(self, record):
        check_record(self.name, record, FIELDS)
        self.inputs = record["inputs"]
        self.out.drive(self.inputs)
