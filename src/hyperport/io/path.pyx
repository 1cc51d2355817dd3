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
from hyperport.bus.port_bus cimport DIRECTION_IN, EXIT, PortBus, carry_element
from hyperport.cpu.decode cimport PortInstruction
from hyperport.cpu.fetch cimport fetch_and_decode
from hyperport.cpu.vcpu cimport EAX, Vcpu
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
        cdef uint32_t port
        if fetch_and_decode(vcpu, &instruction) <= 0:
            return False
        port = port_of(vcpu, &instruction)
        if not vcpu.port_allowed(port, instruction.size):
            return False
        perform(self, vcpu, &instruction, port)
        return True


cdef void perform(PortPath path, Vcpu vcpu, const PortInstruction *instruction, uint32_t port) noexcept nogil:
    """A decoded port instruction with all its effects; permission is checked. May fault."""
    cdef Access access
    if instruction.string:
        perform_string(path, vcpu, instruction)
        return
    describe(&access, instruction.direction, port, instruction.size, path.number, <void *> vcpu, 0)
    if instruction.direction == DIRECTION_IN:
        carry_element(path.bus, &access)
        if instruction.size == 4:
            vcpu.put(EAX, access.value)
        else:
            vcpu.put(EAX, merged(vcpu.get(EAX), access.value, instruction.size))
    else:
        access.value = merged(0, vcpu.get(EAX), instruction.size)
        carry_element(path.bus, &access)
    vcpu.retire(instruction.length)


cdef inline uint32_t merged(uint32_t old, uint32_t new, uint32_t size) noexcept nogil:
    """old with its lowest size bytes from new."""
    cdef uint32_t mask = <uint32_t> 0xFFFFFFFF >> (32 - 8 * size)
    return (old & ~mask) | (new & mask)


cdef void perform_string(PortPath path, Vcpu vcpu, const PortInstruction *instruction) noexcept nogil:
    cdef StringAccess string
    string_of(vcpu, instruction, path.number, &string)
    vcpu.retire(instruction.length if run_string(vcpu, path.bus, &string) else 0)
