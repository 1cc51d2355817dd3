# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
from libc.stdint cimport uint8_t, uint32_t, uint64_t, uintptr_t

cdef enum Register:         # by their number in encodings
    EAX = 0
    ECX = 1
    EDX = 2
    EBX = 3
    ESP = 4
    EBP = 5
    ESI = 6
    EDI = 7

cdef enum:
    EFLAGS_TF = 1 << 8      # single step
    EFLAGS_IF = 1 << 9
    EFLAGS_DF = 1 << 10     # strings go down
    EFLAGS_RF = 1 << 16
    EFLAGS_VM = 1 << 17     # virtual 8086
    VECTOR_DB = 1
    VECTOR_UD = 6
    VECTOR_GP = 13
    VECTOR_PF = 14

    MAX_HOOKS = 32          # bits of Vcpu.beyond

cdef struct Place:          # where in guest code an access was made
    uint32_t cs             # selector
    uint32_t eip            # of the instruction, where exact
    uint32_t cpl
    bint exact              # else EIP may already be behind the instruction

cdef class Vcpu:
    cdef uint32_t beyond            # bit n: hooks[n] wants to know of every crossing; see io/crossing.pxd
    cdef uint32_t why               # the Crossing at hand; 0 while guest code runs
    cdef uintptr_t token            # the engine's own word for the place of the crossing at hand
    cdef uint32_t *selector         # of CS now, where tokens above 1 stand for EIP and CPL until the next epoch; else NULL
    cdef uint64_t *pointer          # then EIP, while it is written back,
    cdef uint32_t *privileged       # and CPL, in the two lowest bits
    cdef uint32_t epoch
    cdef uint32_t hooks_taken       # bit n: hooks[n] is somebody's; beyond has those that are awake
    cdef void *hooks[MAX_HOOKS]
    cdef list hooked                # what keeps them alive

    cdef void place(self, uintptr_t token, Place *place) noexcept nogil
    cdef uint32_t get(self, int register) noexcept nogil
    cdef void put(self, int register, uint32_t value) noexcept nogil
    cdef uint32_t instruction_pointer(self) noexcept nogil
    cdef bint locate(self, uint32_t *linear, uint64_t *physical) noexcept nogil
    cdef void jump(self, uint32_t distance) noexcept nogil
    cdef uint32_t flags(self) noexcept nogil
    cdef uint32_t privilege(self) noexcept nogil
    cdef bint code_is_32_bit(self) noexcept nogil
    cdef uint32_t segment_base(self, int segment) noexcept nogil
    cdef const uint8_t *code_at(self, uint32_t linear) noexcept nogil
    cdef uint8_t *probe(self, uint32_t linear, uint32_t length, bint store) noexcept nogil
    cdef uint32_t load(self, uint32_t linear, uint32_t size) noexcept nogil
    cdef bint peek(self, uint32_t linear, uint32_t *value) noexcept nogil
    cdef void store(self, uint32_t linear, uint32_t size, uint32_t value) noexcept nogil
    cdef bint port_allowed(self, uint32_t port, uint32_t size) noexcept nogil
    cdef bint watches_ports(self) noexcept nogil
    cdef bint segment_checked(self, int segment) noexcept nogil
    cdef int segment_fault(self, int segment, uint32_t offset, uint32_t size, bint store) noexcept nogil
    cdef bint steps(self) noexcept nogil
    cdef void moved(self, uint32_t elements) noexcept nogil
    cdef void retire(self, uint32_t length) noexcept nogil
    cdef void fault(self, int vector, int error_code) noexcept nogil


cdef inline void begin_epoch(Vcpu vcpu) noexcept nogil:
    """From here on, tokens may stand for something else."""
    vcpu.epoch += 1


cdef inline uintptr_t token_for(uint32_t eip, uint32_t cpl) noexcept nogil:
    """Stands for these in every epoch. No engine's own token is that large: those are addresses of the host's code."""
    return <uintptr_t> 1 << 63 | <uintptr_t> cpl << 32 | eip


cdef inline uintptr_t exact_token(Vcpu vcpu) noexcept nogil:
    """For where a vCPU with a selector stands, while EIP is written back."""
    return token_for(<uint32_t> vcpu.pointer[0], vcpu.privileged[0] & 3)
