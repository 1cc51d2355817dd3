/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How each block of translated code begins and ends.
 *
 * A block must be left where somebody has asked the vCPU to look up. The core calls a helper for that at the start of each
 * block. Here the start is what QEMU's own is: a load of icount_decr, and a branch to the end of the block where it is
 * negative. There the core itself emits the way out for who wants to leave ("exit requested"), which says which block was
 * not begun; EIP is set from that, so nothing has to be restored and no longjmp is made.
 *
 * What is to be done once for each block is emitted in hp_begin_block(). Where instructions are counted (counting.h) they are
 * subtracted there; their number is known only when all of the block is translated, and is filled in by hp_gen_code().
 */
#ifndef HYPERPORT_FIDELITY_BLOCKS_H
#define HYPERPORT_FIDELITY_BLOCKS_H

#include "core.h"
#include "counting.h"

typedef void hp_temp;
typedef void hp_context;

static __thread void *hp_leave_block;       /* label of the way out of the block that is being translated */

static void (*hp_emit_op1)(hp_context *tcg, int op, uintptr_t a);
static void (*hp_emit_op2)(hp_context *tcg, int op, uintptr_t a, uintptr_t b);
static void (*hp_emit_op3)(hp_context *tcg, int op, uintptr_t a, uintptr_t b, uintptr_t c);
static void (*hp_emit_branch)(hp_context *tcg, int condition, uintptr_t a, int32_t b, void *label);
static void *(*hp_new_label)(hp_context *tcg);
static hp_temp *(*hp_new_temp)(hp_context *tcg, int type, _Bool local);
static void (*plain_exit_tb)(hp_context *tcg, void *block, unsigned reason);

static inline hp_temp *hp_temp_of(hp_context *tcg, uintptr_t handle) { return (char *)tcg + handle; }
static inline uintptr_t hp_handle_of(hp_context *tcg, hp_temp *temp) { return (uintptr_t)temp - (uintptr_t)tcg; }

/* The temporary that stands for this field of CPUX86State, or NULL. */
static hp_temp *hp_register_temp(hp_context *tcg, uintptr_t field)
{
    char *temp = (char *)tcg + TCG_TEMPS;
    int i;

    for (i = 0; i < HP_AT(tcg, TCG_NB_GLOBALS, int); i++, temp += TCG_TEMP_SIZE)
        if (HP_AT(temp, TEMP_AT, uintptr_t) == field)
            return temp;
    return NULL;
}

static inline void *hp_last_op(hp_context *tcg)
{
    char *last = HP_AT(tcg, TCG_OPS + 8, char *);       /* its link */

    return HP_AT(HP_AT(last, 8, char *), 0, void *);
}

static void hp_emit_call(hp_context *tcg, void *core, void *function, hp_temp *result, int count, hp_temp **arguments);
static void *hp_takes_env_and_number;       /* a helper with the signature of hp_not_begun(), */
static void *hp_takes_env;                  /* and one of what comes before or after an instruction */

/* Subtract the instructions of the block, which are not known yet, from those that are left, into `left` as well. */
static void hp_begin_counting(hp_context *tcg, hp_temp *left)
{
    uintptr_t env = (uintptr_t)hp_temp_of(tcg, HP_AT(tcg, TCG_CPU_ENV, uintptr_t));
    hp_temp *number = hp_new_temp(tcg, TYPE_I32, 0);

    hp_emit_op2(tcg, OP_MOVI_I32, (uintptr_t)number, 0);
    hp_counted.hot = HP_AT(tcg, TCG_ICOUNT_START, void *) = hp_last_op(tcg);
    hp_counted.number = number;
    hp_emit_op3(tcg, OP_LD_I32, (uintptr_t)left, env, (uintptr_t)(CPU_ICOUNT_EXTRA - X86CPU_ENV));
    hp_emit_op3(tcg, OP_SUB_I32, (uintptr_t)left, (uintptr_t)left, (uintptr_t)number);
    hp_emit_op3(tcg, OP_ST_I32, (uintptr_t)left, env, (uintptr_t)(CPU_ICOUNT_EXTRA - X86CPU_ENV));
}

