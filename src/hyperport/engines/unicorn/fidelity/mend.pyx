# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
"""Puts into the core what it lacks of the CPU that CPUID describes, and is the rest of the engine's way to it.

translate.h     which of the core's helpers are swapped, and how checks get into translated code
blocks.h        how each block of translated code begins and ends
counting.h      the guest's instructions, counted
coverage.h      what code is executed, counted
jumps.h, tlb.h  which block comes next; accesses of helpers, marks of pages with code: what the core does slowly
rom_calls.h     port calls of the ROM, done without its code
links.h         jumps from block to block that are there before they are needed
segments.h      segment protection
system.h        control, debug and model-specific registers, EFLAGS
sse.h, x87.h, float80.h  exceptions of floating point
core.h          the core's private layout as C needs it

Undefined opcodes are not here: cpu/undefined.pyx knows them, code_filter.pyx makes them #UD. docs/cpu.md has what is
left. All of it acts only while an engine of ours runs on the thread.
"""

from libc.stdint cimport int32_t, uint32_t, uint64_t
from libc.stdlib cimport calloc

from hyperport.engines.unicorn.fields cimport at, u32, u64
from hyperport.engines.unicorn.library cimport Library, library_handle, redirect
from hyperport.memory.map cimport hp_map

from hyperport.errors import EngineError

cdef extern from "translate.h":
    const char *hp_prepare(void *library)
    ctypedef struct redirection:
        const char *name
        void *ours
    redirection *hp_redirections
    int REDIRECTIONS
    void *hp_register_temp(void *tcg, size_t field)
    void hp_begin_instruction(void *tcg, uint32_t address, int aligned, int small, int probes, int counts) nogil
    ctypedef struct hp_stretch:
        uint32_t first
        uint32_t end
        uint64_t count
    ctypedef struct hp_coverage_table:
        hp_stretch others
        hp_stretch *rows
    int STRETCHES
    ctypedef struct hp_code_limits:
        uint32_t used
    hp_code_limits *hp_new_code_limits()
    void hp_free_code_limits(hp_code_limits *table)
    hp_coverage_table *hp_new_coverage()
    void hp_free_coverage(hp_coverage_table *table)
    void hp_segments_changed(void *env) nogil
    int hp_allowed(void *env, int segment, uint32_t offset, uint32_t size, int write) nogil
    int hp_segment_vector(int segment) nogil
    void hp_mxcsr_loaded(void *env) nogil
    bint hp_opcodes_fit(void *tcg)
    bint hp_learn_opcodes(void *tcg)
    bint hp_tlb_fits(void *cpu)
    void hp_mark_code_page(void *cpu, void *page) nogil
    ctypedef struct hp_rom_bell:
        const char *code
        const void *call
    ctypedef struct hp_rom_stub:
        const char *code
        uint32_t to_bell
        uint32_t entered
    ctypedef struct hp_rom:
        hp_rom_bell *bells
        hp_rom_stub *stubs
        char *tables
        bint (*ring)(void *context, const void *call) noexcept nogil
        void *context
    ctypedef struct hp_jump_table:
        hp_rom *rom
    hp_rom *hp_new_rom()
    hp_jump_table *hp_new_jumps(void *tcg)
    void hp_free_jumps(hp_jump_table *table)
    void hp_set_jumps(hp_jump_table *table) nogil
    bint hp_ports_watched(void *env) nogil
    uint32_t hp_port_hits(void *env, uint32_t port, uint32_t size) nogil
    uint32_t hp_data_hits(void *cpu) nogil
    void hp_dr6_hit(void *env, uint64_t bits) nogil
    void hp_debug(void *cpu) nogil
    void hp_load_dr7(void *env, uint32_t value) nogil
    void hp_count_instructions(void *counter, void *uc, uint64_t *target,
                               uint64_t (*tsc)(void *clock) noexcept nogil, void *clock)
    void hp_withhold(void *counter) nogil
    void hp_look_up(void *cpu, uint32_t reason) nogil
    void hp_set_counting(void *counter) nogil
    void hp_limit_block(void *counter, bint exact) nogil
    int32_t *hp_left(void *cpu) nogil
    char *hp_between_blocks() nogil
    void hp_inside_block(char *inside) nogil
    int HP_COUNTER_SIZE "sizeof(hp_counter)"
    void hp_unaligned(void *cpu, uint64_t address, int kind, int mmu, size_t caller) nogil
    enum:
        CLASS_DEBUG
        TCG_TEMPS
        TCG_TEMP_SIZE
        TCG_CPU_ENV
        TCG_CPU_SEG_BASE
        CLASS_UNALIGNED_ACCESS
        OPS_FULL
        ENV_MXCSR
        ENV_FPUC
        ENV_PAT
        CPU_WATCHPOINT_HIT
        CPU_CFLAGS_NEXT_TB
        CPU_ICOUNT_EXTRA
        TCG_CODE_PROLOGUE
        NO_CFLAGS
        DR6_BS
        DR6_ONES
        DR7_GD
        INTERRUPT_DEBUG
        VECTOR_DB
        EFLAGS_TF
        EFLAGS_RF

