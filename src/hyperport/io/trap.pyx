# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
"""Stage 2 of an access on the path `trap`: a #GP handler that has to find out what the guest did. Next:
bus/port_bus.pyx.

This is the hypervisor of 2007. Every port access of the guest raises #GP(0), as it does for a kernel that runs
deprivileged, and nothing of what the engine knows is used: fetch the bytes at CS:EIP through the guest's page tables,
decode them, check permission, simulate, move EIP. A #GP that was none of ours, or an access that the guest may not do,
is its own exception to handle.

While profile is on, three phases are summed in TSC ticks: the fault (from the access until this handler has it), fetch
and decode, check and simulate. Each sum holds one reading of the clock for each trap; clock_cost() tells what that is.
"""

from libc.stdint cimport uint32_t, uint64_t

from hyperport.bus.port_bus cimport DIRECTION_IN, TRAP, PortBus
from hyperport.cpu.decode cimport PortInstruction
from hyperport.cpu.fetch cimport fetch_and_decode
from hyperport.cpu.vcpu cimport EAX, EDX, GuestCpu
from hyperport.io.strings cimport StringAccess, run_string, string_of
from hyperport.io.path cimport PortPath

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


cdef class TrapPath(PortPath):
    """`--io trap`: fault, fetch, decode, simulate."""

    name = "trap"

    def __init__(self, PortBus bus not None):
        PortPath.__init__(self, bus)
        self.traps = True

    cdef void fault_begins(self) noexcept nogil:
        self.fault_began = hp_ticks()

    cdef bint on_fault(self, GuestCpu cpu) noexcept nogil:
        cdef PortInstruction instruction
        cdef bint profile = self.fault_began != 0       # a device may turn it on or off in the middle
        cdef uint64_t fault_began = self.fault_began
        cdef uint64_t began = hp_ticks() if profile else 0
        cdef uint64_t decoded
        self.fault_began = 0
        if fetch_and_decode(cpu, &instruction) <= 0:
            return False
        decoded = hp_ticks() if profile else 0
        if not cpu.port_allowed(instruction.port if instruction.immediate else cpu.get(EDX) & 0xFFFF, instruction.size):
            return False
        self.simulate(cpu, &instruction)
        if profile:
            self.traps_profiled += 1
            self.fault_ticks += began - fault_began
            self.decode_ticks += decoded - began
            self.simulate_ticks += hp_ticks() - decoded
        return True

    cdef void simulate(self, GuestCpu cpu, PortInstruction *instruction) noexcept nogil:
        cdef uint32_t port = instruction.port if instruction.immediate else cpu.get(EDX) & 0xFFFF
        cdef uint32_t size = instruction.size
        cdef uint32_t mask = <uint32_t> 0xFFFFFFFF >> (32 - 8 * size)
        cdef StringAccess access
        if instruction.string:
            string_of(cpu, instruction, &access)
            if not run_string(cpu, self.bus, &access, TRAP):
                cpu.retire(0)
                return
        elif instruction.direction == DIRECTION_IN:
            cpu.put(EAX, (cpu.get(EAX) & ~mask) | (self.bus.read(port, size, TRAP) & mask))
        else:
            self.bus.write(port, size, cpu.get(EAX) & mask, TRAP)
        cpu.retire(instruction.length)
