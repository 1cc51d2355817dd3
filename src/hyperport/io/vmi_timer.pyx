# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
"""The timer of VMI 3.0: calls 66 to 70 (VMI specification, part 5, "Timer"; Linux 2.6.24, vmitime.c, shows their use).

Three counters count in cycles of the TSC. Real is the TSC. Stolen is what the guest could have run and did not, because the
host ran something else; available is real less stolen. The guest's own code reads the TSC, so what arrives here is relative:
the ROM (guest/rom/vmi.S) brings the TSC's value for a counter, and for an alarm how far away its expiry is.

Each counter but stolen has one alarm. It pulses IRQ 0, which a kernel that uses alarms has taken from the PIT by writing 3Ah to
port 43h. A periodic one that is late comes once for all that was missed, and goes on in step.

    call                 arguments in order                                                             result
    GetCycleFrequency                                                                                   Hz
    GetCycleCounter      counter; -; TSC, low and high                                                  cycles
    SetAlarm             flags; expiry less TSC, low and high (signed); period low and high
    CancelAlarm          flags                                                                          1 if it was set, else 0
    GetWallclockTime                                                                                    ns since 1970, UTC

Not modelled: the wiring to a local APIC's timer (bit 16 of the flags), for there is none: such an alarm is not set.
"""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from hyperport.lines.irq cimport IrqLine
from hyperport.lines.saved cimport Fields
from hyperport.lines.service cimport Service
from hyperport.time.clock cimport Clock, RealClock, Timer

from hyperport.abi.numbers import VMI_BY_NAME
from hyperport.errors import ConfigError, StateError

cdef extern from *:
    """
    #include <fcntl.h>
    #include <stdlib.h>
    #include <unistd.h>
    /* ns for which this thread was ready and did not run (Linux, Documentation/scheduler/sched-stats.rst); 0 if unknown. */
    static unsigned long long hp_thread_waited(void) {
        char text[96], *end;
        int file = open("/proc/thread-self/schedstat", O_RDONLY | O_CLOEXEC);
        ssize_t length;
        if (file < 0)
            return 0;
        length = read(file, text, sizeof text - 1);
        close(file);
        if (length <= 0)
            return 0;
        text[length] = 0;
        strtoull(text, &end, 10); /* the time it ran */
        return strtoull(end, NULL, 10);
    }
    static int hp_thread(void) { return (int)gettid(); }
    static unsigned long long hp_scale(unsigned long long n, unsigned long long up, unsigned long long down) {
        unsigned __int128 product = (unsigned __int128)n * up / down;
        return product > ~0ULL ? ~0ULL : (unsigned long long)product;
    }
    """
    uint64_t hp_thread_waited() nogil
    int hp_thread() nogil
    uint64_t hp_scale(uint64_t n, uint64_t up, uint64_t down) nogil

cdef enum:
    REAL = 0
    AVAILABLE = 1
    STOLEN = 2
    ALARMS = 2
    FLAGS_COUNTER = 0xFF
    FLAGS_PERIODIC = 1 << 8
    FLAGS_LVTT = 1 << 16        # the local APIC's timer entry instead of IRQ 0
    NS = 1000000000

cdef uint64_t MOST = <uint64_t> 1 << 61         # ns; an alarm beyond that does not come
cdef int64_t NS_BITS = (<int64_t> 1 << 62) - 1  # of a time in a saved record
cdef uint64_t SHORTEST = 20000                  # ns of a period: a shorter one would leave the guest no time
cdef uint32_t FREQUENCY = VMI_BY_NAME["GetCycleFrequency"].number
cdef uint32_t COUNTER = VMI_BY_NAME["GetCycleCounter"].number
cdef uint32_t SET_ALARM = VMI_BY_NAME["SetAlarm"].number
cdef uint32_t CANCEL_ALARM = VMI_BY_NAME["CancelAlarm"].number
cdef uint32_t WALLCLOCK = VMI_BY_NAME["GetWallclockTime"].number


