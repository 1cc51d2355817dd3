# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
from libc.stdint cimport uint8_t, uint32_t, uint64_t, uintptr_t

from hyperport.io.hypercall cimport CallTable
from hyperport.lines.attention cimport Attention
from hyperport.engines.unicorn.fidelity.vcpu cimport MendedVcpu

cdef enum:
    ROM_SIZE = 8192         # most bytes of a ROM with doorbells

cdef class CallingVcpu(MendedVcpu):
    cdef Attention attention
    cdef CallTable calls
    cdef uint64_t rom_base
    cdef uint8_t doorbells[ROM_SIZE]    # by offset in the ROM: the number of the call, 0 for none
    cdef uint32_t call_length           # of the instruction whose string call is at work
    cdef uint64_t call_cr2              # CR2 as the guest had it

    cdef uint32_t doorbell_here(self) noexcept nogil
    cdef bint ring(self, uint32_t number, uintptr_t caller) noexcept nogil
    cdef uint32_t call_hits(self, int convention) noexcept nogil
    cdef bint calls_by_vmcall(self) noexcept nogil
    cdef bint calls_by_int(self) noexcept nogil
    cdef bint private_call(self, int convention, uint32_t length) noexcept nogil
    cdef bint string_call_faulted(self) noexcept nogil
    cdef void perform(self, int action, uint32_t number) noexcept nogil