cdef extern from *:
    """
    #define hp_set_env(e) (hp_instruction.env = (char *)(e))
    #define hp_set_memory(m) (hp_memory = (m))
    #define hp_set_called(h) (hp_called.valid = 1, hp_called.hits = (h))
    #define hp_set_coverage(t) (hp_coverage = (t))
    #define hp_set_limits(l) (hp_limits = (l))
    #define hp_set_sleeps(f) (hp_sleeps = (_Bool (*)(void))(f))
    #define hp_set_flush(f) (hp_core.flush_code = (void (*)(void *))(f))
    #define hp_tsc_offset(e) HP_AT(e, ENV_TSC_OFFSET, uint64_t)
    #define hp_set_tsc_base(b) (hp_tsc_base = (b))
    #define hp_time_stamp(e) (hp_tsc(e) + HP_AT(e, ENV_TSC_OFFSET, uint64_t))
    #define hp_set_time_stamp(e, t) (HP_AT(e, ENV_TSC_OFFSET, uint64_t) = (t) - hp_tsc(e))
    #define hp_raise_now(e, v) hp_core.raise_now((e), (v), 0)
    """
    void hp_set_env(void *env) nogil
    void hp_set_memory(const hp_map *memory) nogil
    void hp_set_called(uint32_t hits) nogil
    void hp_set_coverage(void *table) nogil
    void hp_set_limits(void *limits) nogil
    void hp_set_flush(void *flush_code) nogil
    void hp_set_sleeps(void *sleeps) nogil
    uint64_t hp_tsc_offset(void *env) nogil
    void hp_set_tsc_base(uint64_t base) nogil
    uint64_t hp_time_stamp(void *env) nogil
    void hp_set_time_stamp(void *env, uint64_t ticks) nogil
    void hp_raise_now(void *env, int vector) nogil

# Vectors whose exceptions are faults: they push RF set (SDM vol. 3, 17.3.1.1), but for #DB, see system.h.
cdef enum:
    FAULTS = 1 << 0 | 1 << 5 | 1 << 6 | 1 << 7 | 1 << 10 | 1 << 11 | 1 << 12 | 1 << 13 | 1 << 14 | 1 << 16 | 1 << 17 | 1 << 19
    LONGEST = 15

mended = False


cdef int mend_core(void *flush_code, void *sleeps) except -1:
    """Redirect the translator's calls, once per process. Raises EngineError where the library is another build.

    flush_code: the engine's void (*)(void *cpu), which drops all translated code. sleeps: its bool (*)(void), which lets
    the vCPU of this thread sleep in HLT; true where an interrupt waits behind it.
    """
    global mended
    cdef const char *missing
    cdef int i
    if mended:
        return 0
    missing = hp_prepare(library_handle())
    if missing != NULL:
        raise EngineError(f"libunicorn exports no {missing.decode()}: it is another build; install unicorn==2.1.4")
    for i in range(REDIRECTIONS):
        redirect(hp_redirections[i].name, hp_redirections[i].ours)
    hp_set_flush(flush_code)
    hp_set_sleeps(sleeps)
    mended = True
    return 0


cdef bint is_global(char *tcg, int offset) noexcept:
    """Is there a handle of one of the temporaries that stand for registers?"""
    cdef uint64_t place = u64(tcg, offset)[0] - TCG_TEMPS
    return place % TCG_TEMP_SIZE == 0 and place // TCG_TEMP_SIZE < u32(tcg, TCG_NB_GLOBALS)[0]


