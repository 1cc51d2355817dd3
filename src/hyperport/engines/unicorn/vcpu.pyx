# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
"""The registers and memory of a vCPU on Unicorn: engine.pyx makes it run, this file reads and changes it.

The core keeps the register file in CPUX86State (`env`); layout.pxi says where. EFLAGS is in three places: the
arithmetic flags in cc_src and cc_op (valid only between instructions), DF as +1 or -1, the rest as they are.
What Vcpu calls "may fault" leaves by the core's own longjmp, to the block loop and the guest's handler.
"""

from libc.stdint cimport int32_t, uint8_t, uint16_t, uint32_t, uint64_t, uintptr_t
from libc.string cimport memcpy

from hyperport.cpu.page_walk cimport WALK_OK, WALK_UNSEEN, Paging, walk
from hyperport.cpu.vcpu cimport (
    EFLAGS_DF,
    EFLAGS_RF,
    EFLAGS_TF,
    EFLAGS_VM,
    Place,
    Vcpu,
)
from hyperport.engines.unicorn.fidelity.mend cimport (
    debug_registers_loaded,
    page_attributes,
    raise_trap,
    registers_loaded,
    set_time_stamp,
    time_stamp,
    time_stamp_offset,
)
from hyperport.engines.unicorn.fields cimport u32, u64
from hyperport.memory.map cimport hp_host_at
from hyperport.engines.unicorn.places cimport KnownPlace, known_place

from hyperport.cpu import cpuid
from hyperport.cpu.state import REGISTERS, SEGMENTS, CpuState, FpuState, Segment, Table
from hyperport.errors import EngineError

include "layout.pxi"

cdef enum:
    LEAF_STRUCTURED = 7
    CR0_PE = 1
    CODE_SEGMENT = 1
    EFLAGS_ARITHMETIC = 0x8D5       # CF PF AF ZF SF OF
    DESCRIPTOR_DPL_SHIFT = 13
    DESCRIPTOR_PRESENT = 1 << 15
    DESCRIPTOR_DEFAULT_32 = 1 << 22
    TSS_BUSY = 1 << 9               # the core keeps this bit of TR clear, the CPU set
    TSS_MAP_BASE = 0x66             # where a 32-bit TSS holds the offset of its I/O map
    TSS_SMALLEST = 103
    PAGE_SIZE = 4096
    EFER_NXE_SHIFT = 11
    FPU_TOP_SHIFT = 11              # in the status word: which register is the top of the stack
    TAG_EMPTY = 3
    FPUS_TOLD = 1 << 11             # see fpu_error.pyx


cdef inline int mmu_of(char *env) noexcept nogil:
    """Which of the core's TLBs the guest's own loads and stores use now."""
    return MMU_USER if u32(env, ENV_HFLAGS)[0] & HFLAG_CPL == 3 else MMU_KERNEL


