# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
from libc.stdint cimport uint64_t
from hyperport.lines.attention cimport Attention
from hyperport.lines.listener cimport Listener

cdef extern from "alarm.h":
    ctypedef struct hp_alarm:
        uint64_t at
        int fd
    bint hp_alarm_open(hp_alarm *alarm, uint64_t origin) nogil
    void hp_alarm_close(hp_alarm *alarm) nogil
    void hp_alarm_set(hp_alarm *alarm, uint64_t at) nogil
    bint hp_alarm_take(hp_alarm *alarm) nogil

cdef uint64_t host_ns() noexcept nogil

cdef class Clock:
    cdef void **heap            # the armed timers: each comes before those at twice its index and one or two more
    cdef Py_ssize_t armed
    cdef list _owned            # all timers; the heap has room for each
    cdef uint64_t next_deadline
    cdef hp_alarm alarm         # who wakes the vCPU for the earliest deadline waits for it
    cdef bint firing            # timers are: look at the earliest deadline behind that
    cdef uint64_t now(self) noexcept nogil
    cdef uint64_t wall(self) noexcept nogil
    cdef void place(self, Py_ssize_t index, void *timer) noexcept nogil
    cdef void move(self, Py_ssize_t index, void *timer) noexcept nogil
    cdef void rearm(self) noexcept nogil
    cdef void settle(self) noexcept nogil
    cdef int sleep(self, Attention attention, uint64_t limit) noexcept nogil
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
