# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
"""The vCPU's part in what mend.pyx puts into the core: instructions that are done here, and breakpoints of accesses that
the core does not see, because a path or a hypercall makes them."""

from libc.stdint cimport uint8_t, uint32_t, uint64_t

from hyperport.cpu.decode cimport PortInstruction
from hyperport.cpu.undefined cimport ICEBP, NEED_MORE, SMSW_LONG, judge_instruction
from hyperport.cpu.vcpu cimport ECX, EDI, EDX, EFLAGS_RF, EFLAGS_VM, ESI, VECTOR_DB
from hyperport.engines.unicorn.fidelity.mend cimport (
    exception_begins,
    one_by_one,
    port_hits,
    segment_allows,
    segment_vector,
    segments_changed,
)
from hyperport.engines.unicorn.fields cimport u32, u64
from hyperport.engines.unicorn.vcpu cimport UnicornVcpu

include "../layout.pxi"

cdef enum:
    LONGEST = 15
    CR0_PE = 1
    SEGMENT_CS = 1
    MODRM_RM = 7


cdef class MendedVcpu(UnicornVcpu):
    """A vCPU with the debug registers and the encodings of an i386."""

    cdef bint did_undefined(self) noexcept nogil:
        """#UD, as the translator was made to believe (code_filter.pyx). True if it is another thing, and done."""
        cdef uint8_t code[LONGEST]
        cdef const uint8_t *byte
        cdef uint32_t linear = self.segment_base(SEGMENT_CS) + self.instruction_pointer()
        cdef bint protected = (u64(self.env, ENV_CR)[0] & CR0_PE) and not u64(self.env, ENV_EFLAGS)[0] & EFLAGS_VM
        cdef bint aligned = False
        cdef uint32_t n = 0
        cdef int verdict = NEED_MORE
        while verdict == NEED_MORE and n < LONGEST:
            byte = self.code_at(linear + n)
            if byte == NULL:
                return False
            code[n] = byte[0]
            n += 1
            verdict = judge_instruction(code, n, self.code_is_32_bit(), protected, &aligned)
        if verdict == ICEBP:
            u64(self.env, ENV_EIP)[0] = <uint32_t> (u64(self.env, ENV_EIP)[0] + n)
            u64(self.env, ENV_EFLAGS)[0] &= ~<uint64_t> EFLAGS_RF
            self.deliver(VECTOR_DB, 0)
            return True
        if verdict == SMSW_LONG:
            self.put(code[n - 1] & MODRM_RM, <uint32_t> u64(self.env, ENV_CR)[0])
            self.retire(n)
            return True
        return False

    cdef int string_fault(self, const PortInstruction *instruction) noexcept nogil:
        """The vector that an element of INS or OUTS raises for its segment; 0 for none."""
        cdef uint32_t mask = 0xFFFF if instruction.address_size == 2 else <uint32_t> 0xFFFFFFFF
        cdef uint32_t index = self.get(ESI if instruction.direction else EDI) & mask
        if not one_by_one(self.env) or (instruction.rep and not self.get(ECX) & mask):
            return 0
        if segment_allows(self.env, instruction.segment, index, instruction.size, not instruction.direction):
            return 0
        return segment_vector(instruction.segment)

    cdef void note_hits(self, const PortInstruction *instruction) noexcept nogil:
        """A path is about to do this instruction."""
        cdef uint32_t mask = 0xFFFF if instruction.address_size == 2 else <uint32_t> 0xFFFFFFFF
        if instruction.rep and not self.get(ECX) & mask:
            return
        self.hits = port_hits(self.env, instruction.port if instruction.immediate else self.get(EDX) & 0xFFFF,
                              instruction.size)

    cdef void deliver(self, uint32_t vector, uint32_t error_code) noexcept nogil:
        """Have the core deliver an exception, as if translated code had raised it here."""
        u32(self.cpu, CPU_EXCEPTION_INDEX)[0] = vector
        u32(self.env, ENV_ERROR_CODE)[0] = error_code
        exception_begins(self.env, vector)
        self.lib.do_interrupt(self.cpu)
        segments_changed(self.env)
