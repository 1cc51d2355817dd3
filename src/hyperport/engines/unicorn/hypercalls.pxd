# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
from libc.stdint cimport uint32_t, uint64_t, uintptr_t

from hyperport.engines.shared.run cimport Runs
from hyperport.engines.unicorn.vcpu cimport UnicornVcpu
from hyperport.io.hypercall cimport Call, CallTable
from hyperport.memory.ram cimport GuestMemory

cdef class Hypercalls:
    cdef CallTable table
    cdef Runs runs
    cdef GuestMemory memory
    cdef uint32_t length            # of the instruction whose string is at work
    cdef uint64_t cr2               # CR2 as the guest had it

    cdef int doorbell_here(self, UnicornVcpu vcpu, uint32_t port) noexcept nogil
    cdef const Call *call_of(self, uint32_t doorbell) noexcept nogil
    cdef uint32_t hits_of(self, UnicornVcpu vcpu, Call *call) noexcept nogil
    cdef bint ring(self, UnicornVcpu vcpu, uint32_t doorbell, uintptr_t caller) noexcept nogil
    cdef bint by_instruction(self, UnicornVcpu vcpu) noexcept nogil
    cdef bint by_vector(self, UnicornVcpu vcpu, uint32_t vector, uint32_t length) noexcept nogil
    cdef bint answer(self, UnicornVcpu vcpu, int rules, uint32_t length) noexcept nogil
    cdef bint string_faulted(self, UnicornVcpu vcpu) noexcept nogil
    cdef void perform(self, UnicornVcpu vcpu, int action, int rules) noexcept nogil