/* Out of a block that is not begun. */
static void hp_end_counting(hp_context *tcg)
{
    hp_temp *arguments[2] = {hp_temp_of(tcg, HP_AT(tcg, TCG_CPU_ENV, uintptr_t)), hp_counted.number};

    hp_emit_op2(tcg, OP_MOVI_I32, (uintptr_t)hp_counted.number, 0);
    hp_counted.cold = hp_last_op(tcg);
    hp_emit_call(tcg, hp_takes_env_and_number, (void *)hp_not_begun, NULL, 2, arguments);
}

/* In place of the call of check_exit_request(uc, delayed): delayed is a 32-bit temporary that nothing else uses. */
static void hp_begin_block(hp_context *tcg, hp_temp **arguments)
{
    char *cpu = HP_AT(HP_AT(tcg, TCG_UC, char *), UC_CPU, char *);
    uintptr_t decrement = (uintptr_t)(HP_AT(cpu, CPU_ICOUNT_DECR_PTR, char *) - (cpu + X86CPU_ENV));
    hp_temp *requested = arguments[1];

    hp_leave_block = hp_new_label(tcg);
    if (hp_counting)
        hp_begin_counting(tcg, requested);
    else
        hp_emit_op3(tcg, OP_LD_I32, (uintptr_t)requested, (uintptr_t)hp_temp_of(tcg, HP_AT(tcg, TCG_CPU_ENV, uintptr_t)), decrement);
    hp_emit_branch(tcg, CONDITION_LT, hp_handle_of(tcg, requested), 0, hp_leave_block);
}

static void hp_end_block(hp_context *tcg)
{
    hp_emit_op1(tcg, OP_SET_LABEL, (uintptr_t)hp_leave_block);
    if (hp_counting)
        hp_end_counting(tcg);
    hp_leave_block = NULL;
}

/* The last thing that the translator emits for a block is its way out. */
static void hp_exit_tb(hp_context *tcg, void *block, unsigned reason)
{
    if (reason == EXIT_REQUESTED && hp_leave_block)
        hp_end_block(tcg);
    plain_exit_tb(tcg, block, reason);
}

static void hp_find_blocks(void)
{
    *(void **)&hp_emit_op1 = hp_symbol("tcg_gen_op1");
    *(void **)&hp_emit_op2 = hp_symbol("tcg_gen_op2");
    *(void **)&hp_emit_op3 = hp_symbol("tcg_gen_op3");
    *(void **)&hp_emit_branch = hp_symbol("tcg_gen_brcondi_i32");
    *(void **)&hp_new_label = hp_symbol("gen_new_label");
    *(void **)&hp_new_temp = hp_symbol("tcg_temp_new_internal");
    hp_takes_env_and_number = hp_symbol("helper_hlt");
}

/* Are the opcodes of the translator's operations those of core.h? They have names in the library. */
static int hp_opcodes_fit(hp_context *tcg)
{
    static const struct { int number; const char *name; } wanted[] = {
        {OP_SET_LABEL, "set_label"}, {OP_MOVI_I32, "movi_i32"}, {OP_LD_I32, "ld_i32"}, {OP_ST_I32, "st_i32"},
        {OP_SUB_I32, "sub_i32"}, {OP_MOVI_I64, "movi_i64"}, {OP_LD_I64, "ld_i64"}, {OP_ST_I64, "st_i64"}, {OP_ADD_I64, "add_i64"},
        {OP_INSN_START, "insn_start"},
    };
    char *definitions = HP_AT(tcg, TCG_OP_DEFS, char *);
    size_t i;

    for (i = 0; i < sizeof wanted / sizeof *wanted; i++)
        if (!definitions || strcmp(HP_AT(definitions, wanted[i].number * OP_DEF_SIZE, const char *), wanted[i].name))
            return 0;
    return 1;
}

#endif
