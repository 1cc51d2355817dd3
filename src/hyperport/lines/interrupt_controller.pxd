# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
from hyperport.bus.device cimport PortDevice

cdef class InterruptController(PortDevice):
    cdef int intr(self) noexcept nogil
    cdef int acknowledge(self) noexcept nogil