cdef class UnicornVcpu(Vcpu):
    """What the paths and ABIs see of the guest, and all registers for boot code and reports."""

    cdef _require_open(self):
        if self.uc == NULL:
            raise EngineError("unicorn: the machine has been closed; make a new one")

    # Vcpu.

    cdef void place(self, uintptr_t token, Place *place) noexcept nogil:
        """token: a return address into translated code, 0 (EIP is written back), or INEXACT. The registers may stay
        as they were."""
        cdef KnownPlace *known
        place.cs = u32(self.env, ENV_SEGS + SEGMENT_SIZE)[0] & 0xFFFF
        if token > INEXACT:
            known = known_place(&self.places, token)
            if known.caller != token:
                self.lib.restore_state(self.cpu, token, False)
                known.caller = token
                known.eip = self.instruction_pointer()
            place.eip = known.eip
        else:
            place.eip = self.instruction_pointer()
        place.cpl = self.privilege()
        place.exact = token != INEXACT

    cdef uint32_t get(self, int register) noexcept nogil:
        return <uint32_t> u64(self.env, ENV_REGS)[register]

    cdef void put(self, int register, uint32_t value) noexcept nogil:
        u64(self.env, ENV_REGS)[register] = value

    cdef uint32_t instruction_pointer(self) noexcept nogil:
        return <uint32_t> u64(self.env, ENV_EIP)[0]

    cdef bint locate(self, uint32_t *linear, uint64_t *physical) noexcept nogil:
        cdef Paging paging = self.paging()
        linear[0] = self.segment_base(CODE_SEGMENT) + self.instruction_pointer()
        if walk(self.map, &paging, linear[0], WALK_UNSEEN, physical) != WALK_OK:
            physical[0] = <uint64_t> -1
        return True

    cdef void jump(self, uint32_t distance) noexcept nogil:
        u64(self.env, ENV_EIP)[0] = <uint32_t> (u64(self.env, ENV_EIP)[0] + distance)

    cdef uint32_t flags(self) noexcept nogil:
        cdef uint32_t eflags = <uint32_t> u64(self.env, ENV_EFLAGS)[0]
        return eflags | EFLAGS_DF if (<int32_t *> (self.env + ENV_DF))[0] < 0 else eflags

    cdef uint32_t privilege(self) noexcept nogil:
        return u32(self.env, ENV_HFLAGS)[0] & HFLAG_CPL

    cdef bint code_is_32_bit(self) noexcept nogil:
        return (u32(self.env, ENV_HFLAGS)[0] & HFLAG_CS32) != 0

    cdef uint32_t segment_base(self, int segment) noexcept nogil:
        return <uint32_t> u64(self.env, ENV_SEGS + segment * SEGMENT_SIZE + SEGMENT_BASE)[0]

    cdef const uint8_t *code_at(self, uint32_t linear) noexcept nogil:
        cdef void *host = NULL
        self.lib.code_page_host(self.env, linear, &host)
        return <const uint8_t *> host

    cdef uint8_t *probe(self, uint32_t linear, uint32_t length, bint store) noexcept nogil:
        return <uint8_t *> self.lib.probe_access(self.env, linear, <int> length, ACCESS_STORE if store else ACCESS_LOAD,
                                                 mmu_of(self.env), 0)

    cdef uint32_t load(self, uint32_t linear, uint32_t size) noexcept nogil:
        if size == 1:
            return self.lib.load_byte(self.env, linear, mmu_of(self.env), 0)
        if size == 2:
            return self.lib.load_word(self.env, linear, mmu_of(self.env), 0)
        return self.lib.load_long(self.env, linear, mmu_of(self.env), 0)

    cdef Paging paging(self) noexcept nogil:
        cdef uint64_t *cr = u64(self.env, ENV_CR)
        return Paging(<uint32_t> cr[0], <uint32_t> cr[3], <uint32_t> cr[4], u64(self.env, ENV_EFER)[0] >> EFER_NXE_SHIFT & 1)

    cdef bint peek(self, uint32_t linear, uint32_t *value) noexcept nogil:
        cdef Paging paging = self.paging()
        cdef uint64_t physical = 0
        cdef uint8_t *host
        if (linear & (PAGE_SIZE - 1)) > PAGE_SIZE - 4 or walk(self.map, &paging, linear, WALK_UNSEEN, &physical) != WALK_OK:
            return False
        host = hp_host_at(self.map, physical, 4, False)
        if host == NULL:
            return False
        memcpy(value, host, 4)
        return True

    cdef void store(self, uint32_t linear, uint32_t size, uint32_t value) noexcept nogil:
        if size == 1:
            self.lib.store_byte(self.env, linear, value, mmu_of(self.env), 0)
        elif size == 2:
            self.lib.store_word(self.env, linear, value, mmu_of(self.env), 0)
        else:
            self.lib.store_long(self.env, linear, value, mmu_of(self.env), 0)

    cdef bint port_allowed(self, uint32_t port, uint32_t size) noexcept nogil:
        """SDM vol. 1, 18.5: CPL against IOPL, then the I/O map of the TSS; in virtual-8086 mode always the map."""
        cdef char *env = self.env
        cdef uint64_t eflags = u64(env, ENV_EFLAGS)[0]
        cdef uint32_t limit, flags, offset
        cdef uint64_t base
        if not u64(env, ENV_CR)[0] & CR0_PE:
            return True
        if u32(env, ENV_HFLAGS)[0] & HFLAG_CPL <= ((eflags >> 12) & 3) and not eflags & EFLAGS_VM:
            return True
        base = u64(env, ENV_TR + SEGMENT_BASE)[0]
        limit = u32(env, ENV_TR + SEGMENT_LIMIT)[0]
        flags = u32(env, ENV_TR + SEGMENT_FLAGS)[0]
        if flags & DESCRIPTOR_PRESENT and flags >> 8 & 0xD == 9 and limit >= TSS_SMALLEST:
            offset = self.lib.load_word(env, base + TSS_MAP_BASE, MMU_KERNEL, 0) + (port >> 3)
            if offset + 1 <= limit:
                return not self.lib.load_word(env, base + offset, MMU_KERNEL, 0) >> (port & 7) & ((1 << size) - 1)
        return False

    # What is counted where instructions are, outside of translated code.

    cdef void begin(self) noexcept nogil:
        """The VMM does the instruction at hand: it is counted before, as those are that translated code does."""
        if self.left != NULL:
            self.left[0] -= 1
            self.begun = True

    cdef void undo_begin(self) noexcept nogil:
        """The instruction at hand is not complete."""
        if self.begun:
            self.left[0] += 1
            self.begun = False

    cdef void moved(self, uint32_t elements) noexcept nogil:
        if self.left != NULL:
            self.left[0] -= <int32_t> elements

    cdef void retire(self, uint32_t length) noexcept nogil:
        if length == 0:
            self.undo_begin()
        elif self.begun:
            self.begun = False
        elif self.left != NULL:
            self.left[0] -= 1
        u64(self.env, ENV_EIP)[0] = <uint32_t> (u64(self.env, ENV_EIP)[0] + length)
        u64(self.env, ENV_EFLAGS)[0] &= ~<uint64_t> EFLAGS_RF
        u32(self.env, ENV_HFLAGS)[0] &= ~<uint32_t> HFLAG_INHIBIT_IRQ
        cdef uint32_t hits = self.hits
        self.hits = 0
        if hits or u64(self.env, ENV_EFLAGS)[0] & EFLAGS_TF:
            raise_trap(self.env, hits)

    cdef bint steps(self) noexcept nogil:
        return (u64(self.env, ENV_EFLAGS)[0] & EFLAGS_TF) != 0 or u32(self.env, ENV_HFLAGS)[0] & HFLAG_IOBPT != 0

    cdef void fault(self, int vector, int error_code) noexcept nogil:
        self.lib.raise_exception(self.env, vector, error_code)

    # CPUID.

    cdef identify(self, more_leaves, khz):
        """Answer CPUID from our table and more_leaves, and let the core decode just what it promises. khz: of the TSC."""
        table = cpuid.leaves(more_leaves, khz)
        for index, (leaf, (eax, ebx, ecx, edx)) in enumerate(sorted(table.items())):
            self.leaves[<int> index] = CpuidLeaf(leaf, eax, ebx, ecx, edx)
        self.leaf_count = len(table)
        cdef uint64_t *features = u64(self.env, ENV_FEATURES)
        features[FEATURE_1_EDX] = cpuid.FEATURES_EDX
        features[FEATURE_1_ECX] = cpuid.FEATURES_ECX
        features[FEATURE_80000001_EDX] = cpuid.EXTENDED_EDX

    cdef void guest_cpuid(self) noexcept nogil:
        cdef uint64_t *registers = u64(self.env, ENV_REGS)
        cdef uint32_t leaf = <uint32_t> registers[0]
        cdef bint sub_leaf = <uint32_t> registers[1] != 0
        cdef int i
        registers[0] = registers[1] = registers[2] = registers[3] = 0
        if leaf == LEAF_STRUCTURED and sub_leaf:
            return
        for i in range(self.leaf_count):
            if self.leaves[i].leaf == leaf:
                registers[0] = self.leaves[i].eax
                registers[1] = self.leaves[i].ecx
                registers[2] = self.leaves[i].edx
                registers[3] = self.leaves[i].ebx
                break

    # Segments.

    cdef void load_flat(self, int offset, uint32_t selector, uint32_t flags) noexcept nogil:
        """A 4 GiB segment at base 0 into the register at this offset of env."""
        u32(self.env, offset)[0] = selector
        u64(self.env, offset + SEGMENT_BASE)[0] = 0
        u32(self.env, offset + SEGMENT_LIMIT)[0] = 0xFFFFFFFF
        u32(self.env, offset + SEGMENT_FLAGS)[0] = flags

    cdef object get_segment(self, int offset, uint32_t set_bits=0):
        return Segment(u32(self.env, offset)[0] & 0xFFFF, <uint32_t> u64(self.env, offset + SEGMENT_BASE)[0],
                       u32(self.env, offset + SEGMENT_LIMIT)[0], (u32(self.env, offset + SEGMENT_FLAGS)[0] | set_bits) & 0xF0FF00)

    cdef void set_segment(self, int offset, object segment):
        u32(self.env, offset)[0] = segment.selector
        u64(self.env, offset + SEGMENT_BASE)[0] = segment.base
        u32(self.env, offset + SEGMENT_LIMIT)[0] = segment.limit
        u32(self.env, offset + SEGMENT_FLAGS)[0] = segment.attributes

    cdef void refresh_hidden_flags(self) noexcept nogil:
        """Recompute what the core caches of CS, SS, DS and ES in hflags, as its segment loads do."""
        cdef char *env = self.env
        cdef char *segs = env + ENV_SEGS
        cdef uint32_t cs_flags = u32(segs + SEGMENT_SIZE, SEGMENT_FLAGS)[0]
        cdef uint32_t ss_flags = u32(segs + 2 * SEGMENT_SIZE, SEGMENT_FLAGS)[0]
        cdef uint32_t hflags = u32(env, ENV_HFLAGS)[0] & ~<uint32_t> (HFLAG_CPL | HFLAG_CS32 | HFLAG_SS32 | HFLAG_ADDSEG)
        cdef uint64_t bases
        hflags |= ss_flags >> DESCRIPTOR_DPL_SHIFT & HFLAG_CPL
        if cs_flags & DESCRIPTOR_DEFAULT_32:
            hflags |= HFLAG_CS32
        if ss_flags & DESCRIPTOR_DEFAULT_32:
            hflags |= HFLAG_SS32
        bases = (u64(segs, SEGMENT_BASE)[0] | u64(segs + 2 * SEGMENT_SIZE, SEGMENT_BASE)[0]
                 | u64(segs + 3 * SEGMENT_SIZE, SEGMENT_BASE)[0])
        if bases or not u64(env, ENV_CR)[0] & CR0_PE or u64(env, ENV_EFLAGS)[0] & EFLAGS_VM or not hflags & HFLAG_CS32:
            hflags |= HFLAG_ADDSEG
        u32(env, ENV_HFLAGS)[0] = hflags

    # The whole register file.

    def state(self):
        """All registers as a CpuState."""
        cdef uint32_t eflags = 0
        cdef char *env = self.env
        self._require_open()
        self.lib.reg_read(self.uc, UC_X86_REG_EFLAGS, &eflags)
        cdef uint64_t *cr = u64(env, ENV_CR)
        cdef uint64_t *dr = u64(env, ENV_DR)
        state = CpuState(
            eip=<uint32_t> u64(env, ENV_EIP)[0], eflags=eflags, cr0=<uint32_t> cr[0], cr2=<uint32_t> cr[2],
            cr3=<uint32_t> cr[3], cr4=<uint32_t> cr[4], efer=u64(env, ENV_EFER)[0],
            ldtr=self.get_segment(ENV_LDT), tr=self.get_segment(ENV_TR, TSS_BUSY),
            gdtr=Table(<uint32_t> u64(env, ENV_GDT + SEGMENT_BASE)[0], u32(env, ENV_GDT + SEGMENT_LIMIT)[0]),
            idtr=Table(<uint32_t> u64(env, ENV_IDT + SEGMENT_BASE)[0], u32(env, ENV_IDT + SEGMENT_LIMIT)[0]),
            sysenter_cs=u32(env, ENV_SYSENTER_CS)[0], sysenter_esp=<uint32_t> u64(env, ENV_SYSENTER_ESP)[0],
            sysenter_eip=<uint32_t> u64(env, ENV_SYSENTER_EIP)[0], halted=self.halted,
            interrupt_shadow=(u32(env, ENV_HFLAGS)[0] & HFLAG_INHIBIT_IRQ) != 0,
            dr0=<uint32_t> dr[0], dr1=<uint32_t> dr[1], dr2=<uint32_t> dr[2], dr3=<uint32_t> dr[3],
            dr6=<uint32_t> dr[6], dr7=<uint32_t> dr[7], pat=page_attributes(env)[0], tsc=time_stamp(env),
            begun=self.begun, tsc_adjust=time_stamp_offset(env) - self.tsc_base,
            event=self.event if self.event_waits else None,
        )
        for index, name in enumerate(REGISTERS):
            setattr(state, name, <uint32_t> u64(env, ENV_REGS)[<int> index])
        for index, name in enumerate(SEGMENTS):
            setattr(state, name, self.get_segment(ENV_SEGS + <int> index * SEGMENT_SIZE))
        state.fpu = self.get_fpu()
        return state

    def set_state(self, state):
        """Load all registers; the guest must be stopped."""
        cdef char *env = self.env
        cdef uint32_t eflags = state.eflags
        cdef uint64_t *dr = u64(env, ENV_DR)
        self._require_open()
        if self.running:
            raise EngineError("unicorn: registers cannot be loaded while the guest runs")
        self._require_open()
        for index, name in enumerate(REGISTERS):
            u64(env, ENV_REGS)[<int> index] = <uint32_t> getattr(state, name)
        u64(env, ENV_EIP)[0] = <uint32_t> state.eip
        u64(env, ENV_CC_SRC)[0] = eflags & EFLAGS_ARITHMETIC
        u32(env, ENV_CC_OP)[0] = CC_OP_EFLAGS
        (<int32_t *> (env + ENV_DF))[0] = -1 if eflags & EFLAGS_DF else 1
        u64(env, ENV_EFLAGS)[0] = eflags | 2    # on entry the core takes all flags from here, until then from cc_src and df
        u64(env, ENV_EFER)[0] = state.efer
        u32(env, ENV_SYSENTER_CS)[0] = state.sysenter_cs
        u64(env, ENV_SYSENTER_ESP)[0] = <uint32_t> state.sysenter_esp
        u64(env, ENV_SYSENTER_EIP)[0] = <uint32_t> state.sysenter_eip
        for index, name in enumerate(SEGMENTS):
            self.set_segment(ENV_SEGS + <int> index * SEGMENT_SIZE, getattr(state, name))
        self.set_segment(ENV_LDT, state.ldtr)
        self.set_segment(ENV_TR, state.tr)
        u32(env, ENV_TR + SEGMENT_FLAGS)[0] &= ~<uint32_t> TSS_BUSY
        u64(env, ENV_GDT + SEGMENT_BASE)[0] = <uint32_t> state.gdtr.base
        u32(env, ENV_GDT + SEGMENT_LIMIT)[0] = state.gdtr.limit
        u64(env, ENV_IDT + SEGMENT_BASE)[0] = <uint32_t> state.idtr.base
        u32(env, ENV_IDT + SEGMENT_LIMIT)[0] = state.idtr.limit
        self.lib.update_cr4(env, <uint32_t> state.cr4)
        self.lib.update_cr3(env, <uint32_t> state.cr3)
        self.lib.update_cr0(env, <uint32_t> state.cr0)
        u64(env, ENV_CR)[2] = <uint32_t> state.cr2
        u32(self.cpu, CPU_HALTED)[0] = 1 if state.halted else 0
        (<int32_t *> (env + ENV_OLD_EXCEPTION))[0] = -1
        self.set_fpu(state.fpu)
        u32(env, ENV_HFLAGS)[0] &= ~<uint32_t> HFLAG_INHIBIT_IRQ
        if state.interrupt_shadow:
            u32(env, ENV_HFLAGS)[0] |= HFLAG_INHIBIT_IRQ
        dr[0], dr[1], dr[2], dr[3] = state.dr0, state.dr1, state.dr2, state.dr3
        dr[6] = state.dr6
        debug_registers_loaded(env, <uint32_t> state.dr7)
        page_attributes(env)[0] = state.pat
        if state.tsc is not None:
            set_time_stamp(env, <uint64_t> state.tsc)
            self.tsc_base = time_stamp_offset(env) - <uint64_t> state.tsc_adjust
        self.begun = state.begun and self.left != NULL
        self.event = state.event
        self.event_waits = state.event is not None
        if state.event is not None:
            self.event_vector, self.event_interrupt = state.event.vector, state.event.interrupt
            self.event_error = state.event.error or 0
        self.refresh_hidden_flags()
        registers_loaded(env)
        self.lib.flush_tlb(self.cpu)

    # x87 and SSE.

    cdef object get_fpu(self):
        cdef uint16_t control, status, tags
        cdef uint32_t mxcsr
        cdef char buffer[16]
        cdef int i
        self.lib.reg_read(self.uc, UC_X86_REG_FPCW, &control)
        self.lib.reg_read(self.uc, UC_X86_REG_FPSW, &status)
        self.lib.reg_read(self.uc, UC_X86_REG_FPTAG, &tags)
        self.lib.reg_read(self.uc, UC_X86_REG_MXCSR, &mxcsr)
        stack, xmm = [], []
        for i in range(8):
            self.lib.reg_read(self.uc, UC_X86_REG_FP0 + (i + (status >> FPU_TOP_SHIFT) & 7), buffer)
            stack.append(buffer[:10])
            self.lib.reg_read(self.uc, UC_X86_REG_XMM0 + i, buffer)
            xmm.append(buffer[:16])
        in_use = sum(1 << n for n in range(8) if tags >> 2 * n & 3 != TAG_EMPTY)
        told = (<uint16_t *> (self.env + ENV_FPUS))[0] & FPUS_TOLD != 0
        return FpuState(control, status, in_use, tuple(stack), mxcsr, tuple(xmm), told=told)

    cdef set_fpu(self, object fpu):
        cdef uint16_t control = fpu.control, status = fpu.status
        cdef uint16_t tags = sum(0 if fpu.in_use >> n & 1 else TAG_EMPTY << 2 * n for n in range(8))
        cdef uint32_t mxcsr = fpu.mxcsr
        cdef bytes value
        cdef int i
        self.lib.reg_write(self.uc, UC_X86_REG_FPCW, &control)
        self.lib.reg_write(self.uc, UC_X86_REG_FPSW, &status)
        self.lib.reg_write(self.uc, UC_X86_REG_FPTAG, &tags)
        self.lib.reg_write(self.uc, UC_X86_REG_MXCSR, &mxcsr)
        for i in range(8):
            value = fpu.stack[i].ljust(16, b"\0")
            self.lib.reg_write(self.uc, UC_X86_REG_FP0 + (i + (status >> FPU_TOP_SHIFT) & 7), <const char *> value)
            value = fpu.xmm[i].ljust(16, b"\0")
            self.lib.reg_write(self.uc, UC_X86_REG_XMM0 + i, <const char *> value)
        if fpu.told:
            (<uint16_t *> (self.env + ENV_FPUS))[0] |= FPUS_TOLD
