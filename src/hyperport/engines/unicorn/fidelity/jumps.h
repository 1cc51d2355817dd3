/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which block of translated code comes next, where one block does not lead straight into another: RET, CALL and JMP by a
 * register, and whatever goes to another page.
 *
 * The core remembers 4,096 blocks by linear address, all of which it forgets at each flush of a TLB, that is whenever the
 * guest changes to another address space; then it looks a block up by physical address, among all. Here a table of as many rows
 * does not forget. A row is right as long as
 *
 *     the CPU is where and how the row says: linear address, base of CS, flags (which have the mode in them);
 *     nothing was made invalid since it was last looked at, or at least its block was not;
 *     no TLB was flushed since, or the TLB says anew that the code of this address is where it was;
 *     the core has not dropped all blocks: then their memory is used again.
 *
 * A row whose block is a port call of the ROM has the code of rom_calls.h, which does the call and looks up what is behind it.
 *
 * Blocks that lie in two pages are left to the core. What the core keeps itself is still kept by it: hp_find_block() stands
 * behind its small table, too.
 */
#ifndef HYPERPORT_FIDELITY_JUMPS_H
#define HYPERPORT_FIDELITY_JUMPS_H

#include <stdlib.h>

#include "core.h"
#include "rom_calls.h"
#include "tlb.h"
#include "zeroes.h"

enum {
    JUMP_BITS = 12,
    HOST_BITS = 32 + 12,        /* of an address of the host, how many a row tells */
    /* What of EFLAGS is part of a block's flags: IOPL, TF, RF, VM, AC. */
    JUMP_EFLAGS = 3 << 12 | EFLAGS_TF | EFLAGS_RF | EFLAGS_VM | 1 << 18,
};

/* Small, and few: a row that is not in the host's first caches costs more than what it saves. */
typedef struct {
    uint32_t pc, cs_base, flags;
    uint32_t page;              /* of the host, where the code is */
    uint64_t stamp;             /* hp_stamp() as the row was last found to be right */
    const char *code;           /* what was made of it, or is done instead; NULL for no row */
} hp_jump;

typedef struct {
    char *tcg;
    uint64_t page_flushes;      /* of single pages, and entries of the guest: what is flushed outside is not seen */
    uint64_t high;              /* the bits of addresses of the host that rows do not tell; all have the same */
    ptrdiff_t header;           /* from a block, as the core describes it, to its code */
    hp_rom *rom;                /* NULL: none of its calls is done here */
    uint32_t all_dropped;       /* the core's count of that as there was no row yet */
    hp_jump rows[1 << JUMP_BITS] __attribute__((aligned(64)));
} hp_jump_table;

static __thread hp_jump_table *hp_jumps __attribute__((tls_model("initial-exec")));     /* NULL: no guest of ours runs here */

static void *(*plain_find_block)(void *cpu, uint64_t pc, uint64_t cs_base, uint32_t flags, uint32_t kind);
static void *(*plain_next_code)(void *env);
static void (*plain_forget_page)(void *cpu, uint64_t address);

static inline hp_jump *hp_jump_row(uint64_t pc, uint32_t flags)
{
    return &hp_jumps->rows[((uint32_t)pc ^ flags) * 0x9E3779B1u >> (32 - JUMP_BITS)];
}

/* The sum of the counts: none of them ever falls, so as long as it is the same all are. Never 0: hp_set_jumps() has counted. */
static inline uint64_t hp_stamp(void *env)
{
    const uint64_t *flushes = (const uint64_t *)((char *)hp_cpu(env) + X86CPU_TLB_FLUSHES);

    return flushes[0] + flushes[1] + flushes[2] + hp_jumps->page_flushes + HP_AT(hp_jumps->tcg, TCG_INVALIDATIONS, uint64_t)
           + HP_AT(hp_jumps->tcg, TCG_FLUSHES, uint32_t);
}

