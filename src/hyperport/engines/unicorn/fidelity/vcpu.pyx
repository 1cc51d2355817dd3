# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
"""The vCPU's part in what mend.pyx puts into the core: instructions that are done here, breakpoints of accesses that the core
does not see, because a path or a hypercall makes them, and counts of the code that is executed."""

from libc.stdint cimport uint8_t, uint32_t, uint64_t

from hyperport.cpu.decode cimport PortInstruction
from hyperport.cpu.undefined cimport ICEBP, NEED_MORE, SMSW_LONG, judge_instruction
from hyperport.cpu.vcpu cimport ECX, EDX, EFLAGS_IF, EFLAGS_RF, EFLAGS_VM, VECTOR_DB, VECTOR_GP
from hyperport.engines.unicorn.fidelity.mend cimport (
    covered_code,
    exception_begins,
    free_code_limits,
    free_coverage,
    new_code_limits,
    new_coverage,
    one_by_one,
    port_hits,
    ports_watched,
    segment_allows,
    segment_vector,
    segments_changed,
)
from hyperport.engines.unicorn.fields cimport u32, u64
from hyperport.engines.unicorn.vcpu cimport UnicornVcpu

from hyperport.errors import EngineError

include "../layout.pxi"

cdef enum:
    LONGEST = 15
    CR0_PE = 1
    SEGMENT_CS = 1
    SEGMENT_GS = 5
    MODRM_RM = 7
    FLAT_DATA = 0x00C09300          # present, DPL 0, 4 GiB, 32-bit, data, written
    DESCRIPTOR_CODE = 1 << 11


cdef class MendedVcpu(UnicornVcpu):
    """A vCPU with the debug registers and the encodings of an i386."""

    def __cinit__(self, *args, **kwargs):
        self.code_limits = new_code_limits()

    def __dealloc__(self):
        free_coverage(self.coverage)
        free_code_limits(self.code_limits)

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

    cdef bint segment_checked(self, int segment) noexcept nogil:
        """As translated code does, see segments.h: GS always, the others where something is not flat or is watched."""
        return segment == SEGMENT_GS or one_by_one(self.env)

    cdef int segment_fault(self, int segment, uint32_t offset, uint32_t size, bint store) noexcept nogil:
        return 0 if segment_allows(self.env, segment, offset, size, store) else segment_vector(segment)

    cdef void fault(self, int vector, int error_code) noexcept nogil:
        """What a path or a call has decided; so a #GP is not looked at for a port access."""
        self.decided = True
        UnicornVcpu.fault(self, vector, error_code)

    cdef bint watches_ports(self) noexcept nogil:
        return ports_watched(self.env)

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

    cdef void guest_sysenter(self) noexcept nogil:
        """SYSENTER (SDM vol. 2B): flat ring-0 CS and SS from the MSR, IF and VM cleared."""
        cdef char *env = self.env
        cdef uint32_t selector = u32(env, ENV_SYSENTER_CS)[0] & 0xFFFC
        if selector == 0 or not u64(env, ENV_CR)[0] & CR0_PE:
            self.lib.raise_exception(env, VECTOR_GP, 0)
        u64(env, ENV_EFLAGS)[0] &= ~(<uint64_t> (EFLAGS_VM | EFLAGS_IF | EFLAGS_RF))
        self.load_flat(ENV_SEGS + SEGMENT_SIZE, selector, FLAT_DATA | DESCRIPTOR_CODE)
        self.load_flat(ENV_SEGS + 2 * SEGMENT_SIZE, (selector + 8) & 0xFFFC, FLAT_DATA)
        self.refresh_hidden_flags()
        segments_changed(env)
        u64(env, ENV_REGS)[4] = <uint32_t> u64(env, ENV_SYSENTER_ESP)[0]
        u64(env, ENV_EIP)[0] = <uint32_t> (u64(env, ENV_SYSENTER_EIP)[0] - 2)   # the core steps over SYSENTER

    def cover(self):
        """Count what code is executed, from now on. Raises EngineError while the guest runs."""
        self._require_open()
        if self.running:
            raise EngineError("the guest runs: count its code from before the run on")
        if self.coverage == NULL:
            self.coverage = new_coverage()
            self.lib.flush_code(self.cpu)       # what was translated before does not count

    def covered(self):
        """(first, end, count) of each stretch of code by linear address, end exclusive, and how often others began.

        A stretch counts how often it was begun, and was then executed but perhaps for its last instruction. Others: code
        that was new when the table was full.
        """
        return ([], 0) if self.coverage == NULL else covered_code(self.coverage)
