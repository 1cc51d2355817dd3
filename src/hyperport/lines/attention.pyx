# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
"""What the vCPU must look at before it runs on: one word of flags that any thread may raise.

Every reason to leave guest code goes through here: the INTR line of the interrupt controller, a clock
deadline, input from the host, a request to stop. Raising a flag kicks the engine (which leaves guest
code at the next instruction boundary it can offer) and wakes a vCPU thread that waits in HLT. Flags
are set before the kick and taken before they are acted on, so none is ever lost.

Of several stop requests the first wins: what came first is what ended the run. Only PAUSE and RESTART, which are no ends,
give way to what comes after them; a RESTART is not lost, because the ResetPin holds it.
"""

from libc.stdint cimport uint32_t, uint64_t
from posix.unistd cimport close, read, write

from hyperport.lines.listener cimport Listener

from hyperport.errors import ConfigError

cdef extern from *:
    """
    #include <poll.h>
    #include <sys/eventfd.h>
    #include <time.h>
    static inline unsigned hp_fetch_or(unsigned *p, unsigned v) { return __atomic_fetch_or(p, v, __ATOMIC_SEQ_CST); }
    static inline unsigned hp_fetch_and(unsigned *p, unsigned v) { return __atomic_fetch_and(p, v, __ATOMIC_SEQ_CST); }
    static inline unsigned hp_load(unsigned *p) { return __atomic_load_n(p, __ATOMIC_SEQ_CST); }
    static inline int hp_replace(int *p, int old, int v) {
        return __atomic_compare_exchange_n(p, &old, v, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
    }
    static inline int hp_wait_fd(int fd, unsigned long long ns) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        struct timespec t = {(time_t)(ns / 1000000000ULL), (long)(ns % 1000000000ULL)};
        return ppoll(&p, 1, ns == ~0ULL ? NULL : &t, NULL);
    }
    """
    unsigned hp_fetch_or(unsigned *p, unsigned v) nogil
    unsigned hp_fetch_and(unsigned *p, unsigned v) nogil
    unsigned hp_load(unsigned *p) nogil
    int hp_replace(int *p, int old, int v) nogil
    int hp_wait_fd(int fd, unsigned long long ns) nogil
    int eventfd(unsigned initial, int flags) nogil
    int EFD_NONBLOCK
    int EFD_CLOEXEC


cdef void no_kick(void *context) noexcept nogil:
    pass


cdef class Attention:
    """The flag word, the stop request and the kick of one vCPU."""

    def __cinit__(self):
        self.kick = no_kick
        self.event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)
        if self.event_fd < 0:
            raise ConfigError("no eventfd for the vCPU: the process has too many open files")

    def __dealloc__(self):
        if self.event_fd >= 0:
            close(self.event_fd)

    cdef void raise_flags(self, uint32_t mask) noexcept nogil:
        cdef uint64_t one = 1
        cdef uint32_t before = hp_fetch_or(&self.flags, mask)
        if before & mask != mask:
            self.kick(self.kick_context)
            if hp_load(&self.waiting):
                write(self.event_fd, &one, 8)

    cdef void clear_flags(self, uint32_t mask) noexcept nogil:
        hp_fetch_and(&self.flags, ~mask)

    cdef uint32_t take_flags(self, uint32_t mask) noexcept nogil:
        return hp_fetch_and(&self.flags, ~mask) & mask

    cdef uint32_t pending(self) noexcept nogil:
        return hp_load(&self.flags)

    cdef void request_stop(self, int kind, uint32_t value) noexcept nogil:
        if hp_replace(&self.stop_kind, NONE, kind):
            self.stop_value = value
        elif hp_replace(&self.stop_kind, PAUSE, kind):
            self.stop_value = self.stop_value & value if kind == PAUSE else value     # two PAUSEs: for both of them
        elif kind != RESTART and hp_replace(&self.stop_kind, RESTART, kind):
            self.stop_value = value
        self.raise_flags(ATTENTION_STOP)

    cdef int wait(self, uint64_t timeout_ns) noexcept nogil:
        """Sleep until a flag is raised, the time is over (0) or a signal arrives (-1)."""
        cdef uint64_t drained
        cdef int woken = 1
        hp_fetch_or(&self.waiting, 1)       # before the flags are looked at: who raises one now will write the event
        if not hp_load(&self.flags):
            woken = hp_wait_fd(self.event_fd, timeout_ns)
            if woken > 0:
                read(self.event_fd, &drained, 8)
        hp_fetch_and(&self.waiting, 0)
        return woken

    cdef int wait_for_deadline(self, uint64_t timeout_ns) noexcept nogil:
        """wait(), until the clock's next deadline: nobody else has to look after it meanwhile."""
        cdef int woken
        hp_fetch_or(&self.timed, 1)
        woken = self.wait(timeout_ns)
        hp_fetch_and(&self.timed, 0)
        return woken

    cdef bint wakes_by_itself(self) noexcept nogil:
        """Does the vCPU sleep until the clock's next deadline?"""
        return hp_load(&self.timed) != 0

    # The same from Python, for the run loop, the command line and tests.

    def stop(self, int kind, uint32_t value=0, failure=None, text=None):
        """Ask for the end of the run with a StopKind; the first request wins."""
        if failure is not None and self.failure is None:
            self.failure = failure
        if text is not None and self.text is None:
            self.text = text
        self.request_stop(kind, value)

    def take_stop(self):
        """The pending request as (kind, value, failure, text), which is thereby taken; kind NONE if there is none."""
        request = (StopKind(self.stop_kind), self.stop_value, self.failure, self.text)
        self.clear_flags(ATTENTION_STOP)
        self.stop_kind = 0
        self.stop_value = 0
        self.failure = None
        self.text = None
        return request

    def withdraw(self, int kind):
        """Take back a pending stop request of this kind; one of another kind stays."""
        if self.stop_kind == kind:
            self.take_stop()

    def wait_ns(self, timeout_ns):
        """Wait for any flag without the GIL; timeout in ns, None for no limit. True if something happened."""
        cdef uint64_t limit = <uint64_t> -1 if timeout_ns is None else timeout_ns
        cdef int woken
        with nogil:
            woken = self.wait(limit)
        return woken != 0

    def stop_pending(self):
        """True once a stop has been asked for and not yet taken."""
        return (self.pending() & ATTENTION_STOP) != 0

    def pending_flags(self):
        """The raised flags, as the ATTENTION_ bits of attention.pxd."""
        return self.pending()


cdef class StopPin(Listener):
    """The far end of a reset or power line: input n going high asks for a stop of StopKind n."""

    cdef Attention attention

    def __init__(self, Attention attention not None):
        self.attention = attention

    cdef void on_line(self, int number, int level) noexcept nogil:
        if level:
            self.attention.request_stop(number, 0)


cdef class ResetPin(Listener):
    """The far end of the reset lines: input n going high resets what Pulled n says; of two, the one that reaches further.

    ends: a reset ends the run; else it is held until the run loop takes it.
    """

    cdef Attention attention
    cdef int held
    cdef public bint ends

    def __init__(self, Attention attention not None, ends=True):
        self.attention = attention
        self.ends = ends

    cdef void on_line(self, int number, int level) noexcept nogil:
        if level:
            self.held = max(self.held, number)
            self.attention.request_stop(RESET if self.ends else RESTART, 0)

    def pull(self, int line):
        """As if the line had gone high while the vCPU is held."""
        self.held = max(self.held, line)

    def pulled(self):
        """The line that waits to be taken."""
        return Pulled(self.held)

    def take(self):
        """The same, and forget it."""
        line, self.held = Pulled(self.held), 0
        return line
