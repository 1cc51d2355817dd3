# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
"""Stage 2 of an access: how it reaches the VMM (a path). Next: bus/port_bus.pyx.

Three strategies: io/exit.pyx, io/trap.pyx, io/hypercall.pyx. To an engine a path is
- traps: whether IN and OUT must raise #GP(0) instead of being told. One branch on the way of every access;
- carry(), in path.pxd: an access that the engine knows whole, be it one element or many;
- simulate(): an instruction that the engine could not do, or was not to do, and that may be a port access.
"""

from libc.stdint cimport uint32_t

from hyperport.bus.access cimport Access, describe
from hyperport.bus.port_bus cimport DIRECTION_IN, EXIT, PortBus
from hyperport.cpu.decode cimport PortInstruction
from hyperport.cpu.fetch cimport fetch_and_decode
from hyperport.cpu.vcpu cimport EAX, EDX, Vcpu
from hyperport.io.crossing cimport enter_from_python
from hyperport.io.strings cimport StringAccess, run_string, string_of


cdef class PortPath:
    """Base of the paths."""

    name = "none"

    def __init__(self, PortBus bus not None):
        self.bus = bus
        self.number = EXIT

    cdef void connect(self, Vcpu vcpu) noexcept:
        """From now on this path is that vCPU's; Python's accesses on the bus cross there, too."""
        self.vcpu = <void *> vcpu
        self.bus.gate_context = self.vcpu
        self.bus.gate = enter_from_python

    cdef void disconnect(self, Vcpu vcpu) noexcept:
        """vcpu is about to end."""
        if self.vcpu == <void *> vcpu:
            self.vcpu = NULL
        if self.bus.gate_context == <void *> vcpu:
            self.bus.gate = NULL
            self.bus.gate_context = NULL

    cdef bint simulate(self, Vcpu vcpu) noexcept nogil:
        """Do what stands at CS:EIP if it is a port access that the guest may make. False: it is not. May fault."""
        cdef PortInstruction instruction
        if fetch_and_decode(vcpu, &instruction) <= 0:
            return False
        if not vcpu.port_allowed(port_of(vcpu, &instruction), instruction.size):
            return False
        perform(self.bus, vcpu, &instruction, self.number)
        return True


cdef uint32_t port_of(Vcpu vcpu, const PortInstruction *instruction) noexcept nogil:
    return instruction.port if instruction.immediate else vcpu.get(EDX) & 0xFFFF


cdef void perform(PortBus bus, Vcpu vcpu, const PortInstruction *instruction, int path) noexcept nogil:
    """A decoded port instruction with all its effects; permission is checked. May fault."""
    cdef uint32_t mask = <uint32_t> 0xFFFFFFFF >> (32 - 8 * instruction.size)
    cdef Access access
    cdef StringAccess string
    if instruction.string:
        string_of(vcpu, instruction, path, &string)
        vcpu.retire(instruction.length if run_string(vcpu, bus, &string) else 0)
        return
    describe(&access, instruction.direction, port_of(vcpu, instruction), instruction.size, path, <void *> vcpu, 0)
    if instruction.direction == DIRECTION_IN:
        bus.carry(&access)
        vcpu.put(EAX, (vcpu.get(EAX) & ~mask) | (access.value & mask))
    else:
        access.value = vcpu.get(EAX) & mask
        bus.carry(&access)
    vcpu.retire(instruction.length)
