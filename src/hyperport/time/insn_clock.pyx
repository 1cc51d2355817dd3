# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
"""A clock of instructions: time is what the guest has executed, and what it skipped in HLT. See decision 37.

An engine that can count takes `left` over (drive()) and counts it down, instruction by instruction. None is left when the
earliest deadline is reached; the engine then lets look_up() fire the timers, before the next instruction. So a timer
fires at a count, whatever the host does. There is no watcher: nothing comes due between two instructions.
"""

from libc.stdint cimport int32_t, int64_t, uint64_t

from hyperport.errors import ConfigError, StateError

from hyperport.lines.attention cimport Attention
from hyperport.time.clock cimport Clock

cdef enum:
    MOST = 1 << 16                  # instructions between two looks at what other threads ask for
    NS_LIMIT = 1000000
    TSC_HZ = 1000000000             # so that RDTSC shows ns since power-on

cdef uint64_t NEVER = <uint64_t> -1


cdef class InsnClock(Clock):
    """Time is counted in executed instructions of ns nanoseconds each; a guest in HLT skips to the next deadline.

    ns: 1 to 1,000,000. start_wall_ns: wall time at power-on; by default 2007-08-22 05:29:04 UTC. For one machine, on the
    engine unicorn. Raises ConfigError for another ns.
    """

    def __cinit__(self, ns=4, start_wall_ns=1187760544000000000):
        self.left = &self.own_left

    def __init__(self, ns=4, start_wall_ns=1187760544000000000):
        if not 1 <= ns <= NS_LIMIT:
            raise ConfigError(f"an instruction takes 1 to {NS_LIMIT} ns, not {ns}")
        self.ns = ns
        self.wall_origin = start_wall_ns
        self.plan(0)

    cdef uint64_t count(self) noexcept nogil:
        """Instructions executed since power-on."""
        return self.target - <uint64_t> <int64_t> self.left[0]

    cdef uint64_t now(self) noexcept nogil:
        return self.skipped + self.count() * self.ns

    cdef uint64_t wall(self) noexcept nogil:
        return self.wall_origin + self.now()

    cdef uint64_t tsc(self) noexcept nogil:
        """The time stamp counter of a CPU that was switched on with this clock, TSC_HZ a second."""
        return self.now()

    cdef void plan(self, uint64_t fewest) noexcept nogil:
        """Let as many instructions be left as are before the earliest deadline, or MOST, but not fewer than `fewest`."""
        cdef uint64_t count = self.count(), now = self.now(), far = MOST, due = NEVER
        if self.next_deadline <= now:
            due = 0
        elif self.next_deadline != NEVER:
            due = (self.next_deadline - now - 1) // self.ns + 1
        self.exact = due < 2 * far
        if self.exact:
            far = max(due, fewest)
        self.target = count + far
        self.left[0] = <int32_t> far

    cdef void rearm(self) noexcept nogil:
        Clock.rearm(self)
        self.plan(0)

    cdef void look_up(self) noexcept nogil:
        """For the engine, between two instructions: fire what has come due. One instruction at least may follow."""
        if self.now() >= self.next_deadline:
            self.run_due()
        self.plan(1)

    cdef drive(self, int32_t *left):
        """From here on `left` is counted down there. Raises ConfigError if it already is elsewhere."""
        if self.left != &self.own_left:
            raise ConfigError("a clock of instructions is for one machine: make another one")
        left[0] = self.left[0]
        self.left = left

    cdef void release(self) noexcept:
        """Nobody counts any more."""
        self.own_left = self.left[0]
        self.left = &self.own_left

    @property
    def instructions(self):
        """How many the guest has executed since power-on."""
        return self.count()

    @property
    def tsc_hz(self):
        """Ticks a second of what RDTSC shows."""
        return TSC_HZ

    cdef int sleep(self, Attention attention, uint64_t limit) noexcept nogil:
        cdef uint64_t now = self.now()
        if self.next_deadline == NEVER:
            return attention.wait(limit)
        if self.next_deadline > now:
            self.skipped += self.next_deadline - now
            self.plan(0)
        return 0

    def advance(self, ns):
        """Let ns pass as in HLT and fire the timers that fall due on the way, each at its own time."""
        cdef uint64_t target = self.now() + <uint64_t> ns
        while self.next_deadline <= target:
            if self.next_deadline > self.now():
                self.skipped += self.next_deadline - self.now()
            self.run_due()
        self.skipped += target - self.now()
        self.plan(0)

    # State: see Clock. A clock of another kind goes on from its time, with nothing executed yet.

    kind = "insns"
    fields = ("ns", "instructions", "skipped")

    def save(self):
        return Clock.save(self) | {"ns": self.ns, "instructions": self.count(), "skipped": self.skipped}

    def check(self, record):
        Clock.check(self, record)
        if record["kind"] != self.kind:
            return
        if record["ns"] != self.ns:
            raise StateError(f"the record's instructions take {record['ns']} ns, and this clock's {self.ns}")
        if record["now"] != record["skipped"] + record["instructions"] * record["ns"] or record["wall"] < record["now"]:
            raise StateError("clock: the instructions of the saved record and its time contradict each other")

    cdef go_on(self, dict record):
        counted = record["kind"] == self.kind
        self.skipped = record["skipped"] if counted else record["now"]
        self.wall_origin = record["wall"] - record["now"]
        self.target = record["instructions"] if counted else 0
        self.left[0] = 0
        self.plan(0)