cdef int mend_cpu(Library *library, void *uc) except -1:
    """Fit a new CPU, whose private layout is looked at first."""
    cdef char *cpu = <char *> at(<char *> uc, UC_CPU)
    cdef char *env = <char *> at(cpu, CPU_ENV_PTR)
    cdef char *cpu_class = <char *> at(cpu, CPU_CLASS)
    cdef char *tcg = <char *> at(<char *> uc, UC_TCG)
    cdef uint32_t mxcsr = 0x1F80
    cdef uint32_t control = 0x37F
    library.reg_write(uc, UC_X86_REG_MXCSR, &mxcsr)
    library.reg_write(uc, UC_X86_REG_FPCW, &control)
    for name, holds in (
        ("tcg->uc", tcg != NULL and at(tcg, TCG_UC) == uc),
        ("TLB", hp_tlb_fits(cpu)),
        ("opcodes", hp_opcodes_fit(tcg)),
        ("opcodes and registers", hp_learn_opcodes(tcg)),
        ("tcg->cpu_env", is_global(tcg, TCG_CPU_ENV)),
        ("tcg->cpu_seg_base", all([is_global(tcg, TCG_CPU_SEG_BASE + 8 * i) for i in range(6)])),
        ("tcg->cpu_cc_op", tcg != NULL and hp_register_temp(tcg, ENV_CC_OP) != NULL),
        ("MXCSR", u32(env, ENV_MXCSR)[0] == mxcsr),
        ("FPU control word", (<unsigned short *> (env + ENV_FPUC))[0] == control),
        ("debug registers", u64(env, ENV_DR)[6] == <uint32_t> DR6_ONES and u64(env, ENV_DR)[7] == 0x400),
        ("watchpoint", at(cpu, CPU_WATCHPOINT_HIT) == NULL),
        ("cflags_next_tb", u32(cpu, CPU_CFLAGS_NEXT_TB)[0] == <uint32_t> NO_CFLAGS),
        ("icount_extra", u64(cpu, CPU_ICOUNT_EXTRA)[0] == 0),
        ("tcg->code_gen_prologue", at(tcg, TCG_CODE_PROLOGUE) != NULL),
        ("debug_excp_handler", at(cpu_class, CLASS_DEBUG) != NULL),
    ):
        if not holds:
            raise EngineError(f"the private layout of libunicorn differs ({name}): it is another build; "
                              "install unicorn==2.1.4")
    (<void **> (cpu_class + CLASS_DEBUG))[0] = <void *> hp_debug
    (<void **> (cpu_class + CLASS_UNALIGNED_ACCESS))[0] = <void *> hp_unaligned
    return 0


cdef void *new_jumps(void *uc) except NULL:
    """What remembers the blocks of this CPU, see jumps.h; for free_jumps()."""
    cdef hp_jump_table *table = hp_new_jumps(at(<char *> uc, UC_TCG))
    if table == NULL:
        raise MemoryError("no memory for a table of blocks")
    return table


cdef void free_jumps(void *jumps) noexcept:
    hp_free_jumps(<hp_jump_table *> jumps)


cdef int do_calls(void *jumps, char *tables, bint (*ring)(void *context, const void *call) noexcept nogil,
                  void *context) except -1:
    """Before the guest runs: look-ups do the calls that are added (see rom_calls.h).

    tables: of the port calls without a crossing, on the host. ring(context, call) makes a call by a doorbell.
    """
    cdef hp_rom *rom = hp_new_rom()
    if rom == NULL:
        raise MemoryError("no memory for a table of calls")
    rom.tables, rom.ring, rom.context = tables, ring, context
    (<hp_jump_table *> jumps).rom = rom
    return 0


cdef inline int row_of(bint input, uint32_t size) noexcept:
    """Of a port call, in ROM_CALLS of rom_calls.h."""
    return <int> (size >> 1) + (0 if input else 3)


cdef void add_bell(void *jumps, bint input, uint32_t size, const char *code, const void *call) noexcept:
    """code: of the host, an OUT of two bytes and RET, for a call of one element."""
    (<hp_jump_table *> jumps).rom.bells[row_of(input, size)] = hp_rom_bell(code, call)


cdef add_stub(void *jumps, stub, const char *image):
    """A Stub of this image on the host, whose doorbell was added before."""
    from hyperport.bus.access import Direction

    cdef hp_rom *rom = (<hp_jump_table *> jumps).rom
    cdef int row = row_of(stub.call.port.direction == Direction.IN, stub.call.port.size)
    if rom.bells[row].code == image + <size_t> stub.doorbell:
        rom.stubs[row].to_bell = <uint32_t> (stub.doorbell - stub.code & 0xFFFFFFFF)
        rom.stubs[row].entered = stub.sequence.first - 1 - stub.code        # a POP of one byte comes between
        rom.stubs[row].code = image + <size_t> stub.code


