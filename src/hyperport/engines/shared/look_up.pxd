# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
from hyperport.time.clock cimport Clock
from hyperport.lines.attention cimport Attention
from hyperport.lines.listener cimport Listener

cdef enum:
    MAX_LISTENERS = 32

cdef class LookUp:
    cdef Attention attention
    cdef Clock clock
    cdef list devices
    cdef void *listeners[MAX_LISTENERS]
    cdef int count

    cdef listen(self, Listener listener)
    cdef bint now(self) noexcept nogil
    cdef void everything(self) noexcept nogil
