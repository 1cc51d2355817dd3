# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
"""Stage 2 of an access on the path `trap`: a #GP handler that has to find out what the guest did. Next:
bus/port_bus.pyx.

This is the hypervisor of 2007. Every port access of the guest raises #GP(0), as it does for a kernel that runs
deprivileged, and nothing of what the engine knows is used: fetch the bytes at CS:EIP through the guest's page tables,
decode them, check permission, simulate, move EIP. A #GP that was none of ours, or an access that the guest may not do,
is its own exception to handle.

While profile is on, three phases are summed in TSC ticks: the fault (from the crossing until this handler has it), fetch and
decode, check and simulate. Each sum holds one reading of the clock for each trap; clock_cost() tells what that is.
"""

from libc.stdint cimport uint32_t, uint64_t

from hyperport.bus.port_bus cimport TRAP, PortBus
from hyperport.cpu.decode cimport PortInstruction
from hyperport.cpu.fetch cimport fetch_and_decode
from hyperport.cpu.vcpu cimport Vcpu
from hyperport.io.crossing cimport Crossing, CrossingHook, wake
from hyperport.io.path cimport PortPath, perform, port_of

from hyperport.errors import EngineError
from hyperport.io.crossing import hook, unhook

cdef extern from *:
    """
    #include <stdint.h>
    #include <x86intrin.h>
    static inline uint64_t hp_ticks(void) { return __rdtsc(); }
    """
    uint64_t hp_ticks() nogil


def clock_cost():
    """The fewest TSC ticks between two readings of the clock."""
    cdef uint64_t fewest = <uint64_t> -1
    cdef uint64_t began
    cdef int _i
    for _i in range(1000):
        began = hp_ticks()
        fewest = min(fewest, hp_ticks() - began)
    return fewest


cdef class FaultClock(CrossingHook):
    """Stamps the crossing of an IN or OUT, which on this path raises #GP(0)."""

    cdef void crossed(self, Vcpu vcpu, uint32_t why) noexcept nogil:
        if why == Crossing.IN or why == Crossing.OUT:
            self.began = hp_ticks()


cdef class TrapPath(PortPath):
    """`--io trap`: fault, fetch, decode, simulate."""

    name = "trap"

    def __init__(self, PortBus bus not None):
        PortPath.__init__(self, bus)
        self.traps = True
        self.number = TRAP
        self.clock = FaultClock()

    @property
    def profile(self):
        """Whether the phases are summed. Raises EngineError if it is turned on before an engine has this path."""
        return self.profiled

    @profile.setter
    def profile(self, bint on):
        if on == self.profiled:
            return
        if self.vcpu == NULL:
            raise EngineError("trap: no engine has this path, so there is nothing to profile")
        (hook if on else unhook)(<Vcpu> self.vcpu, self.clock)
        self.clock.began = 0
        self.profiled = on

    cdef void sample(self, bint on) noexcept nogil:
        """While profile is on: measure from now on, or not. A sampler that measures one trap in many turns it so."""
        if self.profiled and self.vcpu != NULL:
            wake(<Vcpu> self.vcpu, self.clock, on)
            self.clock.began = self.last_fault = self.last_decode = 0

    cdef bint simulate(self, Vcpu vcpu) noexcept nogil:
        if self.clock.began:            # not profiled: a device may turn that on or off in the middle
            return self.simulate_timed(vcpu)
        return PortPath.simulate(self, vcpu)

    cdef bint simulate_timed(self, Vcpu vcpu) noexcept nogil:
        """PortPath.simulate() with a clock beside each of its steps."""
        cdef PortInstruction instruction
        cdef uint64_t fault_began = self.clock.began
        cdef uint64_t began = hp_ticks()
        cdef uint64_t decoded
        cdef uint32_t port
        self.clock.began = 0
        if fetch_and_decode(vcpu, &instruction) <= 0:
            return False
        decoded = hp_ticks()
        port = port_of(vcpu, &instruction)
        if not vcpu.port_allowed(port, instruction.size):
            return False
        self.last_fault = began - fault_began       # for the observers of the access
        self.last_decode = decoded - began
        perform(self, vcpu, &instruction, port)
        self.traps_profiled += 1
        self.fault_ticks += began - fault_began
        self.decode_ticks += decoded - began
        self.simulate_ticks += hp_ticks() - decoded
        return True
