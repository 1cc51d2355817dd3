/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * System registers: control, debug, model-specific, and EFLAGS (SDM vol. 3, 2.5; 17.2; vol. 4, 2.22 for the P6 family).
 * What CPUID does not claim cannot be turned on: reserved bits and unknown registers are #GP(0).
 */
#ifndef HYPERPORT_FIDELITY_SYSTEM_H
#define HYPERPORT_FIDELITY_SYSTEM_H

#include "alignment.h"
#include "core.h"
#include "counting.h"
#include "frames.h"
#include "segments.h"

enum {
    CR0_PG = (int)0x80000000,
    CR0_DEFINED = (int)0xE005003F,      /* PE MP EM TS ET NE, WP AM, NW CD PG; the rest stays clear */
    CR0_CACHE = CR0_CD | CR0_NW,
    CR4_TSD = 1 << 2, CR4_PSE = 1 << 4, CR4_PAE = 1 << 5, CR4_PGE = 1 << 7, CR4_PCE = 1 << 8,
    CR4_DEFINED = CR4_TSD | CR4_DE | CR4_PSE | CR4_PAE | CR4_PGE | CR4_PCE | CR4_OSFXSR | CR4_OSXMMEXCPT,
    CR4_CHANGES_PDPTE = CR4_PAE | CR4_PGE | CR4_PSE,

    DR6_ONES = (int)0xFFFF0FF0, DR6_WRITABLE = 0xE00F,      /* B0..B3, BD, BS, BT */
    DR6_BD = 1 << 13, DR6_BS = 1 << 14,
    DR7_ONES = 0x400, DR7_ZEROS = 0xD800,
    DR7_GD = 1 << 13, DR7_ENABLES = 0xFF,
    DR_EXECUTE = 0, DR_WRITE = 1, DR_PORT = 2, DR_ACCESS = 3,

    MSR_TSC = 0x10, MSR_PLATFORM_ID = 0x17, MSR_TSC_ADJUST = 0x3B, MSR_MICROCODE = 0x8B,
    MSR_SYSENTER_CS = 0x174, MSR_SYSENTER_EIP = 0x176, MSR_PAT = 0x277,
    EFER_NXE = 1 << 11,

    GATE_KIND = 0x1F00, TASK_GATE = 0x0500, GATE_DPL_SHIFT = 13,    /* of its second word */
    IN_IDT = 2,                         /* of an error code */
};
#define MSR_EFER 0xC0000080u
#define PDPTE_RESERVED (0x1E6ull | ~((1ull << 36) - 1))     /* CPUID 8000_0008h: 36 bits */

/* The guest's memory, for what is read by physical address. Set while a guest of ours runs. */
static __thread const struct hp_map *hp_memory __attribute__((tls_model("initial-exec")));

/* What the TSC of a machine that was restored is ahead of the host's, besides what its guest has added. */
static __thread uint64_t hp_tsc_base;

static inline uint64_t hp_cr(void *env, int n) { return HP_AT(env, ENV_CR + 8 * n, uint64_t); }

/* Would PAE paging load a PDPTE with a reserved bit set? (SDM vol. 3, 4.4.1) */
static int hp_bad_pdpte(uint32_t cr3)
{
    uint64_t address = cr3 & ~31u, entry;
    int i;

    for (i = 0; i < 4; i++, address += 8) {
        const uint8_t *host = hp_memory ? hp_host_at(hp_memory, address, sizeof entry, 0) : NULL;
        if (!host)
            return 1;                   /* no memory: all ones */
        memcpy(&entry, host, sizeof entry);
        if (entry & 1 && entry & PDPTE_RESERVED)
            return 1;
    }
    return 0;
}

static void (*core_write_crN)(void *env, int reg, uint64_t value);

