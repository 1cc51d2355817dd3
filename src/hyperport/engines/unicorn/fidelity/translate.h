/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Changes to what the translator emits. It calls a handful of functions of the library for that, by import slots; those
 * lead here while a guest of ours runs on the thread, and then on.
 *
 * Helpers.  tcg_gen_callN() emits the call of a helper. What is to be called for it stands in `swaps`: another function, or
 *     one before it with the same arguments, or one after it with env alone. The op is emitted for the core's own helper,
 *     since the core looks its signature up by address, and its function changed in the op. Or other code is emitted in
 *     place of the call: see blocks.h.
 * Segments. The base of a segment is added by tcg_gen_op3(); the temporary that gets the sum is an address in that
 *     segment, until it is written again by that or tcg_gen_op2(). A load, store or helper that takes it gets a check before it: see segments.h.
 * Probes.  The first store of INS is one: see tlb.h.
 * Flags.  RCL, RCR and SETcc may compute the flags from what the core keeps of the last result, in place of which they are
 *     then, before they access memory. The core's note of how they are kept, for a fault of that access, says how it was at
 *     the start of the instruction; it is corrected. The helper of CMPXCHG8B keeps all flags but ZF, and so must find them. LOOPE and LOOPNE
 *     branch twice, and the core notes how flags are kept behind the first branch, which is taken when the count ends: it
 *     is noted before.
 * MMX.  The core sets the x87 tags before it accesses the operand in memory; the call is moved behind that, which may fault.
 * Alignment.  The first load or store of 8 bytes of an instruction whose operand must be aligned asks the core to check
 *     for 16; where #AC is looked for, each asks for its own size. See alignment.h.
 */
#ifndef HYPERPORT_FIDELITY_TRANSLATE_H
#define HYPERPORT_FIDELITY_TRANSLATE_H

#include "alignment.h"
#include "blocks.h"
#include "core.h"
#include "counting.h"
#include "coverage.h"
#include "frames.h"
#include "jumps.h"
#include "links.h"
#include "narrow.h"
#include "segments.h"
#include "sse.h"
#include "system.h"
#include "tlb.h"
#include "x87.h"
#include "x87_begin.h"

/* What is known of the instruction that is being translated. */
static __thread struct {
    char *env;                  /* NULL while no guest of ours runs here */
    hp_temp *address[2];        /* temporaries that hold an address in a segment that is to be checked, */
    int segment[2];             /* and which */
    int aligned;                /* its operand must be aligned */
    int small;                  /* 16-bit operands */
    int probes;                 /* INS: its first store is a probe, see tlb.h */
    int loaded;                 /* a segment register was loaded earlier in this block */
    char *note;                 /* the operation insn_start: EIP, and how flags are kept */
    int acted;                  /* it has accessed memory or called a helper */
    char *mmx;                  /* the call that makes the x87 tags those of MMX; NULL: none */
    int ops;                    /* operations of the block so far: they grow from instruction to instruction */
} hp_instruction;

typedef struct {
    void *core, *before, *instead, *after;
    void (*emit)(hp_context *tcg, hp_temp **arguments);     /* in place of all that */
    uint8_t flags;              /* it reads flags that the core does not hold ready for it */
    uint8_t segments;           /* it loads segment registers: hidden flags may change */
    uint8_t last;               /* ends the block where instructions are counted */
    uint8_t address, write;     /* index of the argument that is an address, 0 for none */
    uint16_t size, small_size;  /* of what is there */
} hp_swap;

enum { SWAPS = 512 };           /* a power of two, twice as many as there are helpers to swap */
static hp_swap hp_swaps[SWAPS];

static hp_swap *hp_swap_of(void *core)
{
    size_t i = ((uintptr_t)core >> 4) * 0x9E3779B1u >> 7 & (SWAPS - 1);

    while (hp_swaps[i].core && hp_swaps[i].core != core)
        i = (i + 1) & (SWAPS - 1);
    return &hp_swaps[i];
}

static hp_swap *hp_swap_for(const char *helper)
{
    char name[64] = "helper_";
    void *core = hp_symbol(strcat(name, helper));
    hp_swap *swap = hp_swap_of(core);

    swap->core = core;
    return swap;
}

