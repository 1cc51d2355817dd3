# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
cimport cython

from hyperport.lines.listener cimport Listener


@cython.final
cdef class IrqLine:
    cdef Listener sink
    cdef readonly int number
    cdef readonly int level

    cdef inline void drive(self, int level) noexcept nogil:
        level = 1 if level else 0
        if level != self.level:
            self.level = level
            self.sink.on_line(self.number, level)


cdef class LineTap(Listener):
    cdef Listener sink
    cdef Listener watcher       # None: nobody watches

cdef class SharedLine(Listener):
    cdef IrqLine line
    cdef Py_ssize_t taken       # inputs
    cdef Py_ssize_t high        # inputs that are high
