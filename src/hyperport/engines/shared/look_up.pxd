# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
from hyperport.time.clock cimport Clock
from hyperport.lines.attention cimport Attention
from hyperport.lines.listener cimport Listener

cdef class LookUp:
    cdef Attention attention
    cdef Clock clock
    cdef list kept
    cdef void **listeners
    cdef Py_ssize_t count

    cdef listen(self, Listener listener)
    cdef bint now(self) noexcept nogil
    cdef void in_halt(self) noexcept nogil