/* What the translator calls. */
static void (*plain_callN)(hp_context *tcg, void *function, hp_temp *result, int count, hp_temp **arguments);
static void (*plain_op3)(hp_context *tcg, int op, uintptr_t to, uintptr_t a, uintptr_t b);
static void (*plain_op2)(hp_context *tcg, int op, uintptr_t to, uintptr_t from);
static uint32_t (*plain_code16)(void *env, uint64_t address);
static uint32_t (*plain_code32)(void *env, uint64_t address);
static void (*plain_ld32)(hp_context *tcg, uintptr_t value, uintptr_t address, uintptr_t mmu, int memop);
static void (*plain_ld64)(hp_context *tcg, uintptr_t value, uintptr_t address, uintptr_t mmu, int memop);
static void (*plain_st32)(hp_context *tcg, uintptr_t value, uintptr_t address, uintptr_t mmu, int memop);
static void (*plain_st64)(hp_context *tcg, uintptr_t value, uintptr_t address, uintptr_t mmu, int memop);
static void *hp_takes_address;              /* a helper with the signature of checks */
static void *hp_computes_flags, *hp_enters_mmx;     /* helpers */

/* Make the call that was emitted last one of another function. */
static void hp_change_call(hp_context *tcg, void *from, void *to)
{
    char *op = hp_last_op(tcg);
    int i;

    for (i = 0; i < 12; i++)
        if (HP_AT(op, OP_ARGS + 8 * i, void *) == from) {
            HP_AT(op, OP_ARGS + 8 * i, void *) = to;
            return;
        }
}

static void hp_emit_call(hp_context *tcg, void *core, void *function, hp_temp *result, int count, hp_temp **arguments)
{
    hp_temp *copy[8];

    memcpy(copy, arguments, (size_t)count * sizeof *copy);      /* the core changes them */
    plain_callN(tcg, core, result, count, copy);
    if (function != core)
        hp_change_call(tcg, core, function);
}

static void hp_emit_check(hp_context *tcg, hp_temp *address, uint32_t size, int write)
{
    hp_temp *arguments[2] = {hp_temp_of(tcg, HP_AT(tcg, TCG_CPU_ENV, uintptr_t)), address};
    int i;

    for (i = 0; i < 2; i++)
        if (hp_instruction.address[i] == address)
            hp_emit_call(tcg, hp_takes_address, hp_check_of(hp_instruction.segment[i], size, write), NULL, 2, arguments);
}

static void hp_emit_alignment_check(hp_context *tcg, hp_temp *address, uint32_t size)
{
    hp_temp *arguments[2] = {hp_temp_of(tcg, HP_AT(tcg, TCG_CPU_ENV, uintptr_t)), address};
    void *check = hp_alignment_check(size);

    if (check)
        hp_emit_call(tcg, hp_takes_address, check, NULL, 2, arguments);
}