cdef void *new_code_limits() except NULL:
    """What remembers the limits of code segments that blocks of a CPU were made under; for free_code_limits()."""
    cdef hp_code_limits *table = hp_new_code_limits()
    if table == NULL:
        raise MemoryError("no memory for limits of code segments")
    return table


cdef void free_code_limits(void *limits) noexcept:
    hp_free_code_limits(<hp_code_limits *> limits)


cdef void *new_coverage() except NULL:
    """A table for counts of what code is executed, see coverage.h; for free_coverage()."""
    cdef hp_coverage_table *table = hp_new_coverage()
    if table == NULL:
        raise MemoryError("no memory for counts of code")
    return table


cdef void free_coverage(void *table) noexcept:
    hp_free_coverage(<hp_coverage_table *> table)


cdef void set_coverage(void *table) noexcept nogil:
    """Code that is translated on this thread from now on counts there; NULL: nowhere."""
    hp_set_coverage(table)


cdef covered_code(void *coverage):
    """(first, end, count) of each stretch that was executed, and the sum of what found no room."""
    cdef hp_coverage_table *table = <hp_coverage_table *> coverage
    cdef int i
    stretches = []
    for i in range(STRETCHES):
        if table.rows[i].count:
            stretches.append((table.rows[i].first, table.rows[i].end, table.rows[i].count))
    return sorted(stretches), table.others.count


cdef void enter_guest(void *env, const hp_map *memory, void *code_limits) noexcept nogil:
    """A guest begins to run on this thread. code_limits: of new_code_limits(), for the CPU; NULL where none is kept."""
    hp_set_env(env)
    hp_set_memory(memory)
    hp_set_limits(code_limits)
    hp_segments_changed(env)


cdef void set_tsc_base(uint64_t base) noexcept nogil:
    """Of the guest that runs on this thread: what of its offset it has not added itself."""
    hp_set_tsc_base(base)


cdef void remember_blocks(void *jumps) noexcept nogil:
    """Behind enter_guest(): of new_jumps() for this CPU."""
    hp_set_jumps(<hp_jump_table *> jumps)


cdef void leave_guest() noexcept nogil:
    hp_set_env(NULL)
    hp_set_jumps(NULL)
    hp_set_memory(NULL)
    hp_set_limits(NULL)


cdef void mark_code_page(void *cpu, void *page) noexcept nogil:
    """Stores to this page of the host become slow: translated code was made from it."""
    hp_mark_code_page(cpu, page)


cdef void *count_instructions(void *uc, uint64_t *target, uint64_t (*tsc)(void *clock) noexcept nogil, void *clock) except NULL:
    """Let a new CPU count what it executes; gives the counter, which is the caller's to free().

    target: the count at which no instructions are left. tsc(clock): what RDTSC shows.
    """
    cdef void *counter = calloc(1, HP_COUNTER_SIZE)
    if counter == NULL:
        raise MemoryError("no memory for a counter of instructions")
    hp_count_instructions(counter, uc, target, tsc, clock)
    return counter


cdef int32_t *instructions_left(void *cpu) noexcept nogil:
    """What that CPU counts down."""
    return hp_left(cpu)


cdef void set_counting(void *counter) noexcept nogil:
    """The guest that begins to run on this thread counts, or (NULL) does not."""
    hp_set_counting(counter)


cdef void limit_block(void *counter, bint exact) noexcept nogil:
    """The vCPU has looked up and goes on. exact: the next block must have no more instructions than are left."""
    hp_limit_block(counter, exact)


cdef void look_up(void *cpu) noexcept nogil:
    """The guest that runs on this thread is to leave its code before the next block."""
    hp_look_up(cpu, INTERRUPT_HARD)


cdef void withhold(void *counter) noexcept nogil:
    """No block is begun until the vCPU has looked up. On its own thread only."""
    hp_withhold(counter)


cdef void *between_blocks() noexcept nogil:
    """The block at hand is complete, and who leaves now gives nothing back. inside_block() takes that back."""
    return hp_between_blocks()


cdef void inside_block(void *inside) noexcept nogil:
    """inside: what between_blocks() gave."""
    hp_inside_block(<char *> inside)


cdef void begin_instruction(void *tcg, uint32_t address, bint aligned, bint small, bint probes, bint counts) noexcept nogil:
    """The translator reads the first byte of an instruction."""
    hp_begin_instruction(tcg, address, aligned, small, probes, counts)


