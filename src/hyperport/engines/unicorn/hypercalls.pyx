# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
"""Stage 1 of a hypercall on Unicorn: which instruction of the guest is one. Next: io/hypercall.pyx.

VMI.    `out %al, $number` in the ROM reaches out_byte() in engine.pyx like any OUT. It is a doorbell by its physical
        address and number; anywhere else, or at CPL 3, it is what it natively is.
KVM.    VMCALL and VMMCALL are invalid instructions to the core; before the guest gets its #UD the three bytes at EIP
        are compared. With a prefix they are #UD.
lguest. INT 1Fh at CPL 0 and 1 in protected mode, before the gate is looked at.

Only what the machine offers is looked for. A page fault in the string of a KVM or lguest call is not the guest's: it
arrives at engine.pyx like every exception, and string_call_faulted() turns it into the call's answer.
"""

from libc.stdint cimport int32_t, uint8_t, uint32_t, uint64_t, uintptr_t
from libc.string cimport memset

from hyperport.io.hypercall cimport (
    ACTION_FLUSH_TLB,
    ACTION_HALT,
    ACTION_KILL,
    ACTION_NOT_OURS,
    ACTION_SET_TS,
    ACTION_SHUTDOWN,
    BY_INT,
    BY_VMCALL,
    CALL_AGAIN,
    CALL_DONE,
    MAX_CALLS,
    CallShape,
    CallTable,
)
from hyperport.lines.attention cimport GUEST_KILLED, POWER_OFF, RESET
from hyperport.cpu.vcpu cimport EAX, EBX, ECX, EDX, EFLAGS_TF
from hyperport.engines.unicorn.fidelity.mend cimport doorbell_accessed, port_hits, raise_trap
from hyperport.engines.unicorn.fidelity.vcpu cimport MendedVcpu
from hyperport.engines.unicorn.fields cimport u32, u64

from hyperport.abi.numbers import LguestShutdown
from hyperport.errors import ConfigError

include "layout.pxi"

cdef enum:
    CR0_PE = 1 << 0
    CR0_TS = 1 << 3         # the next FPU instruction is #NM
    INT_BYTES = 2
    VMCALL_BYTES = 3
    VMCALL_LAST = 0xC1      # 0F 01 C1
    VMMCALL_LAST = 0xD9     # 0F 01 D9
    SEGMENT_CS = 1

cdef uint32_t RESTART = LguestShutdown.RESTART