static void hp_callN(hp_context *tcg, void *function, hp_temp *result, int count, hp_temp **arguments)
{
    const hp_swap *swap;
    hp_temp *env;
    uint64_t keeps;

    hp_can_be_left();
    if (hp_instruction.env && function == hp_computes_flags && !hp_instruction.acted && hp_instruction.note)
        HP_AT(hp_instruction.note, OP_ARGS + 8, uint64_t) = FLAGS_COMPUTED;
    hp_instruction.acted = 1;
    if (!hp_instruction.env || !(swap = hp_swap_of(function))->core) {
        plain_callN(tcg, function, result, count, arguments);
        if (hp_instruction.env && function == hp_enters_mmx)
            hp_instruction.mmx = hp_last_op(tcg);
        return;
    }
    if (swap->emit) {
        swap->emit(tcg, arguments);
        return;
    }
    env = arguments[0];
    if (swap->address && hp_instruction.address[0])
        hp_emit_check(tcg, arguments[swap->address], hp_instruction.small ? swap->small_size : swap->size, swap->write);
    if (swap->address && hp_checks_alignment(hp_instruction.env))
        hp_emit_alignment_check(tcg, arguments[swap->address], hp_instruction.small ? swap->small_size : swap->size);
    if (swap->flags && hp_instruction.note && (keeps = HP_AT(hp_instruction.note, OP_ARGS + 8, uint64_t)) != FLAGS_AS_STORED)
        hp_emit_op2(tcg, OP_MOVI_I32, (uintptr_t)hp_register_temp(tcg, ENV_CC_OP), keeps);
    if (swap->before)
        hp_emit_call(tcg, function, swap->before, NULL, count, arguments);
    if (swap->last && hp_counting)
        HP_AT(tcg, TCG_NB_OPS, int) = OPS_FULL;
    hp_emit_call(tcg, function, swap->instead ? swap->instead : function, result, count, arguments);
    if (swap->after)
        hp_emit_call(tcg, hp_takes_env, swap->after, NULL, 1, &env);
    if (swap->segments) {
        /* Hidden flags may have changed: the block ends here. In 32-bit code the core itself sees to that, but not for
           FS and GS, which systems load often; of those, the rest of the block is checked. */
        hp_instruction.loaded = 1;
        hp_ways.flags_change = 1;
        if (!(HP_AT(hp_instruction.env, ENV_HFLAGS, uint32_t) & HFLAG_CS32))
            HP_AT(tcg, TCG_NB_OPS, int) = OPS_FULL;
    }
}

/* Is a check wanted for addresses in this segment now? */
static int hp_wants_check(int segment)
{
    uint32_t hflags = HP_AT(hp_instruction.env, ENV_HFLAGS, uint32_t);

    switch (segment) {
    case CS: return 1;                                  /* never writable */
    case FS: return hp_instruction.loaded || hflags & HFLAG_FS;
    case GS: return hp_instruction.loaded || hflags & HFLAG_GS || (hflags & HFLAG_CPL) != 3;
    default: return (hflags & HFLAG_SEGMENTS) != 0;
    }
}

static int hp_segment_of_base(hp_context *tcg, uintptr_t temp)
{
    int segment;

    for (segment = 0; segment < 6; segment++)
        if (temp == (uintptr_t)hp_temp_of(tcg, HP_AT(tcg, TCG_CPU_SEG_BASE + 8 * segment, uintptr_t)))
            return segment;
    return -1;
}

static void hp_op3(hp_context *tcg, int op, uintptr_t to, uintptr_t a, uintptr_t b)
{
    uintptr_t address = (uintptr_t)hp_instruction.address[0];
    int segment;

    plain_op3(tcg, op, to, a, b);
    if (!hp_instruction.env)
        return;
    if (op == OP_ADD_I64 && (segment = hp_segment_of_base(tcg, b)) >= 0) {
        hp_instruction.address[0] = hp_wants_check(segment) ? (hp_temp *)to : NULL;
        hp_instruction.segment[0] = segment;
        hp_instruction.address[1] = NULL;
    } else if (address && to == address && a != to && b != to) {
        hp_instruction.address[0] = NULL;       /* something else is in it now */
    } else if (address && op == OP_ADD_I64 && a == address && to != a) {
        hp_instruction.address[1] = (hp_temp *)to;      /* the second half of an operand of 16 bytes */
        hp_instruction.segment[1] = hp_instruction.segment[0];
    }
}

static void hp_op2(hp_context *tcg, int op, uintptr_t to, uintptr_t from)
{
    if (to != from && to == (uintptr_t)hp_instruction.address[0])
        hp_instruction.address[0] = NULL;
    plain_op2(tcg, op, to, from);
}

static inline void hp_access(hp_context *tcg, uintptr_t address, int memop, int write)
{
    hp_can_be_left();
    hp_instruction.acted = 1;
    if (hp_instruction.env && hp_instruction.address[0])
        hp_emit_check(tcg, hp_temp_of(tcg, address), 1u << (memop & MEMOP_SIZE), write);
}

