# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
"""What engines have in common around a run: when it may begin, what it ends with, what the guest may call."""

from libc.stdint cimport uint32_t

from hyperport.cpu.vcpu cimport Vcpu
from hyperport.engines.shared.counters cimport Counters, count_interrupt
from hyperport.engines.shared.look_up cimport LookUp
from hyperport.io.hypercall cimport ACTION_KILL, ACTION_SHUTDOWN, CallTable
from hyperport.lines.attention cimport GUEST_KILLED, POWER_OFF, RESET, Attention
from hyperport.lines.interrupt_controller cimport InterruptController
from hyperport.time.clock cimport Clock

from hyperport.engines.base import Stop
from hyperport.errors import ConfigError, EngineError
from hyperport.lines.attention import StopKind

cdef uint32_t RESTART = 0       # of a guest that shuts down, once calls are offered


cdef void ignore_kick(void *context) noexcept nogil:
    pass


cdef class Runs:
    """name: the engine's. attention, controller, clock: the machine's."""

    def __init__(self, str name, Attention attention not None, InterruptController controller not None, Clock clock not None):
        self.name = name
        self.attention = attention
        self.controller = controller
        self.looks = LookUp(attention, clock)
        self.counters = Counters()

    cdef require_open(self):
        if self.closed:
            raise EngineError(f"{self.name}: the machine has been closed; make a new one")

    cdef begin(self, bint elsewhere):
        """Raise EngineError if a run may not begin now. elsewhere: this thread is inside another guest."""
        self.require_open()
        if self.running:
            raise EngineError(f"{self.name}: run() was called while the guest runs")
        if elsewhere:
            raise EngineError(f"{self.name}: run() was called by a device of another guest; use another thread")

    cdef object asked(self):
        """The Stop that was asked for, once; None if there is none."""
        kind, value, failure, text = self.attention.take_stop()
        if kind == StopKind.GUEST_KILLED and self.calls is not None:
            text = self.calls.reason()
        return None if kind == StopKind.NONE else Stop(kind, value, failure, text)

    cdef take_calls(self, CallTable calls, kinds):
        """Offer these calls. kinds: the entries that this engine notices. Raises ConfigError for others."""
        global RESTART
        from hyperport.abi.numbers import LguestShutdown

        RESTART = LguestShutdown.RESTART
        wrong = [convention.name for convention in calls.conventions if convention.kind not in kinds]
        if wrong:
            raise ConfigError(f"engine {self.name} cannot offer ABI {', '.join(wrong)}: its calls do not reach us; "
                              "use --engine unicorn")
        self.calls = calls

    cdef close(self):
        """Raise EngineError while the guest runs; from here on nothing may run."""
        if self.running:
            raise EngineError(f"{self.name}: close() was called while the guest runs; stop it first")
        self.closed = True

    cdef void let_go(self, void *kicked) noexcept:
        """Nobody kicks this engine any more."""
        self.closed = True
        if self.attention.kick_context == kicked:
            self.attention.kick = ignore_kick

    cdef int acknowledge(self) noexcept nogil:
        """The INTA cycle: the vector of the interrupt to deliver, counted."""
        cdef int vector = self.controller.acknowledge() & 0xFF
        count_interrupt(self.counters, vector)
        return vector

    cdef void perform(self, Vcpu vcpu, int action, int rules) noexcept nogil:
        """What a call does to the machine besides its answer; what it does to the CPU is the engine's."""
        if action == ACTION_SHUTDOWN:
            self.attention.request_stop(
                RESET if vcpu.get(self.calls.rules[rules].arguments[1]) == RESTART else POWER_OFF, 0)
        elif action == ACTION_KILL:
            self.attention.request_stop(GUEST_KILLED, self.calls.killed_with)
