# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
"""Stage 1 of a hypercall on Unicorn: which instruction of the guest is one. Next: io/hypercall.pyx.

Doorbells.  An OUT in an image of ours reaches out_byte() in ports.pyx like any other. It is a doorbell by its physical
            address and number; anywhere else, or from a CPL too high, it is what it natively is.
Instructions are invalid to the core. Before the guest gets its #UD the bytes at EIP are compared. With a prefix they are #UD.
Vectors.    INT n in protected mode, before the gate is looked at.

Only what the machine offers is looked for. A page fault in the string of a call that counts what is left is not the guest's: it
arrives at engine.pyx like every exception, and string_faulted() turns it into the call's answer.
"""

cimport cython
from libc.stdint cimport int32_t, uint8_t, uint32_t, uint64_t, uintptr_t

from hyperport.engines.shared.run cimport Runs
from hyperport.cpu.vcpu cimport EFLAGS_TF
from hyperport.engines.unicorn.fidelity.mend cimport doorbell_accessed, port_hits, raise_trap
from hyperport.engines.unicorn.fields cimport u32, u64
from hyperport.engines.unicorn.vcpu cimport UnicornVcpu
from hyperport.io.hypercall cimport (
    ACTION_AGAIN,
    ACTION_FLUSH_TLB,
    ACTION_HALT,
    ACTION_NOTHING,
    ACTION_NOT_OURS,
    ACTION_SET_TS,
    VECTORS,
    Call,
    Doorbell,
    Rules,
)
from hyperport.memory.ram cimport GuestMemory

include "layout.pxi"

cdef enum:
    CR0_PE = 1 << 0
    CR0_TS = 1 << 3         # the next FPU instruction is #NM
    SEGMENT_CS = 1


@cython.final
cdef class Hypercalls:
    """runs: with the CallTable that is offered; made anew when that changes."""

    def __init__(self, Runs runs not None, GuestMemory memory not None):
        self.table = runs.calls
        self.runs = runs
        self.memory = memory

    cdef int doorbell_here(self, UnicornVcpu vcpu, uint32_t port) noexcept nogil:
        """The index of the doorbell at CS:EIP, which is an OUT to this port; -1 if there is none."""
        cdef const uint8_t *code
        cdef Doorbell *found = NULL
        if port >= VECTORS or not self.table.rung_by[port]:
            return -1
        code = vcpu.code_at(vcpu.segment_base(SEGMENT_CS) + vcpu.instruction_pointer())
        if code != NULL:
            found = self.table.doorbell_at(<uint64_t> code - <uint64_t> self.memory.base)
        if found == NULL or self.table.calls[found.call].number != port:
            return -1
        return <int> (found - self.table.doorbells)

    cdef const Call *call_of(self, uint32_t doorbell) noexcept nogil:
        return &self.table.calls[self.table.doorbells[doorbell].call]

    cdef uint32_t hits_of(self, UnicornVcpu vcpu, Call *call) noexcept nogil:
        """I/O breakpoints that a call hits; it has not been done yet."""
        cdef Rules *rules = &self.table.rules[call.rules]
        if not call.is_port or vcpu.privilege() > rules.highest_cpl or (call.string and not vcpu.get(rules.count)):
            return 0
        return port_hits(vcpu.env, vcpu.get(rules.port) & 0xFFFF, call.size)

    cdef bint ring(self, UnicornVcpu vcpu, uint32_t doorbell, uintptr_t caller) noexcept nogil:
        """A doorbell was rung: do the call. False where CPL or the offered set make it an ordinary OUT."""
        cdef Call *call = &self.table.calls[self.table.doorbells[doorbell].call]
        cdef uint32_t hits = self.hits_of(vcpu, call)
        cdef int action
        if not call.is_port or call.string:
            vcpu.lib.restore_state(vcpu.cpu, caller, False)     # a page fault must find EIP at the doorbell
            self.length = self.table.doorbells[doorbell].length
            self.cr2 = u64(vcpu.env, ENV_CR)[2]
        action = self.table.answer(vcpu, call)
        if action == ACTION_NOTHING:
            doorbell_accessed(vcpu.env, hits)       # translated code is about to look at the doorbell's own port
            return True
        if action == ACTION_NOT_OURS:
            return False
        if action == ACTION_AGAIN and (hits or u64(vcpu.env, ENV_EFLAGS)[0] & EFLAGS_TF):
            raise_trap(vcpu.env, hits)
        if action != ACTION_AGAIN:
            self.perform(vcpu, action, call.rules)
            vcpu.retire(self.table.doorbells[doorbell].length)
        vcpu.lib.leave_block(vcpu.cpu)
        return True

    cdef bint by_instruction(self, UnicornVcpu vcpu) noexcept nogil:
        """An invalid instruction is at EIP. True if it was a call and is now done."""
        cdef uint32_t length
        cdef int rules = self.table.instruction_at(vcpu, &length) if self.table.instruction_count else -1
        return rules >= 0 and self.answer(vcpu, rules, length)

    cdef bint by_vector(self, UnicornVcpu vcpu, uint32_t vector, uint32_t length) noexcept nogil:
        """INT n is at EIP. True if it was a call and is now done."""
        cdef int rules = self.table.vectors[vector & 0xFF]
        return rules >= 0 and u64(vcpu.env, ENV_CR)[0] & CR0_PE and self.answer(vcpu, rules, length)

    cdef bint answer(self, UnicornVcpu vcpu, int rules, uint32_t length) noexcept nogil:
        cdef Call *call = self.table.numbered(rules, vcpu.get(self.table.rules[rules].number))
        cdef int action
        (<int32_t *> (vcpu.env + ENV_OLD_EXCEPTION))[0] = -1        # a page fault of the string is a first fault
        self.length = length
        self.cr2 = u64(vcpu.env, ENV_CR)[2]
        vcpu.hits = self.hits_of(vcpu, call)
        action = self.table.answer(vcpu, call)
        if action == ACTION_NOT_OURS:
            vcpu.hits = 0
            return False
        self.perform(vcpu, action, rules)
        vcpu.retire(0 if action == ACTION_AGAIN else length)
        return True

    cdef bint string_faulted(self, UnicornVcpu vcpu) noexcept nogil:
        """A page fault has come. True if it was in a string that counts what is left, which is now answered."""
        if not self.table.in_string:
            return False
        u64(vcpu.env, ENV_CR)[2] = self.cr2
        (<int32_t *> (vcpu.env + ENV_OLD_EXCEPTION))[0] = -1
        self.table.end_string(vcpu)
        vcpu.retire(self.length)
        return True

    cdef void perform(self, UnicornVcpu vcpu, int action, int rules) noexcept nogil:
        """What a call does besides its answer."""
        cdef uint32_t cr0 = <uint32_t> u64(vcpu.env, ENV_CR)[0]
        cdef int *arguments = self.table.rules[rules].arguments
        if action == ACTION_FLUSH_TLB:
            vcpu.lib.flush_tlb(vcpu.cpu)
        elif action == ACTION_SET_TS:
            vcpu.lib.update_cr0(vcpu.env, cr0 | CR0_TS if vcpu.get(arguments[0]) else cr0 & ~<uint32_t> CR0_TS)
        elif action == ACTION_HALT:
            u32(vcpu.cpu, CPU_HALTED)[0] = 1
            vcpu.lib.emu_stop(vcpu.uc)
        else:
            self.runs.perform(vcpu, action, rules)