cdef inline bint code_limited(void *env) noexcept nogil:
    return u32(<char *> env, ENV_HFLAGS)[0] & HFLAG_CODE != 0


cdef bint beyond_code_limit(void *env, uint64_t linear) noexcept nogil:
    """Does this byte of code lie behind the limit of CS?"""
    cdef char *cs = <char *> env + ENV_SEGS + SEGMENT_SIZE
    return code_limited(env) and <uint32_t> (linear - u64(cs, SEGMENT_BASE)[0]) > u32(cs, SEGMENT_LIMIT)[0]


cdef bint near_code_limit(void *env, void *tcg, uint64_t linear) noexcept nogil:
    """An instruction begins here. Close to the limit of CS it must be alone in its block, so that its #GP is exact."""
    if code_limited(env) and beyond_code_limit(env, linear + 2 * LONGEST):
        u32(<char *> tcg, TCG_NB_OPS)[0] = OPS_FULL
        return True
    return False


cdef void segments_changed(void *env) noexcept nogil:
    """Segment registers were loaded by something else than translated code."""
    hp_segments_changed(env)


cdef uint64_t *page_attributes(void *env) noexcept nogil:
    """The MSR PAT."""
    return u64(<char *> env, ENV_PAT)


cdef uint64_t time_stamp(void *env) noexcept nogil:
    """The time-stamp counter."""
    return hp_time_stamp(env)


cdef uint64_t time_stamp_offset(void *env) noexcept nogil:
    """What the counter is ahead of the host's."""
    return hp_tsc_offset(env)


cdef void set_time_stamp(void *env, uint64_t ticks) noexcept nogil:
    """Let it go on from there."""
    hp_set_time_stamp(env, ticks)


cdef void debug_registers_loaded(void *env, uint32_t dr7) noexcept nogil:
    """DR0 to DR3 and DR6 were loaded from outside; so is DR7 now."""
    hp_load_dr7(env, dr7)


cdef void registers_loaded(void *env) noexcept nogil:
    """All registers were loaded from outside."""
    hp_mxcsr_loaded(env)


cdef bint segment_allows(void *env, int segment, uint32_t offset, uint32_t size, bint store) noexcept nogil:
    return hp_allowed(env, segment, offset, size, store) != 0


cdef int segment_vector(int segment) noexcept nogil:
    return hp_segment_vector(segment)


cdef bint ports_watched(void *env) noexcept nogil:
    """Is any I/O breakpoint enabled? The vCPU looks up after each change."""
    return hp_ports_watched(env)


cdef uint32_t port_hits(void *env, uint32_t port, uint32_t size) noexcept nogil:
    """Bits of DR6 for the I/O breakpoints that an access hits."""
    if not u32(<char *> env, ENV_HFLAGS)[0] & HFLAG_IOBPT:
        return 0
    return hp_port_hits(env, port, size)


cdef void doorbell_accessed(void *env, uint32_t hits) noexcept nogil:
    """For the breakpoint check that translated code makes behind a doorbell: what its call has hit."""
    if u32(<char *> env, ENV_HFLAGS)[0] & HFLAG_IOBPT:
        hp_set_called(hits)


cdef void raise_trap(void *env, uint32_t hits) noexcept nogil:
    """#DB after an instruction that is done: hits of breakpoints, and a single step if TF is set. Does not return."""
    cdef char *cpu = <char *> env - X86CPU_ENV
    if at(cpu, CPU_WATCHPOINT_HIT) != NULL:
        hits |= hp_data_hits(cpu)
    if u64(<char *> env, ENV_EFLAGS)[0] & EFLAGS_TF:
        hits |= DR6_BS
    hp_dr6_hit(env, hits)
    hp_raise_now(env, VECTOR_DB)


cdef void exception_begins(void *env, uint32_t vector) noexcept nogil:
    """An exception, not an INT n, is about to be delivered."""
    cdef char *cpu = <char *> env - X86CPU_ENV
    if vector == VECTOR_DB:
        u64(<char *> env, ENV_DR)[7] &= ~<uint64_t> DR7_GD
    elif vector < 32 and FAULTS >> vector & 1:
        u64(<char *> env, ENV_EFLAGS)[0] |= EFLAGS_RF
    if at(cpu, CPU_WATCHPOINT_HIT) != NULL and not u32(cpu, CPU_INTERRUPT_REQUEST)[0] & INTERRUPT_DEBUG:
        hp_data_hits(cpu)       # the instruction did not come to its end