/* What to ask the TLB for. */
static inline int hp_aligned(hp_context *tcg, uintptr_t address, int memop)
{
    int large = hp_instruction.aligned && (memop & MEMOP_SIZE) == MEMOP_SIZE;

    if (large)
        hp_instruction.aligned = 0;
    if (!hp_instruction.env || !hp_checks_alignment(hp_instruction.env))
        return large ? (memop & ~MEMOP_ALIGN) | MEMOP_ALIGN_16 : memop;
    if (large)
        hp_emit_alignment_check(tcg, hp_temp_of(tcg, address), 16);
    return memop | MEMOP_ALIGN;
}

/* An access was emitted that may fault. */
static inline void hp_enter_mmx_behind(hp_context *tcg)
{
    hp_temp *env = hp_temp_of(tcg, HP_AT(tcg, TCG_CPU_ENV, uintptr_t));

    if (HP_RARELY(hp_instruction.mmx && hp_instruction.env)) {
        hp_remove_op(tcg, hp_instruction.mmx);
        hp_callN(tcg, hp_enters_mmx, NULL, 1, &env);
    }
}

static void hp_ld32(hp_context *tcg, uintptr_t value, uintptr_t address, uintptr_t mmu, int memop)
{
    hp_access(tcg, address, memop, 0);
    plain_ld32(tcg, value, address, mmu, hp_aligned(tcg, address, memop));
    hp_enter_mmx_behind(tcg);
}

static void hp_ld64(hp_context *tcg, uintptr_t value, uintptr_t address, uintptr_t mmu, int memop)
{
    hp_access(tcg, address, memop, 0);
    plain_ld64(tcg, value, address, mmu, hp_aligned(tcg, address, memop));
    hp_enter_mmx_behind(tcg);
}

static void hp_st32(hp_context *tcg, uintptr_t value, uintptr_t address, uintptr_t mmu, int memop)
{
    hp_access(tcg, address, memop, 1);
    plain_st32(tcg, value, address, mmu, hp_aligned(tcg, address, memop));
    hp_enter_mmx_behind(tcg);
}

static void hp_st64(hp_context *tcg, uintptr_t value, uintptr_t address, uintptr_t mmu, int memop)
{
    static void *const probes[] = {(void *)hp_probe_store1, (void *)hp_probe_store2, (void *)hp_probe_store4};
    hp_temp *arguments[2];

    hp_access(tcg, address, memop, 1);
    if (hp_instruction.env && hp_instruction.probes) {
        hp_instruction.probes = 0;
        arguments[0] = hp_temp_of(tcg, HP_AT(tcg, TCG_CPU_ENV, uintptr_t));
        arguments[1] = hp_temp_of(tcg, address);
        hp_emit_call(tcg, hp_takes_address, probes[memop & MEMOP_SIZE], NULL, 2, arguments);
        return;
    }
    plain_st64(tcg, value, address, mmu, hp_aligned(tcg, address, memop));
    hp_enter_mmx_behind(tcg);
}

/* The translator begins with an instruction. */
static void hp_begin_instruction(void *tcg, uint32_t address, int aligned, int small, int probes, int counts)
{
    uint64_t keeps;

    hp_instruction.address[0] = hp_instruction.address[1] = NULL;
    hp_instruction.aligned = aligned;
    hp_instruction.small = small;
    hp_instruction.probes = probes;
    hp_instruction.acted = 0;
    hp_instruction.mmx = NULL;
    hp_instruction.note = hp_last_op(tcg);
    if ((HP_AT(hp_instruction.note, 0, uint32_t) & OPCODE) != OP_INSN_START)
        hp_instruction.note = NULL;
    if (HP_AT(tcg, TCG_NB_OPS, int) <= hp_instruction.ops)
        hp_instruction.loaded = 0;                      /* another block */
    hp_instruction.ops = HP_AT(tcg, TCG_NB_OPS, int);
    if (HP_AT(hp_instruction.env, ENV_EFLAGS, uint64_t) & EFLAGS_RF     /* RF is for one instruction */
        || HP_AT(hp_instruction.env, ENV_HFLAGS, uint32_t) & HFLAG_IOBPT)   /* and so is what breakpoints note */
        HP_AT(tcg, TCG_NB_OPS, int) = OPS_FULL;
    if (HP_RARELY(hp_coverage != NULL))
        hp_cover(tcg, address);
    if (counts && hp_instruction.note && (keeps = HP_AT(hp_instruction.note, OP_ARGS + 8, uint64_t)) != FLAGS_AS_STORED)
        hp_emit_op2(tcg, OP_MOVI_I32, (uintptr_t)hp_register_temp(tcg, ENV_CC_OP), keeps);
}

