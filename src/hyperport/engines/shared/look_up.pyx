# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
"""What every engine does when its vCPU looks up from guest code: timers are fired, host input is moved. And how it sleeps."""

from libc.stdint cimport uint32_t, uint64_t
from libc.stdlib cimport free, realloc

from hyperport.lines.attention cimport ATTENTION_INPUT, ATTENTION_STOP, ATTENTION_TIMER, Attention
from hyperport.time.clock cimport Clock, host_ns
from hyperport.lines.interrupt_controller cimport InterruptController
from hyperport.lines.listener cimport Listener

cdef uint64_t TURN_NS = 100_000_000     # how long a guest that only ticks is kept from the run loop


cdef class LookUp:
    """attention: what was asked for. clock: whose timers to fire. On the vCPU's thread only."""

    def __init__(self, Attention attention not None, Clock clock not None):
        self.attention = attention
        self.clock = clock
        self.kept = []

    def __dealloc__(self):
        free(self.listeners)

    cdef listen(self, Listener listener):
        """Let listener hear on_input() when host input has arrived."""
        cdef void **grown = <void **> realloc(self.listeners, <size_t> (self.count + 1) * sizeof(void *))
        if grown == NULL:
            raise MemoryError("no memory for a listener")
        self.listeners = grown
        self.kept.append(listener)
        self.listeners[self.count] = <void *> listener
        self.count += 1

    cdef bint now(self) noexcept nogil:
        """Do what is asked for. True where the run is to stop."""
        cdef uint32_t flags = self.attention.pending()
        cdef Py_ssize_t i
        if not flags:
            return False
        if flags & ATTENTION_TIMER:
            self.attention.clear_flags(ATTENTION_TIMER)
            self.clock.run_due()
        if flags & ATTENTION_INPUT:
            self.attention.clear_flags(ATTENTION_INPUT)
            for i in range(self.count):
                (<Listener> self.listeners[i]).on_input()
        return (self.attention.pending() & ATTENTION_STOP) != 0

    cdef void in_halt(self) noexcept nogil:
        """Asked for or not, for a vCPU that waits in HLT; a stop request stays."""
        cdef Py_ssize_t i
        self.attention.clear_flags(ATTENTION_TIMER | ATTENTION_INPUT)
        self.clock.run_due()
        for i in range(self.count):
            (<Listener> self.listeners[i]).on_input()

    cdef void begin_turn(self) noexcept nogil:
        """The run loop lets the guest run, and need not come back for HLT for a while."""
        self.turn = host_ns() + TURN_NS

    cdef bint rest(self, InterruptController controller) noexcept nogil:
        """Let a vCPU sleep in HLT, with interrupts enabled. True once an interrupt waits for it.

        False where the run loop is to go on instead: a stop was asked for, a signal has come, whose handler may be Python's,
        or it is the loop's turn, which has things to do besides (Machine.flush_output()).
        """
        cdef uint64_t now
        while True:
            self.in_halt()
            if controller.intr():
                return True
            now = host_ns()
            if self.attention.pending() & ATTENTION_STOP or now >= self.turn:
                return False
            if self.clock.sleep(self.attention, self.turn - now) < 0:
                return False
