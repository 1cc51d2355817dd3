# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
from libc.stdint cimport uint32_t

from hyperport.bus.device cimport PortDevice

cdef class IrqLine:
    cdef PortDevice sink
    cdef readonly int number
    cdef readonly int level
    cdef void drive(self, int level) noexcept nogil

cdef class SharedLine(PortDevice):
    cdef IrqLine line
    cdef uint32_t levels        # by input number
    cdef int taken