static inline uint32_t hp_block_flags(void *env)
{
    return HP_AT(env, ENV_HFLAGS, uint32_t) | (HP_AT(env, ENV_EFLAGS, uint32_t) & JUMP_EFLAGS);
}

/* If the core has dropped all blocks, the memory of those in the table may be used again. */
static void hp_forget_dropped(void)
{
    uint32_t all_dropped = HP_AT(hp_jumps->tcg, TCG_FLUSHES, uint32_t);

    if (hp_jumps->all_dropped != all_dropped)
        memset(hp_jumps->rows, 0, sizeof hp_jumps->rows);
    hp_jumps->all_dropped = all_dropped;
}

/* Something has happened since the row was right. */
static __attribute__((noinline)) int hp_still_right(void *env, hp_jump *row, uint64_t stamp)
{
    uint64_t host;

    hp_forget_dropped();
    if (!row->code || (!hp_is_rom_code(row->code) && HP_AT(row->code - hp_jumps->header, TB_CFLAGS, uint32_t) & CF_INVALID))
        return 0;
    host = (uint64_t)hp_tlb_host(env, hp_mmu(env), row->pc, 1, TLB_CODE);
    if ((uint32_t)(host >> 12) != row->page || host >> HOST_BITS != hp_jumps->high)
        return 0;
    row->stamp = stamp;
    return 1;
}

/* The row of a block, or NULL. One whose work is done in another way is left to the core. */
static inline hp_jump *hp_known_block(void *env, uint64_t pc, uint64_t cs_base, uint32_t flags)
{
    hp_jump *row = hp_jump_row(pc, flags);
    uint64_t stamp = hp_stamp(env);

    if (row->pc != pc || row->cs_base != cs_base || row->flags != flags || !row->code || hp_is_rom_code(row->code))
        return NULL;
    if (HP_RARELY(row->stamp != stamp) && !hp_still_right(env, row, stamp))
        return NULL;
    return row;
}

static void hp_remember_block(void *env, char *block, uint64_t pc, uint64_t cs_base, uint32_t flags)
{
    hp_jump *row = hp_jump_row(pc, flags);
    uint64_t host = (uint64_t)hp_tlb_host(env, hp_mmu(env), pc, 1, TLB_CODE);
    char *code = HP_AT(block, TB_CODE, char *);

    if (!host)
        return;
    hp_forget_dropped();
    if (!hp_jumps->header) {
        hp_jumps->header = code - block;
        hp_jumps->high = host >> HOST_BITS;
    }
    if (host >> HOST_BITS != hp_jumps->high || code - block != hp_jumps->header || pc >> 32
        || HP_AT(block, TB_SECOND_PAGE, uint64_t) != (uint64_t)-1)
        return;
    row->pc = (uint32_t)pc;
    row->cs_base = (uint32_t)cs_base;
    row->flags = flags;
    row->page = (uint32_t)(host >> 12);
    row->stamp = hp_stamp(env);
    row->code = hp_rom_code_for(hp_jumps->rom, (const char *)host, cs_base, flags);
    if (!row->code)
        row->code = code;
}

/* In place of the core's look-up by physical address. May fault: a page of code is perhaps not there. */
static void *hp_find_block(void *cpu, uint64_t pc, uint64_t cs_base, uint32_t flags, uint32_t kind)
{
    char *env = (char *)cpu + X86CPU_ENV;
    hp_jump *row;
    void *block;

    if (!hp_jumps || kind != (uint32_t)CF_PLAIN)
        return plain_find_block(cpu, pc, cs_base, flags, kind);
    row = hp_known_block(env, pc, cs_base, flags);
    if (row)
        return (char *)row->code - hp_jumps->header;
    block = plain_find_block(cpu, pc, cs_base, flags, kind);
    if (block)
        hp_remember_block(env, block, pc, cs_base, flags);
    return block;
}