static void hp_write_crN(void *env, int reg, uint64_t value)
{
    uint32_t cr0 = (uint32_t)hp_cr(env, 0), cr4 = (uint32_t)hp_cr(env, 4), new = (uint32_t)value;
    int bad = 0;

    switch (reg) {
    case 0:
        new &= (uint32_t)CR0_DEFINED;
        bad = (new & (uint32_t)CR0_PG && !(new & CR0_PE)) || (new & CR0_NW && !(new & CR0_CD))
              || (new & (uint32_t)CR0_PG && cr4 & CR4_PAE && (cr0 ^ new) & (uint32_t)(CR0_PG | CR0_CACHE)
                  && hp_bad_pdpte((uint32_t)hp_cr(env, 3)));
        break;
    case 3:
        bad = cr0 & (uint32_t)CR0_PG && cr4 & CR4_PAE && hp_bad_pdpte(new);
        break;
    case 4:
        bad = new & ~(uint32_t)CR4_DEFINED
              || (cr0 & (uint32_t)CR0_PG && new & CR4_PAE && (cr4 ^ new) & CR4_CHANGES_PDPTE
                  && hp_bad_pdpte((uint32_t)hp_cr(env, 3)));
        break;
    default:
        break;
    }
    if (bad)
        hp_core.raise(env, VECTOR_GP, 0, HP_CALLER);
    core_write_crN(env, reg, new);
    if (reg == 0) {
        hp_note_alignment(env);
        hp_segments_changed(env);
    }
    if (reg == 4 && (cr4 ^ new) & CR4_DE && HP_AT(env, ENV_DR + 7 * 8, uint64_t) & DR7_ENABLES)
        hp_look_up(hp_cpu(env), INTERRUPT_HARD);    /* as for DR7 */
}

/* Model-specific registers. There are no counters, so RDPMC has nothing to read. */

static inline void hp_edx_eax(void *env, uint64_t value)
{
    HP_AT(env, ENV_REGS, uint64_t) = (uint32_t)value;
    HP_AT(env, ENV_REGS + 2 * 8, uint64_t) = value >> 32;
}

static inline int hp_core_has_msr(uint32_t number)
{
    return (number >= MSR_SYSENTER_CS && number <= MSR_SYSENTER_EIP) || number == MSR_PAT || number == MSR_EFER;
}

static void (*core_rdmsr)(void *env);
static void (*core_wrmsr)(void *env);

static void hp_rdmsr(void *env)
{
    uint32_t number = (uint32_t)HP_AT(env, ENV_REGS + 8, uint64_t);

    if (hp_core_has_msr(number))
        core_rdmsr(env);
    else if (number == MSR_TSC)
        hp_edx_eax(env, hp_tsc(env) + HP_AT(env, ENV_TSC_OFFSET, uint64_t));
    else if (number == MSR_TSC_ADJUST)  /* what was added since power-on (SDM vol. 3B, 18.17.3): all that we add */
        hp_edx_eax(env, HP_AT(env, ENV_TSC_OFFSET, uint64_t) - hp_tsc_base);
    else if (number == MSR_PLATFORM_ID || number == MSR_MICROCODE)
        hp_edx_eax(env, 0);
    else
        hp_core.raise(env, VECTOR_GP, 0, HP_CALLER);
}

static int hp_bad_pat(uint64_t value)
{
    int i;

    for (i = 0; i < 8; i++, value >>= 8)
        if ((value & 0xFF) > 7 || (value & 0xFE) == 2)
            return 1;
    return 0;
}

static void hp_wrmsr(void *env)
{
    uint32_t number = (uint32_t)HP_AT(env, ENV_REGS + 8, uint64_t);
    uint64_t value = (uint32_t)HP_AT(env, ENV_REGS, uint64_t) | HP_AT(env, ENV_REGS + 16, uint64_t) << 32;

    if ((number == MSR_EFER && value & ~(uint64_t)EFER_NXE) || (number == MSR_PAT && hp_bad_pat(value)))
        hp_core.raise(env, VECTOR_GP, 0, HP_CALLER);
    if (hp_core_has_msr(number))
        core_wrmsr(env);
    else if (number == MSR_TSC)
        HP_AT(env, ENV_TSC_OFFSET, uint64_t) = value - hp_tsc(env);
    else if (number == MSR_TSC_ADJUST)
        HP_AT(env, ENV_TSC_OFFSET, uint64_t) = value + hp_tsc_base;
    else if (number != MSR_MICROCODE)
        hp_core.raise(env, VECTOR_GP, 0, HP_CALLER);
}