cdef class VmiTimer(Service):
    """line: IRQ 0. hertz: the TSC's frequency. Times in ns since power-on."""

    name = "vmi-timer"
    abi = "vmi"

    cdef Clock clock
    cdef IrqLine line
    cdef uint64_t hertz
    cdef Timer timer_of_real, timer_of_available
    cdef uint8_t armed[ALARMS]
    cdef uint64_t deadlines[ALARMS]     # in ns of their counter
    cdef uint64_t periods[ALARMS]       # ns; 0: once
    cdef uint64_t stolen                # ns
    cdef bint measured                  # stolen time is the host's; else there is none
    cdef int thread                     # whose waiting was looked at, and how much it was then
    cdef uint64_t waited

    def __init__(self, Clock clock not None, IrqLine line not None, hertz):
        if not hertz:
            raise ConfigError("VMI calls 66 to 71: this host's TSC has no steady speed to be told; leave them out")
        self.clock, self.line, self.hertz = clock, line, hertz
        self.measured = isinstance(clock, RealClock)
        self.timer_of_real = Timer(clock, self, REAL)
        self.timer_of_available = Timer(clock, self, AVAILABLE)
        self.reset()

    def reset(self):
        self.clear(REAL)
        self.clear(AVAILABLE)

    cdef uint64_t serve(self, uint32_t number, const uint32_t *arguments) noexcept nogil:
        if number == FREQUENCY:
            return self.hertz
        if number == COUNTER:
            return self.counter(arguments[0], pair(arguments[2], arguments[3]))
        if number == SET_ALARM:
            self.set(arguments[0], <int64_t> pair(arguments[1], arguments[2]), pair(arguments[3], arguments[4]))
        elif number == CANCEL_ALARM:
            return self.cancel(arguments[0])
        elif number == WALLCLOCK:
            return self.clock.wall()
        return 0

    cdef uint64_t counter(self, uint32_t which, uint64_t tsc) noexcept nogil:
        cdef uint64_t stolen
        if which == REAL:
            return tsc
        self.look()
        stolen = hp_scale(self.stolen, self.hertz, NS)
        if which == AVAILABLE:
            return tsc - stolen if stolen < tsc else 0
        return stolen if which == STOLEN else 0

    cdef void look(self) noexcept nogil:
        """Add what this thread has waited for since somebody last looked."""
        cdef uint64_t waited
        cdef int thread
        if self.measured:
            waited, thread = hp_thread_waited(), hp_thread()
            if thread == self.thread and waited > self.waited:
                self.stolen += waited - self.waited
            self.waited, self.thread = waited, thread

    cdef void set(self, uint32_t flags, int64_t distance, uint64_t period) noexcept nogil:
        cdef uint32_t which = flags & FLAGS_COUNTER
        cdef uint64_t away = hp_scale(<uint64_t> distance, NS, self.hertz) if distance > 0 else 0
        if which >= ALARMS or flags & FLAGS_LVTT:
            return
        self.look()
        self.periods[which] = 0
        if flags & FLAGS_PERIODIC:
            self.periods[which] = min(max(hp_scale(period, NS, self.hertz), SHORTEST), MOST)
        self.armed[which] = True
        self.deadlines[which] = self.clock.now() + min(away, MOST)      # for available: what is stolen is in distance already
        self.arm(which)

    cdef bint cancel(self, uint32_t flags) noexcept nogil:
        cdef uint32_t which = flags & FLAGS_COUNTER
        cdef bint found = which < ALARMS and self.armed[which]
        if which < ALARMS:
            self.clear(which)
        return found

    cdef uint64_t lag(self, int which) noexcept nogil:
        """How far, in ns, this counter is behind the clock."""
        return self.stolen if which == AVAILABLE else 0

    cdef void arm(self, int which) noexcept nogil:
        cdef uint64_t deadline = self.deadlines[which] + self.lag(which)
        if which == REAL:
            self.timer_of_real.arm(deadline)
        else:
            self.timer_of_available.arm(deadline)

    cdef void clear(self, int which) noexcept nogil:
        self.armed[which] = False
        if which == REAL:
            self.timer_of_real.disarm()
        else:
            self.timer_of_available.disarm()

    cdef void on_timer(self, int number) noexcept nogil:
        cdef uint64_t now, missed
        self.look()
        now = self.clock.now() - self.lag(number)
        if now < self.deadlines[number]:            # time was stolen since it was set
            self.arm(number)
            return
        if self.periods[number]:
            missed = (now - self.deadlines[number]) // self.periods[number]
            self.deadlines[number] += (missed + 1) * self.periods[number]
            self.arm(number)
        else:
            self.armed[number] = False
        self.line.drive(0)
        self.line.drive(1)

    cdef declare(self, Fields fields):
        fields.u8s("armed", self.armed, ALARMS, 1)
        fields.i64s("deadlines", <int64_t *> self.deadlines, ALARMS, NS_BITS)
        fields.i64s("periods", <int64_t *> self.periods, ALARMS, NS_BITS)
        fields.u64("stolen", &self.stolen, NS_BITS)

    cdef consistent(self, dict record):
        if any(0 < period < SHORTEST for period in record["periods"]):
            raise StateError(f"{self.name}: field periods holds less than {SHORTEST} ns")

    cdef after_load(self, dict record):
        cdef int which
        self.thread = 0
        for which in range(ALARMS):
            if self.armed[which]:
                self.arm(which)
            else:
                self.clear(which)


cdef inline uint64_t pair(uint32_t low, uint32_t high) noexcept nogil:
    return <uint64_t> high << 32 | low