/* Operands of 16 and 32 bits in the code; bytes pass code_filter.pyx. Close to the limit of CS, the instruction is alone in
   its block, so EIP is its address. */

static inline void hp_check_code(void *env, uint64_t last)
{
    if (hp_instruction.env && HP_AT(env, ENV_HFLAGS, uint32_t) & HFLAG_CODE
        && (uint32_t)(last - HP_SEGMENT(env, CS, SEGMENT_BASE, uint64_t)) > HP_SEGMENT(env, CS, SEGMENT_LIMIT, uint32_t))
        hp_core.raise_now(env, VECTOR_GP, 0);
}

static uint32_t hp_code16(void *env, uint64_t address)
{
    hp_check_code(env, address + 1);
    return plain_code16(env, address);
}

static uint32_t hp_code32(void *env, uint64_t address)
{
    hp_check_code(env, address + 3);
    return plain_code32(env, address);
}

static const struct { const char *name; void **plain; void *ours; } hp_redirections[] = {
    {"tcg_gen_callN_x86_64", (void **)&plain_callN, (void *)hp_callN},
    {"tcg_gen_op3_x86_64", (void **)&plain_op3, (void *)hp_op3},
    {"tcg_gen_op2_x86_64", (void **)&plain_op2, (void *)hp_op2},
    {"cpu_lduw_code_x86_64", (void **)&plain_code16, (void *)hp_code16},
    {"cpu_ldl_code_x86_64", (void **)&plain_code32, (void *)hp_code32},
    {"tcg_gen_qemu_ld_i32_x86_64", (void **)&plain_ld32, (void *)hp_ld32},
    {"tcg_gen_qemu_ld_i64_x86_64", (void **)&plain_ld64, (void *)hp_ld64},
    {"tcg_gen_qemu_st_i32_x86_64", (void **)&plain_st32, (void *)hp_st32},
    {"tcg_gen_qemu_st_i64_x86_64", (void **)&plain_st64, (void *)hp_st64},
    {"tcg_gen_exit_tb_x86_64", (void **)&plain_exit_tb, (void *)hp_way_out},
    {"tb_gen_code_x86_64", (void **)&plain_make_block, (void *)hp_make_block},
    {"tcg_optimize_x86_64", (void **)&plain_optimize, (void *)hp_optimize},
    {"gen_intermediate_code_x86_64", (void **)&plain_gen_code, (void *)hp_gen_covered_code},
    {"cpu_restore_state_x86_64", NULL, (void *)hp_restore_state},
    {"memory_region_dispatch_read_x86_64", (void **)&plain_io_read, (void *)hp_io_read},
    {"memory_region_dispatch_write_x86_64", (void **)&plain_io_write, (void *)hp_io_write},
    {"cpu_get_tsc_x86_64", (void **)&plain_tsc, (void *)hp_tsc},
    {"siglongjmp", NULL, (void *)hp_siglongjmp},
    {"tb_htable_lookup_x86_64", (void **)&plain_find_block, (void *)hp_find_block},
    {"tb_flush_jmp_cache_x86_64", (void **)&plain_forget_page, (void *)hp_forget_page},
    {"tlb_reset_dirty_by_vaddr_x86_64", (void **)&plain_reset_dirty_by_vaddr, (void *)hp_reset_dirty_by_vaddr},
    {"x86_ldl_phys_x86_64", (void **)&plain_ldl_phys, (void *)hp_ldl_phys},
    {"x86_ldq_phys_x86_64", (void **)&plain_ldq_phys, (void *)hp_ldq_phys},
    {"cpu_ldub_mmuidx_ra_x86_64", (void **)&plain_ldub_mmu, (void *)hp_ldub_mmu},
    {"cpu_lduw_mmuidx_ra_x86_64", (void **)&plain_lduw_mmu, (void *)hp_lduw_mmu},
    {"cpu_ldl_mmuidx_ra_x86_64", (void **)&plain_ldl_mmu, (void *)hp_ldl_mmu},
    {"cpu_ldq_mmuidx_ra_x86_64", (void **)&plain_ldq_mmu, (void *)hp_ldq_mmu},
    {"cpu_stb_mmuidx_ra_x86_64", (void **)&plain_stb_mmu, (void *)hp_stb_mmu},
    {"cpu_stw_mmuidx_ra_x86_64", (void **)&plain_stw_mmu, (void *)hp_stw_mmu},
    {"cpu_stl_mmuidx_ra_x86_64", (void **)&plain_stl_mmu, (void *)hp_stl_mmu},
    {"cpu_stq_mmuidx_ra_x86_64", (void **)&plain_stq_mmu, (void *)hp_stq_mmu},
    {"cpu_ldub_data_ra_x86_64", (void **)&plain_ldub_data, (void *)hp_ldub_data},
    {"cpu_lduw_data_ra_x86_64", (void **)&plain_lduw_data, (void *)hp_lduw_data},
    {"cpu_ldl_data_ra_x86_64", (void **)&plain_ldl_data, (void *)hp_ldl_data},
    {"cpu_ldq_data_ra_x86_64", (void **)&plain_ldq_data, (void *)hp_ldq_data},
    {"cpu_stb_data_ra_x86_64", (void **)&plain_stb_data, (void *)hp_stb_data},
    {"cpu_stw_data_ra_x86_64", (void **)&plain_stw_data, (void *)hp_stw_data},
    {"cpu_stl_data_ra_x86_64", (void **)&plain_stl_data, (void *)hp_stl_data},
    {"cpu_stq_data_ra_x86_64", (void **)&plain_stq_data, (void *)hp_stq_data},
    {"cpu_watchpoint_address_matches_x86_64", NULL, (void *)hp_watched_page},
    {"cpu_check_watchpoint_x86_64", NULL, (void *)hp_check_watchpoint},
};
enum { REDIRECTIONS = sizeof hp_redirections / sizeof *hp_redirections };

