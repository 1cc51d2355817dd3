# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
"""The AT's way of x87 errors: FERR# makes IRQ 13, and a write to port F0h takes it back (IBM PC AT; SDM vol. 1, app. D).

A flip-flop holds the request from the edge of FERR# until port F0h is written, or F1h, which reset a coprocessor of its
own; the FPU of this processor is not reset by it. The handler then clears the error itself.

Not modelled: IGNNE#, by which a processor that was stopped with its error goes on after F0h: the engine's does not stop.
"""

from libc.stdint cimport uint32_t

from hyperport.bus.device cimport PortDevice
from hyperport.lines.irq cimport IrqLine
from hyperport.lines.saved cimport Fields


cdef class FpuError(PortDevice):
    """irq: IRQ 13. Input 0 is FERR#. Offset 0 is port F0h, 1 is F1h; both are write only, and the data has no meaning."""

    name = "fpu-error"
    span = 2

    cdef IrqLine irq

    def __init__(self, IrqLine irq=None):
        self.irq = IrqLine() if irq is None else irq
        self.reset()

    def reset(self):
        self.irq.drive(0)

    cdef uint32_t io_read(self, uint32_t offset, uint32_t size) noexcept nogil:
        return 0xFF

    cdef void io_write(self, uint32_t offset, uint32_t size, uint32_t value) noexcept nogil:
        self.irq.drive(0)

    cdef void on_line(self, int number, int level) noexcept nogil:
        if level:
            self.irq.drive(1)

    cdef declare(self, Fields fields):
        fields.level("requested", self.irq)
