# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
"""Time for devices: ns since power-on, wall time, and timers. Devices ask only the clock for time.

Timers fire on the vCPU's thread, when the engine looks up from guest code; so a device is never entered
by two threads. A watcher thread (host/events.pyx) kicks the engine when the earliest deadline comes; it
sleeps on watch_fd, which is written only when a deadline earlier than the one it waits for is armed.
"""

from libc.stdint cimport uint64_t
from posix.unistd cimport write

from hyperport.lines.attention cimport Attention
from hyperport.lines.listener cimport Listener

from hyperport.errors import ConfigError

cdef extern from *:
    """
    #include <time.h>
    static inline unsigned long long hp_clock_ns(int id) {
        struct timespec t;
        clock_gettime(id, &t);
        return (unsigned long long)t.tv_sec * 1000000000ULL + (unsigned long long)t.tv_nsec;
    }
    static inline void hp_fence(void) { __atomic_thread_fence(__ATOMIC_SEQ_CST); }
    """
    uint64_t hp_clock_ns(int clock_id) nogil
    void hp_fence() nogil
    int CLOCK_MONOTONIC
    int CLOCK_REALTIME

cdef uint64_t NEVER = <uint64_t> -1


cdef class Clock:
    """Base of clocks: holds the timers. Subclasses say what time it is."""

    def __cinit__(self):
        self.timer_count = 0
        self._owned = []
        self.next_deadline = NEVER
        self.watched_deadline = NEVER
        self.watch_fd = -1

    cdef uint64_t now(self) noexcept nogil:
        """ns since power-on."""
        return 0

    cdef uint64_t wall(self) noexcept nogil:
        """ns since 1970-01-01 00:00 UTC."""
        return 0

    cdef void rearm(self) noexcept nogil:
        """Find the earliest deadline and tell the watcher when it moved forward."""
        cdef uint64_t one = 1, earliest = NEVER
        cdef int i
        for i in range(self.timer_count):
            if (<Timer> self.timers[i]).deadline < earliest:
                earliest = (<Timer> self.timers[i]).deadline
        self.next_deadline = earliest
        if self.watch_fd < 0:
            return
        hp_fence()
        if earliest < self.watched_deadline:
            self.watched_deadline = earliest
            write(self.watch_fd, &one, 8)

    cdef void run_due(self) noexcept nogil:
        """Fire every timer whose deadline has passed, earliest first; a timer may arm itself again."""
        cdef uint64_t now = self.now()
        cdef uint64_t best
        cdef int i, found
        cdef int budget = 1000      # a timer that rearms itself in the past must not hold the vCPU for ever
        while self.next_deadline <= now and budget:
            budget -= 1
            found = -1
            best = NEVER
            for i in range(self.timer_count):
                if (<Timer> self.timers[i]).deadline < best:
                    best = (<Timer> self.timers[i]).deadline
                    found = i
            if found < 0 or best > now:
                break
            (<Timer> self.timers[found]).deadline = NEVER
            (<Timer> self.timers[found]).owner.on_timer((<Timer> self.timers[found]).number)
            self.rearm()
        self.rearm()

    def now_ns(self):
        """ns since power-on."""
        return self.now()

    def wall_ns(self):
        """ns since 1970-01-01 00:00 UTC, as the guest's RTC should show it."""
        return self.wall()

    def next_deadline_ns(self):
        """The earliest armed deadline in ns since power-on, or None."""
        return None if self.next_deadline == NEVER else self.next_deadline

    def idle(self, Attention attention not None):
        """Let time pass, without the GIL, until the next deadline or until somebody wants the vCPU's attention."""

    def fire_due(self):
        """Fire the timers that are due; the run loop does this while the guest halts."""
        self.run_due()


cdef class RealClock(Clock):
    """The host's monotonic time, counted from the clock's making."""

    def __init__(self):
        self.origin = hp_clock_ns(CLOCK_MONOTONIC)
        self.wall_origin = hp_clock_ns(CLOCK_REALTIME)

    cdef uint64_t now(self) noexcept nogil:
        return hp_clock_ns(CLOCK_MONOTONIC) - self.origin

    cdef uint64_t wall(self) noexcept nogil:
        return self.wall_origin + self.now()

    def idle(self, Attention attention not None):
        cdef uint64_t now
        with nogil:
            now = self.now()
            if self.next_deadline == NEVER:
                attention.wait(NEVER)
            elif self.next_deadline > now:
                attention.wait(self.next_deadline - now)


cdef class VirtualClock(Clock):
    """Deterministic time: it moves only by advance(), and to the next deadline when the guest halts.

    start_wall_ns: wall time at power-on; by default 2007-08-22 05:29:04 UTC.
    """

    def __init__(self, start_wall_ns=1187760544000000000):
        self.time = 0
        self.wall_origin = start_wall_ns

    cdef uint64_t now(self) noexcept nogil:
        return self.time

    cdef uint64_t wall(self) noexcept nogil:
        return self.wall_origin + self.time

    def idle(self, Attention attention not None):
        if self.next_deadline == NEVER:
            with nogil:
                attention.wait(NEVER)
        elif self.next_deadline > self.time:
            self.time = self.next_deadline

    def advance(self, ns):
        """Let ns pass and fire the timers that fall due on the way, each at its own time."""
        cdef uint64_t target = self.time + <uint64_t> ns
        while self.next_deadline <= target:
            if self.next_deadline > self.time:
                self.time = self.next_deadline
            self.run_due()
        self.time = target


cdef class Timer:
    """One deadline of one listener: on_timer(number) is called once the clock has reached it.

    A timer lives as long as its clock. Deadlines are absolute, in ns since power-on.
    """

    def __init__(self, Clock clock not None, Listener owner not None, int number=0):
        if clock.timer_count == MAX_TIMERS:
            raise ConfigError(f"more than {MAX_TIMERS} timers on one clock: attach fewer devices")
        self.clock = clock
        self.owner = owner
        self.number = number
        self.deadline = NEVER
        clock._owned.append(self)
        clock.timers[clock.timer_count] = <void *> self
        clock.timer_count += 1

    cdef void arm(self, uint64_t deadline) noexcept nogil:
        self.deadline = deadline
        self.clock.rearm()

    cdef void disarm(self) noexcept nogil:
        self.deadline = NEVER
        self.clock.rearm()

    def arm_at(self, deadline_ns):
        """Fire at deadline_ns (ns since power-on); a time in the past fires at once."""
        self.arm(deadline_ns)

    def cancel(self):
        """Do not fire."""
        self.disarm()