static void hp_rdpmc(void *env) { hp_core.raise(env, VECTOR_GP, 0, HP_CALLER); }

/* EFLAGS. PUSHF stores RF and VM as 0 (SDM vol. 2, PUSHF). */

static uint64_t (*core_read_eflags)(void *env);

static uint64_t hp_read_eflags(void *env) { return core_read_eflags(env) & ~(uint64_t)(EFLAGS_RF | EFLAGS_VM); }

/*
 * INT n, INT3 and INTO: how many bytes they have, prefixes included, which the core has forgotten when it delivers. And it
 * lets them through any task gate, whatever its DPL.
 */
static uint32_t hp_ldl_mmu(void *env, uint64_t address, int mmu, uintptr_t caller);     /* tlb.h's */

static __thread uint32_t hp_int_length __attribute__((tls_model("initial-exec")));

static void hp_before_int(void *env, int vector, int length)
{
    uint32_t ring = HP_AT(env, ENV_HFLAGS, uint32_t) & HFLAG_CPL, gate;

    if (ring && hp_cr(env, 0) & CR0_PE && (uint32_t)vector * 8 + 7 <= HP_AT(env, ENV_IDT + SEGMENT_LIMIT, uint32_t)) {
        gate = hp_ldl_mmu(env, (uint32_t)(HP_AT(env, ENV_IDT + SEGMENT_BASE, uint64_t) + (uint32_t)vector * 8 + 4), MMU_KERNEL,
                          HP_CALLER);
        if ((gate & GATE_KIND) == TASK_GATE && (gate >> GATE_DPL_SHIFT & 3) < ring)
            hp_core.raise(env, VECTOR_GP, vector * 8 + IN_IDT, HP_CALLER);
    }
    hp_int_length = (uint32_t)length;
    hp_completed(env);
}

static void hp_before_into(void *env, int length)
{
    (void)env;
    hp_int_length = (uint32_t)length;
}

/* After IRET: RF stops nothing where nothing is watched, and would make blocks of one instruction. */
static void hp_after_iret(void *env)
{
    if (!(HP_AT(env, ENV_DR + 7 * 8, uint64_t) & DR7_ENABLES))
        HP_AT(env, ENV_EFLAGS, uint64_t) &= ~(uint64_t)EFLAGS_RF;
    hp_segments_changed(env);
}

static void hp_after_iret_protected(void *env)
{
    hp_check_return(env, HP_CALLER);
    hp_after_iret(env);
    if (HP_RARELY(hp_task_traps(env)))
        hp_raise_task_trap(env);
}

/* Debug registers. */

static inline uint64_t *hp_dr(void *env, int n) { return &HP_AT(env, ENV_DR + 8 * n, uint64_t); }
static inline int hp_dr_kind(uint64_t dr7, int n) { return (int)(dr7 >> (16 + 4 * n) & 3); }
static inline int hp_dr_enabled(uint64_t dr7, int n) { return (dr7 >> (2 * n) & 3) != 0; }
static inline uint64_t hp_dr_length(uint64_t dr7, int n)
{
    static const uint8_t lengths[4] = {1, 2, 8, 4};

    return lengths[dr7 >> (18 + 4 * n) & 3];
}

static inline void hp_dr6_hit(void *env, uint64_t bits)
{
    *hp_dr(env, 6) = (*hp_dr(env, 6) & ~0xFull) | bits;
}

