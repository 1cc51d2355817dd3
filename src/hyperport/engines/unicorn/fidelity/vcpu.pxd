# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
from libc.stdint cimport uint32_t

from hyperport.cpu.decode cimport PortInstruction
from hyperport.engines.unicorn.vcpu cimport UnicornVcpu

cdef class MendedVcpu(UnicornVcpu):
    cdef void *jumps            # of new_jumps()
    cdef void *coverage         # counts of code; NULL: nobody asks
    cdef void *code_limits      # of new_code_limits()
    cdef bint decided           # the exception that comes next is none of a port access

    cdef bint did_undefined(self) noexcept nogil
    cdef bint watches_ports(self) noexcept nogil
    cdef void note_hits(self, const PortInstruction *instruction) noexcept nogil
    cdef void deliver(self, uint32_t vector, uint32_t error_code) noexcept nogil
    cdef void guest_sysenter(self) noexcept nogil
