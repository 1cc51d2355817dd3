# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
from libc.stdint cimport uint32_t

from hyperport.bus.port_bus cimport PortBus
from hyperport.cpu.decode cimport PortInstruction
from hyperport.cpu.vcpu cimport Vcpu

cdef struct StringAccess:
    uint32_t direction      # DIRECTION_IN: INS, DIRECTION_OUT: OUTS
    uint32_t port
    uint32_t size           # of an element, in bytes
    int segment             # of the operand
    uint32_t base           # its linear base
    uint32_t mask           # of index and count: 0xFFFF or 0xFFFFFFFF
    bint repeated           # count in the counting register, else one element
    bint checked            # segment_fault() is asked first
    bint stepped            # single step: one element, then back
    int path                # in tallies
    int index_register      # EDI or ESI for the instructions; an ABI may choose
    int count_register

cdef void string_of(Vcpu vcpu, const PortInstruction *instruction, int path, StringAccess *access) noexcept nogil
cdef bint run_string(Vcpu vcpu, PortBus bus, StringAccess *access) noexcept nogil
