# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
from hyperport.lines.listener cimport Listener

cdef class InterruptController(Listener):
    cdef int intr(self) noexcept nogil
    cdef int acknowledge(self) noexcept nogil
