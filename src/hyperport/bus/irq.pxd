# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
from hyperport.bus.device cimport PortDevice

cdef class IrqLine:
    cdef PortDevice sink
    cdef readonly int number
    cdef readonly int level
    cdef void drive(self, int level) noexcept nogil