static void hp_swap_instead(const char *helper, void **core, void *ours)
{
    hp_swap *swap = hp_swap_for(helper);

    if (core)
        *core = swap->core;
    swap->instead = ours;
}

static void hp_memory_operand(const char *helper, int address, int write, int size, int small_size)
{
    hp_swap *swap = hp_swap_for(helper);

    swap->address = (uint8_t)address;
    swap->write = (uint8_t)write;
    swap->size = (uint16_t)size;
    swap->small_size = (uint16_t)small_size;
}

/* Look everything up and fill `hp_swaps`. Returns the name of a symbol that is not there, or NULL. */
static const char *hp_prepare(void *library)
{
    size_t i;
    static const char *const loads_segments[] = {
        "load_seg", "ljmp_protected", "lcall_real", "lcall_protected", "lret_protected", "sysexit", "lmsw",
    };

    hp_library = library;
    hp_find_core();
    hp_find_blocks();
    hp_find_coverage();
    hp_find_links();
    hp_find_optimizer();
    for (i = 0; i < REDIRECTIONS; i++) {
        void *found = dlsym(library, hp_redirections[i].name);
        if (!found)
            return hp_redirections[i].name;
        if (hp_redirections[i].plain)
            *hp_redirections[i].plain = found;
    }
    hp_takes_address = hp_symbol("helper_fxrstor");
    hp_takes_env = hp_symbol("helper_clts");
    hp_computes_flags = hp_symbol("helper_cc_compute_all");
    hp_enters_mmx = hp_symbol("helper_enter_mmx");
    hp_swap_for("check_exit_request")->emit = hp_begin_block;
    hp_swap_instead("lookup_tb_ptr", (void **)&plain_next_code, (void *)hp_next_code);
#define SWAP(helper, ...) hp_swap_instead(#helper, (void **)&core_##helper, (void *)hp_##helper);
    SSE_ALL(SWAP, SWAP, SWAP, SWAP, SWAP, SWAP)
    X87_ALL(SWAP, SWAP, SWAP, SWAP, SWAP, SWAP, SWAP, SWAP, SWAP)
    SWAP(flds_ST0) SWAP(fldl_ST0) SWAP(fildl_ST0) SWAP(fildll_ST0) SWAP(flds_FT0) SWAP(fldl_FT0) SWAP(fildl_FT0) SWAP(fxam_ST0)
    SWAP(ldmxcsr) SWAP(write_crN) SWAP(rdmsr) SWAP(wrmsr) SWAP(read_eflags) SWAP(set_dr)
#undef SWAP
#define REPLACE(helper) hp_swap_instead(#helper, NULL, (void *)hp_##helper);
    REPLACE(fpush) REPLACE(fbst_ST0) REPLACE(fmov_ST0_STN) REPLACE(fmov_FT0_STN) REPLACE(fmov_STN_ST0) REPLACE(fxchg_ST0_STN)
    REPLACE(rdpmc) REPLACE(get_dr) REPLACE(bpt_io) REPLACE(single_step)
#undef REPLACE
    hp_swap_for("fldt_ST0")->before = hp_swap_for("fbld_ST0")->before = (void *)hp_before_load;
    hp_swap_for("fldt_ST0")->after = hp_swap_for("fbld_ST0")->after = (void *)hp_after_load;
    hp_swap_for("fstt_ST0")->before = (void *)hp_before_store;
    hp_swap_for("rdmsr")->last = hp_swap_for("wrmsr")->last = 1;
    hp_swap_instead("hlt", (void **)&core_hlt, (void *)hp_hlt);
    hp_swap_for("pause")->before = (void *)hp_completed;
    hp_swap_for("raise_interrupt")->before = (void *)hp_before_int;
    hp_swap_for("into")->before = (void *)hp_before_into;
    hp_swap_for("cmpxchg8b")->flags = hp_swap_for("cmpxchg8b_unlocked")->flags = 1;
    hp_swap_for("fxrstor")->before = (void *)hp_check_fxrstor;
    hp_swap_for("fxrstor")->after = (void *)hp_mxcsr_loaded;
    for (i = 0; i < sizeof loads_segments / sizeof *loads_segments; i++) {
        hp_swap_for(loads_segments[i])->after = (void *)hp_segments_changed;
        hp_swap_for(loads_segments[i])->segments = 1;
    }
    hp_swap_for("lcall_protected")->before = (void *)hp_before_call;
    hp_swap_for("lcall_protected")->after = (void *)hp_after_call;
    hp_swap_for("ljmp_protected")->before = (void *)hp_before_jump;
    hp_swap_for("ljmp_protected")->after = (void *)hp_after_jump;
    hp_swap_for("iret_protected")->before = (void *)hp_before_iret;
    hp_swap_for("iret_protected")->after = (void *)hp_after_iret_protected;
    hp_swap_for("iret_real")->after = (void *)hp_after_iret;
    hp_swap_for("lret_protected")->before = (void *)hp_before_ret;
    hp_swap_for("lret_protected")->after = (void *)hp_after_ret;
    hp_swap_for("iret_real")->segments = hp_swap_for("iret_protected")->segments = 1;
    hp_memory_operand("fldt_ST0", 1, 0, 10, 10);
    hp_memory_operand("fstt_ST0", 1, 1, 10, 10);
    hp_memory_operand("fbld_ST0", 1, 0, 10, 10);
    hp_memory_operand("fbst_ST0", 1, 1, 10, 10);
    hp_memory_operand("fldenv", 1, 0, 28, 14);
    hp_memory_operand("fstenv", 1, 1, 28, 14);
    hp_memory_operand("frstor", 1, 0, 108, 94);
    hp_memory_operand("fsave", 1, 1, 108, 94);
    hp_memory_operand("fxrstor", 1, 0, 512, 512);
    hp_memory_operand("fxsave", 1, 1, 512, 512);
    hp_memory_operand("cmpxchg8b", 1, 1, 8, 8);
    hp_memory_operand("cmpxchg8b_unlocked", 1, 1, 8, 8);
    hp_memory_operand("boundw", 1, 0, 4, 4);
    hp_memory_operand("boundl", 1, 0, 8, 8);
    return hp_missing;
}

#endif
