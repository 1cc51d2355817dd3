# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
from libc.stdint cimport uint64_t
from hyperport.lines.listener cimport Listener

cdef class Clock:
    cdef void **heap            # the armed timers: each comes before those at twice its index and one or two more
    cdef Py_ssize_t armed
    cdef list _owned            # all timers; the heap has room for each
    cdef uint64_t next_deadline
    cdef uint64_t watched_deadline
    cdef int watch_fd
    cdef uint64_t now(self) noexcept nogil
    cdef uint64_t wall(self) noexcept nogil
    cdef void place(self, Py_ssize_t index, void *timer) noexcept nogil
    cdef void move(self, Py_ssize_t index, void *timer) noexcept nogil
    cdef void rearm(self) noexcept nogil
    cdef void run_due(self) noexcept nogil
    cdef go_on(self, dict record)

cdef class RealClock(Clock):
    cdef uint64_t origin
    cdef uint64_t wall_origin

cdef class VirtualClock(Clock):
    cdef uint64_t time
    cdef uint64_t wall_origin

cdef class Timer:
    cdef Clock clock
    cdef Listener owner
    cdef int number
    cdef Py_ssize_t order       # of making: it decides between equal deadlines
    cdef Py_ssize_t index       # in the clock's heap, or -1
    cdef readonly uint64_t deadline
    cdef void arm(self, uint64_t deadline) noexcept nogil
    cdef void disarm(self) noexcept nogil
