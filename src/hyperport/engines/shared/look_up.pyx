# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
"""What every engine does when its vCPU looks up from guest code: timers are fired, host input is moved."""

from libc.stdint cimport uint32_t
from libc.stdlib cimport free, realloc

from hyperport.lines.attention cimport ATTENTION_INPUT, ATTENTION_STOP, ATTENTION_TIMER, Attention
from hyperport.time.clock cimport Clock
from hyperport.lines.listener cimport Listener


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
