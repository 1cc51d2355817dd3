# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
from libc.stdint cimport uint64_t

from hyperport.time.clock cimport Clock
from hyperport.lines.attention cimport Attention
from hyperport.lines.interrupt_controller cimport InterruptController
from hyperport.lines.listener cimport Listener

cdef class LookUp:
    cdef Attention attention
    cdef Clock clock
    cdef list kept
    cdef void **listeners
    cdef Py_ssize_t count
    cdef uint64_t turn              # when Python may have its next turn, by host_ns()

    cdef listen(self, Listener listener)
    cdef bint now(self) noexcept nogil
    cdef void in_halt(self) noexcept nogil
    cdef void begin_turn(self) noexcept nogil
    cdef bint rest(self, InterruptController controller) noexcept nogil
