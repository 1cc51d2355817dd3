# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
from libc.stdint cimport uint32_t

from hyperport.bus.access cimport Access
from hyperport.bus.port_bus cimport PortBus, carry_element
from hyperport.cpu.decode cimport PortInstruction
from hyperport.cpu.vcpu cimport EDX, Vcpu

cdef class PortPath:
    cdef readonly PortBus bus
    cdef readonly bint traps        # IN and OUT raise #GP(0), and simulate() finds out what they are
    cdef int number                 # its Path, in tallies
    cdef void *vcpu                 # whose accesses these are (a Vcpu, borrowed); NULL while there is none

    cdef void connect(self, Vcpu vcpu) noexcept
    cdef void disconnect(self, Vcpu vcpu) noexcept
    cdef bint simulate(self, Vcpu vcpu) noexcept nogil


cdef inline void carry(PortPath path, Access *access) noexcept nogil:
    """An access that the engine knows whole, and has checked permission of."""
    if access.data == NULL:
        carry_element(path.bus, access)
    else:
        path.bus.carry(access)


cdef inline uint32_t port_of(Vcpu vcpu, const PortInstruction *instruction) noexcept nogil:
    return instruction.port if instruction.immediate else vcpu.get(EDX) & 0xFFFF


cdef void perform(PortPath path, Vcpu vcpu, const PortInstruction *instruction, uint32_t port) noexcept nogil
