# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
"""Time for devices: ns since power-on, wall time, and timers. Devices ask only the clock for time.

Timers fire on the vCPU's thread, when the engine looks up from guest code; so a device is never entered
by two threads. A watcher thread (host/events.pyx) kicks the engine when the earliest deadline comes: it waits for
an alarm (alarm.h), which is set on this side and is off while the vCPU sleeps until that deadline itself.

The armed timers are a binary heap (Knuth, TAOCP 3, 5.2.3), earliest first, of any number of timers: to arm or disarm one
is O(log n), the earliest deadline is at the top. Of equal deadlines the timer that was made first comes first.
"""

from libc.stdint cimport uint64_t
from libc.stdlib cimport free, realloc

from hyperport.lines.attention cimport Attention
from hyperport.lines.listener cimport Listener

from hyperport.errors import StateError

cdef extern from *:
    """
    #include <cpuid.h>
    #include <time.h>
    #include <x86intrin.h>
    static inline unsigned long long hp_clock_ns(int id) {
        struct timespec t;
        clock_gettime(id, &t);
        return (unsigned long long)t.tv_sec * 1000000000ULL + (unsigned long long)t.tv_nsec;
    }
    static inline void hp_fence(void) { __atomic_thread_fence(__ATOMIC_SEQ_CST); }
    static inline unsigned long long hp_tsc(void) { return __rdtsc(); }
    static inline int hp_tsc_is_invariant(void) {       /* SDM vol. 3B, 18.17.1 */
        unsigned eax, ebx, ecx, edx;
        return __get_cpuid(0x80000007, &eax, &ebx, &ecx, &edx) && (edx >> 8 & 1);
    }
    """
    uint64_t hp_clock_ns(int clock_id) nogil
    void hp_fence() nogil
    uint64_t hp_tsc() nogil
    bint hp_tsc_is_invariant() nogil
    int CLOCK_MONOTONIC
    int CLOCK_REALTIME

cdef extern from "alarm.h":
    void hp_alarm_init(hp_alarm *alarm) nogil
    uint64_t hp_alarm_at(const hp_alarm *alarm) nogil

cdef uint64_t NEVER = <uint64_t> -1     # and HP_ALARM_OFF


cdef uint64_t host_ns() noexcept nogil:
    """The host's monotonic time in ns."""
    return hp_clock_ns(CLOCK_MONOTONIC)


cdef inline bint earlier(void *one, void *other) noexcept nogil:
    """Whether one of two timers comes first."""
    cdef uint64_t a = (<Timer> one).deadline, b = (<Timer> other).deadline
    return a < b or (a == b and (<Timer> one).order < (<Timer> other).order)


cdef class Clock:
    """Base of clocks: holds the timers. Subclasses say what time it is."""

    def __cinit__(self):
        self._owned = []
        self.next_deadline = NEVER
        hp_alarm_init(&self.alarm)

    def __dealloc__(self):
        hp_alarm_close(&self.alarm)
        free(self.heap)

    cdef uint64_t now(self) noexcept nogil:
        """ns since power-on."""
        return 0

    cdef uint64_t wall(self) noexcept nogil:
        """ns since 1970-01-01 00:00 UTC."""
        return 0

    cdef void move(self, Py_ssize_t index, void *timer) noexcept nogil:
        """Put a timer where it belongs, which is at index or on the way from there to the top or to the bottom."""
        cdef Py_ssize_t other
        while index and earlier(timer, self.heap[(index - 1) >> 1]):
            self.place(index, self.heap[(index - 1) >> 1])
            index = (index - 1) >> 1
        while True:
            other = 2 * index + 1
            if other + 1 < self.armed and earlier(self.heap[other + 1], self.heap[other]):
                other += 1
            if other >= self.armed or not earlier(self.heap[other], timer):
                break
            self.place(index, self.heap[other])
            index = other
        self.place(index, timer)

    cdef inline void place(self, Py_ssize_t index, void *timer) noexcept nogil:
        self.heap[index] = timer
        (<Timer> timer).index = index

    cdef void rearm(self) noexcept nogil:
        """Look at the earliest deadline; the alarm is set where that would be too late for it."""
        self.next_deadline = (<Timer> self.heap[0]).deadline if self.armed else NEVER
        if self.alarm.fd < 0 or self.firing:
            return
        hp_fence()                  # as in HostEvents.ring(): of the two, at least one sees what the other wrote
        if self.next_deadline < hp_alarm_at(&self.alarm):
            hp_alarm_set(&self.alarm, self.next_deadline)

    cdef void settle(self) noexcept nogil:
        """Let the alarm be for the earliest deadline, not for an earlier one that has gone."""
        if self.alarm.fd >= 0:
            hp_alarm_set(&self.alarm, self.next_deadline)

    cdef void run_due(self) noexcept nogil:
        """Fire every timer whose deadline has passed, earliest first; a timer may arm itself again."""
        cdef uint64_t now = self.now()
        cdef void *first
        cdef int budget = 1000      # a timer that rearms itself in the past must not hold the vCPU for ever
        self.firing = True
        while self.next_deadline <= now and budget:
            budget -= 1
            first = self.heap[0]
            (<Timer> first).disarm()
            (<Timer> first).owner.on_timer((<Timer> first).number)
        self.firing = False
        self.rearm()
        self.settle()

    cdef int sleep(self, Attention attention, uint64_t limit) noexcept nogil:
        """Let time pass until the next deadline or until somebody wants the vCPU's attention, at most `limit` ns of the
        host's. -1 if a signal came; else the timers that are due are the caller's to fire."""
        return 0

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
        with nogil:
            self.sleep(attention, NEVER)

    # State. Timers are not in it: each belongs to a part, which saves its deadline and arms it again.

    kind = "none"
    fields = ()             # of its record, besides those that every clock has; numbers of 64 bits

    def save(self):
        """The time as a record: kind, now and wall (ns), and what a subclass has in `fields`."""
        return {"kind": self.kind, "now": self.now(), "wall": self.wall()}

    def check(self, record):
        """Raise StateError for what load() cannot take. Another kind of clock goes on from its now and wall."""
        if not isinstance(record, dict) or not {"kind", "now", "wall"} <= set(record):
            raise StateError("clock: the saved record lacks kind, now or wall")
        fields = {"kind", "now", "wall", *(self.fields if record["kind"] == self.kind else ())}
        if not isinstance(record["kind"], str) or (record["kind"] == self.kind and set(record) != fields):
            raise StateError(f"clock: the saved record is not one of the clock {self.kind}")
        for field in fields - {"kind"}:
            value = record[field]
            if not isinstance(value, int) or not 0 <= value < 1 << 63:
                raise StateError(f"clock: field {field} is no time")

    def load(self, record):
        """Let time go on from the one of the record. Raises StateError. Timers keep their deadlines."""
        self.check(record)
        self.go_on(record)
        self.rearm()

    cdef go_on(self, dict record):
        """Take a record that was checked."""
        pass

    def fire_due(self):
        """Fire the timers that are due; the run loop does this while the guest halts."""
        self.run_due()