/* GD and the aliases of MOV to and from DRn; returns the register meant. */
static int hp_debug_register(void *env, int n, uintptr_t caller)
{
    if (n == 4 || n == 5) {
        if (hp_cr(env, 4) & CR4_DE)
            hp_core.raise(env, VECTOR_UD, 0, caller);
        n += 2;
    }
    if (*hp_dr(env, 7) & DR7_GD) {
        hp_dr6_hit(env, DR6_BD);
        HP_AT(env, ENV_EFLAGS, uint64_t) |= EFLAGS_RF;      /* a fault */
        hp_core.raise(env, VECTOR_DB, 0, caller);
    }
    return n;
}

static uint64_t hp_get_dr(void *env, int n) { return *hp_dr(env, hp_debug_register(env, n, HP_CALLER)); }

static void (*core_set_dr)(void *env, int n, uint64_t value);

/* Breakpoints that were or are enabled: blocks were made for the old ones, and so were entries of the TLB. */
static void hp_forget_breakpoints(void *env, uint64_t dr7)
{
    int n, executes = 0, watches = 0;

    for (n = 0; n < 4; n++)
        if (hp_dr_enabled(dr7, n)) {
            executes |= hp_dr_kind(dr7, n) == DR_EXECUTE;
            watches |= hp_dr_kind(dr7, n) & 1;
        }
    if (executes)
        hp_core.flush_code(hp_cpu(env));
    if (watches)
        hp_core.flush_tlb(hp_cpu(env));
}

static void hp_load_dr7(void *env, uint32_t value)
{
    uint32_t enabled = (uint32_t)(*hp_dr(env, 7) | value) & DR7_ENABLES;

    hp_forget_breakpoints(env, *hp_dr(env, 7));
    value = (value & ~(uint32_t)DR7_ZEROS) | DR7_ONES;
    hp_core.update_dr7(env, value);
    hp_forget_breakpoints(env, value);
    if (value & DR7_ENABLES)            /* of any kind: string instructions then come to the engine, see mend.pyx */
        HP_AT(env, ENV_HFLAGS, uint32_t) |= HFLAG_IOBPT;
    if (enabled)
        hp_look_up(hp_cpu(env), INTERRUPT_HARD);    /* who keeps accesses from the vCPU asks hp_ports_watched() there */
}

static void hp_set_dr(void *env, int n, uint64_t value)
{
    n = hp_debug_register(env, n, HP_CALLER);
    if (n == 6)
        *hp_dr(env, 6) = ((uint32_t)value & DR6_WRITABLE) | (uint32_t)DR6_ONES;
    else if (n == 7)
        hp_load_dr7(env, (uint32_t)value);
    else {
        core_set_dr(env, n, (uint32_t)value);
        hp_forget_breakpoints(env, *hp_dr(env, 7));
    }
}

/* Is any I/O breakpoint enabled? */
static int hp_ports_watched(void *env)
{
    uint64_t dr7 = *hp_dr(env, 7);
    int n;

    if (dr7 & DR7_ENABLES && hp_cr(env, 4) & CR4_DE)
        for (n = 0; n < 4; n++)
            if (hp_dr_enabled(dr7, n) && hp_dr_kind(dr7, n) == DR_PORT)
                return 1;
    return 0;
}

/* Which I/O breakpoints does an access of `size` bytes hit? Bits of DR6. (SDM vol. 3, 17.2.5) */
static uint32_t hp_port_hits(void *env, uint32_t port, uint32_t size)
{
    uint64_t dr7 = *hp_dr(env, 7);
    uint32_t hits = 0;
    int n;

    if (!(hp_cr(env, 4) & CR4_DE))
        return 0;
    for (n = 0; n < 4; n++) {
        uint64_t length = hp_dr_length(dr7, n), first = *hp_dr(env, n) & ~(length - 1);
        if (hp_dr_enabled(dr7, n) && hp_dr_kind(dr7, n) == DR_PORT && port < first + length && port + size > first)
            hits |= 1u << n;
    }
    return hits;
}