/* The row does not say it, or not for sure. */
static __attribute__((noinline)) void *hp_find_code(void *env)
{
    uint64_t cs_base = HP_SEGMENT(env, CS, SEGMENT_BASE, uint64_t), pc = cs_base + HP_AT(env, ENV_EIP, uint64_t);
    char *block = hp_find_block(hp_cpu(env), pc, cs_base, hp_block_flags(env), (uint32_t)CF_PLAIN);

    return block ? HP_AT(block, TB_CODE, void *) : plain_next_code(env);
}

/* The same; what is there may be done in another way. */
static __attribute__((noinline)) void *hp_find_next_code(void *env)
{
    uint64_t cs_base = HP_SEGMENT(env, CS, SEGMENT_BASE, uint64_t), pc = cs_base + HP_AT(env, ENV_EIP, uint64_t);
    uint32_t flags = hp_block_flags(env);
    hp_jump *row = hp_jump_row(pc, flags);

    if (row->pc == pc && row->cs_base == cs_base && row->flags == flags && hp_is_rom_code(row->code)
        && hp_still_right(env, row, hp_stamp(env)))
        return (void *)row->code;
    return hp_find_code(env);
}

/* In place of helper_lookup_tb_ptr(): the host's code to go on with. It runs at each RET, so it calls nothing on its way, and has
 * no registers to save. A row whose stamp is that of now was right, so it has code: rows that are none have the stamp 0. */
static void *hp_next_code(void *env)
{
    uint64_t cs_base, pc;
    uint32_t flags;
    const hp_jump *row;

    if (HP_RARELY(!hp_jumps))
        return plain_next_code(env);
    cs_base = HP_SEGMENT(env, CS, SEGMENT_BASE, uint64_t);
    pc = cs_base + HP_AT(env, ENV_EIP, uint64_t);
    flags = hp_block_flags(env);
    row = hp_jump_row(pc, flags);
    if (HP_RARELY(row->pc != pc || row->cs_base != cs_base || row->flags != flags || row->stamp != hp_stamp(env)))
        return hp_find_next_code(env);
    return (void *)row->code;
}

static inline hp_rom *hp_rom_now(void) { return hp_jumps->rom; }

static __attribute__((noinline)) void *hp_plain_code(void *env)
{
    uint64_t cs_base = HP_SEGMENT(env, CS, SEGMENT_BASE, uint64_t), pc = cs_base + HP_AT(env, ENV_EIP, uint64_t);
    char *block = plain_find_block(hp_cpu(env), pc, cs_base, hp_block_flags(env), (uint32_t)CF_PLAIN);

    return block ? HP_AT(block, TB_CODE, void *) : plain_next_code(env);
}

/* Segments are flat where a call of the ROM is done. */
static inline void *hp_code_behind(void *env, uint64_t stamp)
{
    uint32_t pc = HP_AT(env, ENV_EIP, uint32_t), flags = hp_block_flags(env);
    const hp_jump *row = hp_jump_row(pc, flags);

    if (HP_RARELY(row->pc != pc || row->cs_base || row->flags != flags || row->stamp != stamp))
        return hp_find_code(env);
    return HP_RARELY(hp_is_rom_code(row->code)) ? hp_plain_code(env) : (void *)row->code;
}

/* The core flushes a page from the TLB. */
static void hp_forget_page(void *cpu, uint64_t address)
{
    if (hp_jumps)
        hp_jumps->page_flushes++;
    plain_forget_page(cpu, address);
}

static hp_jump_table *hp_new_jumps(void *tcg)
{
    hp_jump_table *table = hp_zeroes(sizeof *table);

    if (table) {
        table->tcg = tcg;
        table->all_dropped = HP_AT(tcg, TCG_FLUSHES, uint32_t);
    }
    return table;
}

static void hp_free_jumps(hp_jump_table *table)
{
    if (table && table->rom)
        hp_unmap_zeroes(table->rom, sizeof *table->rom);
    hp_unmap_zeroes(table, sizeof *table);
}

static void hp_set_jumps(hp_jump_table *table)
{
    hp_jumps = table;
    if (table)
        table->page_flushes++;
}

#endif
