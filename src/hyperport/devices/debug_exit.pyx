# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
"""The debug exit of QEMU (isa-debug-exit): a write of any width anywhere in it ends the run with that value.

Usual places: F4h, four ports, and 501h, two ports. The stop's value is the value written; what exit status
becomes of it is the command line's business. Reads give 0.
"""

from libc.stdint cimport uint32_t

from hyperport.lines.attention cimport GUEST_EXIT, Attention
from hyperport.bus.device cimport PortDevice


cdef class DebugExit(PortDevice):
    """attention: whose run ends. It has no state."""

    name = "debug-exit"
    span = 4
    widths = (1, 2, 4)

    cdef Attention attention

    def __init__(self, Attention attention not None):
        self.attention = attention

    cdef uint32_t io_read(self, uint32_t offset, uint32_t size) noexcept nogil:
        return 0

    cdef void io_write(self, uint32_t offset, uint32_t size, uint32_t value) noexcept nogil:
        self.attention.request_stop(GUEST_EXIT, value)
