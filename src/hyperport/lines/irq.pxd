# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
from hyperport.lines.listener cimport Listener

cdef class IrqLine:
    cdef Listener sink
    cdef readonly int number
    cdef readonly int level
    cdef void drive(self, int level) noexcept nogil

cdef class LineTap(Listener):
    cdef Listener sink
    cdef Listener watcher       # None: nobody watches

cdef class SharedLine(Listener):
    cdef IrqLine line
    cdef Py_ssize_t taken       # inputs
    cdef Py_ssize_t high        # inputs that are high