cdef class CallingVcpu(MendedVcpu):
    """A vCPU whose guest may call."""

    def offer(self, CallTable calls not None, rom_base=0, doorbells=None, cpuid_leaves=None):
        """Answer these calls: doorbells maps offsets in the ROM at rom_base to VMI call numbers.

        cpuid_leaves: what CPUID shows besides the CPU, leaf -> (EAX, EBX, ECX, EDX).
        """
        if any(not 0 <= offset < ROM_SIZE for offset in doorbells or {}):
            raise ConfigError(f"a doorbell lies outside the first {ROM_SIZE} bytes of the ROM")
        self.calls = calls
        self.rom_base = rom_base
        memset(self.doorbells, 0, sizeof(self.doorbells))
        for offset, number in (doorbells or {}).items():
            self.doorbells[<int> offset] = number
        self.identify(cpuid_leaves or {})

    cdef uint32_t doorbell_here(self) noexcept nogil:
        """The number of the doorbell at CS:EIP; 0 if there is none."""
        cdef const uint8_t *code = self.code_at(self.segment_base(SEGMENT_CS) + self.instruction_pointer())
        cdef uint64_t offset = <uint64_t> code - <uint64_t> self.memory.base - self.rom_base
        return self.doorbells[offset] if code != NULL and offset < ROM_SIZE else 0

    cdef bint ring(self, uint32_t number, uintptr_t caller) noexcept nogil:
        """A doorbell was rung: do the call. False where CPL or the offered set make it an ordinary OUT."""
        cdef int result
        cdef CallShape *shape = &self.calls.shapes[number]
        cdef uint32_t port = self.get(EDX) & 0xFFFF
        cdef uint32_t hits = 0
        if u32(self.env, ENV_HFLAGS)[0] & HFLAG_CPL > 1:
            return False
        if not shape.string or self.get(ECX):
            hits = port_hits(self.env, port, shape.size)
        if shape.string:
            self.lib.restore_state(self.cpu, caller, False)     # a page fault must find EIP at the doorbell
        result = self.calls.vmi_call(self, number)
        if result == CALL_AGAIN:
            if hits or u64(self.env, ENV_EFLAGS)[0] & EFLAGS_TF:
                raise_trap(self.env, hits)
            self.lib.leave_block(self.cpu)
        if hits:
            doorbell_accessed(port, shape.size)
        return result == CALL_DONE

    cdef uint32_t call_hits(self, int convention) noexcept nogil:
        """I/O breakpoints that the call with its number in EAX hits; it has not been done yet."""
        cdef uint32_t number = self.get(EAX) - self.calls.private[convention].port_base
        cdef CallShape *shape
        if number >= MAX_CALLS or self.privilege() > self.calls.private[convention].highest_cpl:
            return 0
        shape = &self.calls.port_calls[number]
        if not shape.offered or (shape.string and not self.get(ECX)):
            return 0
        return port_hits(self.env, self.get(EBX) & 0xFFFF, shape.size)

    cdef bint calls_by_vmcall(self) noexcept nogil:
        """An invalid instruction is at EIP. True if it was VMCALL or VMMCALL and is now done."""
        cdef uint8_t code[VMCALL_BYTES]
        cdef const uint8_t *byte
        cdef int i
        if self.calls is None or not self.calls.offers(BY_VMCALL):
            return False
        for i in range(VMCALL_BYTES):
            byte = self.code_at(self.segment_base(SEGMENT_CS) + self.instruction_pointer() + i)
            if byte == NULL:
                return False
            code[i] = byte[0]
        if code[0] != 0x0F or code[1] != 0x01 or (code[2] != VMCALL_LAST and code[2] != VMMCALL_LAST):
            return False
        return self.private_call(BY_VMCALL, VMCALL_BYTES)

    cdef bint calls_by_int(self) noexcept nogil:
        """INT 1Fh is at EIP. True if it was a call and is now done."""
        if self.calls is None or not self.calls.offers(BY_INT) or not u64(self.env, ENV_CR)[0] & CR0_PE:
            return False
        return self.private_call(BY_INT, INT_BYTES)

    cdef bint private_call(self, int convention, uint32_t length) noexcept nogil:
        cdef uint32_t number = self.get(EAX)
        cdef int action
        (<int32_t *> (self.env + ENV_OLD_EXCEPTION))[0] = -1        # a page fault of the string is a first fault
        self.call_length = length
        self.call_cr2 = u64(self.env, ENV_CR)[2]
        self.hits = self.call_hits(convention)
        action = self.calls.private_call(self, convention)
        if action == ACTION_NOT_OURS:
            self.hits = 0
            return False
        self.perform(action, number)
        self.retire(length)
        return True

    cdef bint string_call_faulted(self) noexcept nogil:
        """A page fault has come. True if it was in the string of a call, which is now answered."""
        if self.calls is None or not self.calls.in_string:
            return False
        u64(self.env, ENV_CR)[2] = self.call_cr2
        (<int32_t *> (self.env + ENV_OLD_EXCEPTION))[0] = -1
        self.calls.end_string(self)
        self.retire(self.call_length)
        return True

    cdef void perform(self, int action, uint32_t number) noexcept nogil:
        """What a call does besides its answer in EAX."""
        cdef uint32_t cr0 = <uint32_t> u64(self.env, ENV_CR)[0]
        if action == ACTION_FLUSH_TLB:
            self.lib.flush_tlb(self.cpu)
        elif action == ACTION_SET_TS:
            self.lib.update_cr0(self.env, cr0 | CR0_TS if self.get(EBX) else cr0 & ~<uint32_t> CR0_TS)
        elif action == ACTION_HALT:
            u32(self.cpu, CPU_HALTED)[0] = 1
            self.lib.emu_stop(self.uc)
        elif action == ACTION_SHUTDOWN:
            self.attention.request_stop(RESET if self.get(ECX) == RESTART else POWER_OFF, 0)
        elif action == ACTION_KILL:
            self.attention.request_stop(GUEST_KILLED, number)