/* What the doorbell that has just been answered hit: its own port is none that the guest accesses. */
static __thread struct { uint32_t valid, hits; } hp_called;

/* Called by translated code after an IN or OUT while any breakpoint is enabled. */
static void hp_bpt_io(void *env, uint32_t port, uint32_t size, uint64_t next_eip)
{
    uint32_t hits = hp_called.valid ? hp_called.hits : hp_port_hits(env, port, size);

    hp_called.valid = 0;
    if (!hits)
        return;
    hp_core.restore_state(hp_cpu(env), HP_CALLER, 1);
    HP_AT(env, ENV_EIP, uint64_t) = next_eip;
    HP_AT(env, ENV_EFLAGS, uint64_t) &= ~(uint64_t)EFLAGS_RF;
    hp_completed(env);
    hp_dr6_hit(env, hits | (HP_AT(env, ENV_EFLAGS, uint64_t) & EFLAGS_TF ? DR6_BS : 0));
    hp_core.raise_now(env, VECTOR_DB, 0);
}

/* Data breakpoints. The core's TLB marks pages that hold one, if it is told of them, and asks about each access there;
   who keeps them is compiled out. While a breakpoint is enabled, blocks have one instruction: what an access hits is noted
   in CPUState.watchpoint_hit, which the core leaves to us, and #DB comes before the next block. */

static __thread uint32_t hp_hit_by;     /* the linear address of the instruction whose access was noted last */

static inline uintptr_t *hp_noted(void *cpu) { return &HP_AT(cpu, CPU_WATCHPOINT_HIT, uintptr_t); }

static int hp_watched_page(void *cpu, uint64_t page, uint64_t length)
{
    char *env = (char *)cpu + X86CPU_ENV;
    uint64_t dr7 = *hp_dr(env, 7);
    int n, kinds = 0;

    if (HP_RARELY(dr7 & DR7_ENABLES))
        for (n = 0; n < 4; n++)
            if (hp_dr_enabled(dr7, n) && hp_dr_kind(dr7, n) & 1 && (uint32_t)(*hp_dr(env, n) - page) < length)
                kinds |= hp_dr_kind(dr7, n) == DR_WRITE ? WATCH_WRITE : WATCH_READ | WATCH_WRITE;
    return kinds;
}

static void hp_check_watchpoint(void *cpu, uint64_t address, uint64_t length, uint32_t attributes, int kind,
                                uintptr_t caller)
{
    char *env = (char *)cpu + X86CPU_ENV;
    uint64_t dr7 = *hp_dr(env, 7);
    char *block;
    int n;

    (void)attributes;
    /* Before it splits a store that is not aligned into bytes, which it asks about, the core asks for two parts of it as if
       it crossed into another page: the second is then from the start of its page. */
    if (length > 8 || length & (length - 1) || address & (length - 1))
        return;
    for (n = 0; n < 4; n++) {
        uint64_t size = hp_dr_length(dr7, n), first = *hp_dr(env, n) & ~(size - 1);
        int kinds = hp_dr_kind(dr7, n) == DR_WRITE ? WATCH_WRITE : WATCH_READ | WATCH_WRITE;
        if (hp_dr_enabled(dr7, n) && hp_dr_kind(dr7, n) & 1 && kinds & kind && address < first + size
            && address + length > first)
            *hp_noted(cpu) |= 1u << n;
    }
    if (!*hp_noted(cpu))
        return;
    block = caller ? hp_core.block_at(HP_AT(HP_AT(cpu, CPU_UC, void *), UC_TCG, void *), caller) : NULL;
    hp_hit_by = block ? HP_AT(block, TB_PC, uint32_t) : 0;
    hp_look_up(cpu, INTERRUPT_DEBUG);
}