cdef class RealClock(Clock):
    """The host's monotonic time, counted from the clock's making."""

    kind = "real"

    def __init__(self):
        self.origin = hp_clock_ns(CLOCK_MONOTONIC)
        self.wall_origin = hp_clock_ns(CLOCK_REALTIME)

    cdef uint64_t now(self) noexcept nogil:
        return host_ns() - self.origin

    cdef uint64_t wall(self) noexcept nogil:
        return self.wall_origin + self.now()

    cdef go_on(self, dict record):
        """Time since power-on as saved; wall time is the host's."""
        self.origin = hp_clock_ns(CLOCK_MONOTONIC) - <uint64_t> record["now"]
        self.wall_origin = hp_clock_ns(CLOCK_REALTIME) - <uint64_t> record["now"]

    cdef int sleep(self, Attention attention, uint64_t limit) noexcept nogil:
        cdef uint64_t now = self.now()
        cdef int woken
        if self.next_deadline <= now:
            return 0
        if self.alarm.fd >= 0:
            hp_alarm_set(&self.alarm, NEVER)        # nobody else has to look after the deadline
        woken = attention.wait(min(self.next_deadline - now, limit))
        if self.now() < self.next_deadline:
            self.settle()
        return woken


cdef class VirtualClock(Clock):
    """Deterministic time: it moves only by advance(), and to the next deadline when the guest halts.

    start_wall_ns: wall time at power-on; by default 2007-08-22 05:29:04 UTC.
    """

    kind = "virtual"

    def __init__(self, start_wall_ns=1187760544000000000):
        self.time = 0
        self.wall_origin = start_wall_ns

    cdef uint64_t now(self) noexcept nogil:
        return self.time

    cdef uint64_t wall(self) noexcept nogil:
        return self.wall_origin + self.time

    cdef go_on(self, dict record):
        self.time = record["now"]
        self.wall_origin = <uint64_t> record["wall"] - self.time

    cdef int sleep(self, Attention attention, uint64_t limit) noexcept nogil:
        if self.next_deadline == NEVER:
            return attention.wait(limit)
        self.time = max(self.time, self.next_deadline)
        return 0

    def advance(self, ns):
        """Let ns pass and fire the timers that fall due on the way, each at its own time."""
        cdef uint64_t target = self.time + <uint64_t> ns
        while self.next_deadline <= target:
            if self.next_deadline > self.time:
                self.time = self.next_deadline
            self.run_due()
        self.time = target


def read_tsc():
    """The host's TSC, CLOCK_MONOTONIC in ns, and how many ticks apart the TSC was before and after that."""
    cdef uint64_t before = hp_tsc()
    cdef uint64_t now = hp_clock_ns(CLOCK_MONOTONIC)
    cdef uint64_t after = hp_tsc()
    return before + (after - before) // 2, now, after - before


def tsc_is_invariant():
    """Whether the host's processor says that its TSC has one speed in all its states."""
    return hp_tsc_is_invariant()


cdef class Timer:
    """One deadline of one listener: on_timer(number) is called once the clock has reached it.

    A timer lives as long as its clock. Deadlines are absolute, in ns since power-on.
    """

    def __cinit__(self, Clock clock not None, Listener owner not None, int number=0):
        cdef void **grown = <void **> realloc(clock.heap, <size_t> (len(clock._owned) + 1) * sizeof(void *))
        if grown == NULL:
            raise MemoryError("no memory for a timer")
        clock.heap = grown
        self.clock = clock
        self.owner = owner
        self.number = number
        self.order = len(clock._owned)
        self.index = -1
        self.deadline = NEVER
        clock._owned.append(self)

    cdef void arm(self, uint64_t deadline) noexcept nogil:
        self.deadline = deadline
        if self.index < 0:
            self.index = self.clock.armed
            self.clock.armed += 1
        self.clock.move(self.index, <void *> self)
        self.clock.rearm()

    cdef void disarm(self) noexcept nogil:
        cdef Py_ssize_t index = self.index
        self.deadline = NEVER
        if index >= 0:
            self.index = -1
            self.clock.armed -= 1
            if index < self.clock.armed:
                self.clock.move(index, self.clock.heap[self.clock.armed])
        self.clock.rearm()

    def arm_at(self, deadline_ns):
        """Fire at deadline_ns (ns since power-on); a time in the past fires at once."""
        self.arm(deadline_ns)

    def cancel(self):
        """Do not fire."""
        self.disarm()
