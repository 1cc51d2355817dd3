/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A block that leads into one that is known is linked to it before it runs.
 *
 * The core emits a jump for each way out of a block within its page. At first it leads to the next instruction of the host, which
 * returns to the core; as the block has left by it once, the core finds the next block and changes the jump. Hosts of AMD's
 * (Zen 4 was measured) keep what they have predicted for the old jump: a loop whose branch back has only ever been taken
 * costs a wrong prediction at each round, 4 ns, until it is left for the first time. A loop of the guest that waits for a
 * device, or moves a buffer through a port, is just that.
 *
 * So while a block is translated, where its ways out lead is noted. Behind that, if the block there is known (or is this
 * one: the common loop), the jump is changed as the core would, in its own lists, so that who invalidates a block finds it.
 *
 * A way out is right for one set of hidden flags, which must be those of the start. The core ends a block without a jump
 * where they change; it does not know that ours change with FS and GS, so such a block looks up what comes next each time.
 * Blocks in the shadow of STI, or with TF or RF, are left to the core.
 */
#ifndef HYPERPORT_FIDELITY_LINKS_H
#define HYPERPORT_FIDELITY_LINKS_H

#include "blocks.h"
#include "core.h"
#include "jumps.h"

enum {
    WAYS = 2,                   /* that can be jumps */
    JUMP_NEAR = 0xE9,           /* the host's JMP rel32 */
    NOT_LINKED = HFLAG_INHIBIT_IRQ | EFLAGS_TF | EFLAGS_RF,
};

static const uint64_t NOWHERE = (uint64_t)-1;

/* What is known of the block that is being translated. */
static __thread struct {
    uint64_t to[WAYS];          /* EIP behind each of its ways out */
    int flags_change;           /* hidden flags may be others at its end */
} hp_ways = {{(uint64_t)-1, (uint64_t)-1}, 0};

static void *(*plain_make_block)(void *cpu, uint64_t pc, uint64_t cs_base, uint32_t flags, int kind);
static void (*hp_set_jump)(void *block, int way, uintptr_t host);
static void (*hp_emit_look_up)(hp_context *tcg);        /* of the next block, as for RET */

/* Before a way out stands `EIP = constant`, as two operations. */
static void hp_note_way(hp_context *tcg, unsigned way)
{
    char *store = hp_last_op(tcg), *constant = HP_AT(store, OP_LINK + 8, char *) - OP_LINK;

    hp_ways.to[way] = NOWHERE;
    if ((HP_AT(store, 0, uint32_t) & OPCODE) == OP_ST_I64 && HP_AT(store, OP_ARGS + 16, uint64_t) == ENV_EIP
        && (HP_AT(constant, 0, uint32_t) & OPCODE) == OP_MOVI_I64
        && HP_AT(constant, OP_ARGS, uint64_t) == HP_AT(store, OP_ARGS, uint64_t))
        hp_ways.to[way] = HP_AT(constant, OP_ARGS + 8, uint64_t);
}

/* In place of tcg_gen_exit_tb(). */
static void hp_way_out(hp_context *tcg, void *block, unsigned reason)
{
    if (reason < WAYS && block) {
        if (hp_ways.flags_change) {
            hp_emit_look_up(tcg);
            return;
        }
        hp_note_way(tcg, reason);
    }
    hp_exit_tb(tcg, block, reason);
}

/* Is there a jump of the host that was never changed? */
static int hp_unlinked(const char *block, int way)
{
    const char *code = HP_AT(block, TB_CODE, char *), *jump = code + HP_AT(block, TB_JUMPS + 8 * way, uintptr_t);
    uint16_t next = HP_AT(block, TB_JUMPS_END + 2 * way, uint16_t);

    return next != NO_JUMP && !HP_AT(block, TB_LEADS_TO + 8 * way, void *) && code + next == jump + 4
           && (uint8_t)jump[-1] == JUMP_NEAR && !HP_AT(jump, 0, int32_t);
}

/* As the core's tb_add_jump(). */
static void hp_link(char *block, int way, char *next)
{
    HP_AT(block, TB_LEADS_TO + 8 * way, char *) = next;
    hp_set_jump(block, way, HP_AT(next, TB_CODE, uintptr_t));
    HP_AT(block, TB_NEXT_LINK + 8 * way, uintptr_t) = HP_AT(next, TB_LINKS, uintptr_t);
    HP_AT(next, TB_LINKS, uintptr_t) = (uintptr_t)block | (uintptr_t)way;
}

static void hp_link_ways(void *env, char *block, uint64_t pc, uint64_t cs_base, uint32_t flags)
{
    uint64_t to;
    hp_jump *row;
    int way;

    for (way = 0; way < WAYS; way++) {
        if (hp_ways.to[way] == NOWHERE || !hp_unlinked(block, way))
            continue;
        to = cs_base + hp_ways.to[way];
        if (to == pc) {
            if (HP_AT(block, TB_SECOND_PAGE, uint64_t) == (uint64_t)-1)
                hp_link(block, way, block);
        } else if ((row = hp_known_block(env, to, cs_base, flags)) != NULL) {
            hp_link(block, way, (char *)row->code - hp_jumps->header);
        }
    }
}

/* In place of tb_gen_code(). */
static void *hp_make_block(void *cpu, uint64_t pc, uint64_t cs_base, uint32_t flags, int kind)
{
    char *env = (char *)cpu + X86CPU_ENV, *block;

    hp_ways.to[0] = hp_ways.to[1] = NOWHERE;
    hp_ways.flags_change = 0;
    block = plain_make_block(cpu, pc, cs_base, flags, kind);
    if (!hp_jumps || HP_AT(block, TB_CFLAGS, uint32_t) != (uint32_t)CF_PLAIN)
        return block;
    hp_remember_block(env, block, pc, cs_base, flags);
    if (!(flags & NOT_LINKED))
        hp_link_ways(env, block, pc, cs_base, flags);
    return block;
}

static void hp_find_links(void)
{
    *(void **)&hp_set_jump = hp_symbol("tb_set_jmp_target");
    *(void **)&hp_emit_look_up = hp_symbol("tcg_gen_lookup_and_goto_ptr");
}

#endif
