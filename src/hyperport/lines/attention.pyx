# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
"""What the vCPU must look at before it runs on: one word of flags that any thread may raise.

Every reason to leave guest code goes through here: the INTR line of the interrupt controller, a clock
deadline, input from the host, a request to stop. Raising a flag kicks the engine (which leaves guest
code at the next instruction boundary it can offer) and wakes a vCPU thread that waits in HLT. Flags
are set before the kick and taken before they are acted on, so none is ever lost.

Of several stop requests the first wins: what came first is what ended the run. But RESTART and PAUSE, which are no ends,
give way to what comes after them (a RESTART is not lost, because the ResetPin holds it), and what is asked for from outside
to what the guest has done: its exit is an instruction that is over, and no later run would come upon it again.
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
    static inline unsigned long long hp_load_request(unsigned long long *p) { return __atomic_load_n(p, __ATOMIC_SEQ_CST); }
    static inline unsigned long long hp_take_request(unsigned long long *p) {
        return __atomic_exchange_n(p, 0, __ATOMIC_SEQ_CST);
    }
    static inline int hp_replace_request(unsigned long long *p, unsigned long long *seen, unsigned long long v) {
        return __atomic_compare_exchange_n(p, seen, v, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);  /* else seen is what is there */
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
    unsigned long long hp_load_request(unsigned long long *p) nogil
    unsigned long long hp_take_request(unsigned long long *p) nogil
    int hp_replace_request(unsigned long long *p, unsigned long long *seen, unsigned long long v) nogil
    int hp_wait_fd(int fd, unsigned long long ns) nogil
    int eventfd(unsigned initial, int flags) nogil
    int EFD_NONBLOCK
    int EFD_CLOEXEC


cdef int rank(int kind) noexcept nogil:
    """A request gives way to one of a higher rank: nothing, a restart, a pause, from outside, from the guest.

    DEVICE_ERROR is no higher than what is asked for from outside, which interrupts devices in Python; and whatever they
    raise comes out of run(), see finish() there.
    """
    if kind == NONE:
        return 0
    if kind == RESTART:
        return 1
    if kind == PAUSE:
        return 2
    return 3 if kind in (SIGNAL, TIMEOUT, QUIT, DEVICE_ERROR) else 4


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

    cdef uint32_t pending(self) noexcept nogil:
        return hp_load(&self.flags)

    cdef void request_stop(self, int kind, uint32_t value) noexcept nogil:
        cdef unsigned long long held = hp_load_request(&self.request), wanted
        while True:
            wanted = <unsigned long long> kind << 32 | value
            if kind == PAUSE and held >> 32 == PAUSE:       # for both of them
                wanted &= held
            elif rank(<int> (held >> 32)) >= rank(kind):
                break
            if hp_replace_request(&self.request, &held, wanted):
                break
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

    # The same from Python, for the run loop, the command line and tests.

    def stop(self, int kind, uint32_t value=0, failure=None, text=None):
        """Ask for the end of the run with a StopKind; of several the first wins, but see above."""
        if failure is not None and self.failure is None:
            self.failure = failure
        if text is not None and self.text is None:
            self.text = text
        self.request_stop(kind, value)

    def take_stop(self):
        """The pending request as (kind, value, failure, text), which is thereby taken; kind NONE if there is none."""
        cdef unsigned long long taken = hp_take_request(&self.request)
        request = (StopKind(taken >> 32), taken & 0xFFFFFFFF, self.failure, self.text)
        self.clear_flags(ATTENTION_STOP)
        self.failure = None
        self.text = None
        return request

    def withdraw(self, int kind):
        """Take back a pending stop request of this kind; one of another kind stays."""
        if hp_load_request(&self.request) >> 32 == <unsigned long long> kind:
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
