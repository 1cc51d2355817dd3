# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
from libc.stdint cimport uint64_t
from hyperport.lines.listener cimport Listener

cdef enum:
    MAX_TIMERS = 64

cdef class Clock:
    cdef void *timers[MAX_TIMERS]
    cdef int timer_count
    cdef list _owned
    cdef uint64_t next_deadline
    cdef uint64_t watched_deadline
    cdef int watch_fd
    cdef uint64_t now(self) noexcept nogil
    cdef uint64_t wall(self) noexcept nogil
    cdef void rearm(self) noexcept nogil
    cdef void run_due(self) noexcept nogil

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
    cdef readonly uint64_t deadline
    cdef void arm(self, uint64_t deadline) noexcept nogil
    cdef void disarm(self) noexcept nogil