/* The bits of the data breakpoints that were hit since, which are then forgotten. */
static uint32_t hp_data_hits(void *cpu)
{
    uint32_t hits = (uint32_t)*hp_noted(cpu);

    *hp_noted(cpu) = 0;
    __atomic_fetch_and(&HP_AT(cpu, CPU_INTERRUPT_REQUEST, uint32_t), ~(uint32_t)INTERRUPT_DEBUG, __ATOMIC_SEQ_CST);
    return hits;
}

/* A string instruction at EIP has done its last element, which was noted: translated code would look at the count once more.
   Gives how many bytes it has, else 0. */
static uint32_t hp_string_is_done(void *env, uint32_t linear)
{
    uint32_t count = HP_AT(env, ENV_REGS + 8, uint32_t), length, byte, repeats = 0;
    int wide = (HP_AT(env, ENV_HFLAGS, uint32_t) & HFLAG_CS32) != 0;

    if (linear != hp_hit_by)
        return 0;
    for (length = 0; length < 15; length++) {
        byte = hp_core.load_byte(env, linear + length, hp_mmu(env), 0);
        if (byte == 0x67)
            wide = !(HP_AT(env, ENV_HFLAGS, uint32_t) & HFLAG_CS32);
        else if ((byte & 0xFE) == 0xF2)
            repeats = 1;
        else if ((byte & 0xE7) != 0x26 && byte != 0x64 && byte != 0x65 && byte != 0x66)
            break;
    }
    return repeats && !(wide ? count : count & 0xFFFF) ? length + 1 : 0;
}

/* The core's EXCP_DEBUG: a data breakpoint, or an instruction with an execution breakpoint is next. */
static void hp_debug(void *cpu)
{
    char *env = (char *)cpu + X86CPU_ENV;
    uint64_t dr7 = *hp_dr(env, 7);
    uint32_t linear, hits = 0;
    int n;

    if (*hp_noted(cpu)) {
        hits = hp_data_hits(cpu);
        linear = (uint32_t)(HP_SEGMENT(env, CS, SEGMENT_BASE, uint64_t) + HP_AT(env, ENV_EIP, uint64_t));
        HP_AT(env, ENV_EIP, uint64_t) += hp_string_is_done(env, linear);
    } else {
        linear = (uint32_t)(HP_SEGMENT(env, CS, SEGMENT_BASE, uint64_t) + HP_AT(env, ENV_EIP, uint64_t));
        for (n = 0; n < 4; n++)
            if (hp_dr_enabled(dr7, n) && hp_dr_kind(dr7, n) == DR_EXECUTE && (uint32_t)*hp_dr(env, n) == linear)
                hits |= 1u << n;
    }
    if (!hits)
        hp_core.leave_block(cpu);       /* to return would end the run */
    hp_dr6_hit(env, hits);
    hp_core.raise_now(env, VECTOR_DB, 0);
}

static void hp_single_step(void *env)
{
    hp_completed(env);
    hp_dr6_hit(env, DR6_BS | hp_data_hits(hp_cpu(env)));
    hp_core.raise_now(env, VECTOR_DB, 0);
}

/*
 * HLT, which the core has checked for CPL 0. The engine may let the vCPU sleep right here, in translated code, until an
 * interrupt comes for it; the core's own way is out of cpu_exec(), to who entered the guest. It is the last instruction of
 * its block, so what was counted until it sleeps is exact.
 */
static _Bool (*hp_sleeps)(void);        /* the engine's; true: an interrupt waits */
static void (*core_hlt)(void *env, int length);

static void hp_hlt(void *env, int length)
{
    if (hp_memory) {
        HP_AT(env, ENV_EIP, uint64_t) += (uint64_t)length;
        HP_AT(env, ENV_HFLAGS, uint32_t) &= ~(uint32_t)HFLAG_INHIBIT_IRQ;
        if (hp_sleeps()) {
            hp_completed(env);
            hp_core.leave_block(hp_cpu(env));
        }
        HP_AT(env, ENV_EIP, uint64_t) -= (uint64_t)length;
    }
    hp_completed(env);
    core_hlt(env, length);
}

#endif
