# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
from libc.stdint cimport uint32_t, uint64_t

cpdef enum StopKind:
    NONE = 0
    HALT = 1            # the guest executed HLT; not an end, the run loop waits
    GUEST_EXIT = 2      # a debug-exit port was written; value is the byte or word
    RESET = 3           # the guest pulled a reset line
    POWER_OFF = 4       # the guest asked the board to switch off
    TRIPLE_FAULT = 5    # shutdown cycle of the CPU
    PANIC = 6           # the console showed the end of a kernel panic
    ENGINE_ABORT = 7    # the engine could not go on; detail says why
    DEVICE_ERROR = 8    # a device written in Python raised; failure holds the exception
    SIGNAL = 9          # the host process received a signal
    TIMEOUT = 10        # the time the user gave is over
    QUIT = 11           # the user left (Ctrl-a x)
    PAUSE = 12          # the user wants the monitor (Ctrl-a c)
    GUEST_KILLED = 13   # a hypercall that its convention answers with the end of the guest; value is its number
    RESTART = 14        # the guest pulled a reset line, and the machine goes on: a ResetPin holds which one

cpdef enum Pulled:
    NOTHING = 0
    CPU = 1             # the CPU's reset or INIT pin: memory and chips stay as they are
    BOARD = 2           # the bus's RESET line: the CPU and all chips

cdef enum:
    ATTENTION_INTR = 1      # the interrupt controller's INTR output is high
    ATTENTION_TIMER = 2     # a clock deadline has passed
    ATTENTION_INPUT = 4     # a host backend has input for a device
    ATTENTION_STOP = 8      # the run must end at this instruction boundary

ctypedef void (*kick_function)(void *context) noexcept nogil

cdef class Attention:
    cdef uint32_t flags
    cdef uint32_t waiting       # the vCPU thread sleeps in wait()
    cdef kick_function kick
    cdef void *kick_context
    cdef readonly int event_fd
    cdef unsigned long long request     # to stop: the StopKind in the upper half, its value in the lower one; 0: none
    cdef object failure
    cdef object text

    cdef void raise_flags(self, uint32_t mask) noexcept nogil
    cdef void clear_flags(self, uint32_t mask) noexcept nogil
    cdef uint32_t pending(self) noexcept nogil
    cdef void request_stop(self, int kind, uint32_t value) noexcept nogil
    cdef int wait(self, uint64_t timeout_ns) noexcept nogil
