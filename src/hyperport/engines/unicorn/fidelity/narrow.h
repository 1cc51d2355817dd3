/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Operations on 32 bits are done on 32 bits.
 *
 * The core is built for guests of 64 bits too, and so translates for registers of 64: an address is added up and then cut to
 * 32 bits by an operation of its own, and so are each result, and each operand of a shift or a comparison. Its optimizer
 * does not know where there is nothing to cut. In the code of our guests that is nearly everywhere, as
 *
 *     all that is written to a register of the guest is zero above bit 31.
 *
 * Translated code is held to that here; helpers and the VMM keep to it by themselves (tests/engines/fidelity/test_narrow.py).
 *
 * Before the optimizer.  Where a value is known to be zero above bit 31, its cut becomes a move, which the optimizer puts out
 *     of the way. Where a sum is cut into another place, it is made there and copied back: then one can stand for both.
 * Behind it.  A sum that is cut at once, where it stands, becomes a sum of 32 bits: the host clears what is above. Not
 *     before, since of two constants the optimizer would make one with a sign.
 */
#ifndef HYPERPORT_FIDELITY_NARROW_H
#define HYPERPORT_FIDELITY_NARROW_H

#include "blocks.h"
#include "core.h"
#include "jumps.h"

/* When the first output of an operation is zero above bit 31. */
enum {
    NEVER, ALWAYS,
    AS_FIRST,                   /* where the first input is */
    WHERE_BOTH, WHERE_EITHER,   /* of two inputs */
    AS_CHOICES,                 /* movcond: where both values are, of which it takes one */
    CONSTANT,                   /* where the constant is */
    GUEST_LOAD,                 /* a load of up to 32 bits, without sign */
    DEPOSITED,                  /* where the first input is, and the second is put below bit 32 */
    EXTRACTED,                  /* up to 32 bits */
};

enum { ALL_OPCODES = 256, GUEST_REGISTERS = 8 };

typedef struct {
    uint8_t rule, outputs;
    uint8_t ends;               /* a basic block may end here: what is known of temporaries is not known any more */
    uint8_t narrow;             /* the operation that does the same with 32 bits, where somebody may want it; 0: nobody does */
} hp_kind;

static hp_kind hp_kinds[ALL_OPCODES];
static int hp_op_cut, hp_op_move, hp_op_constant, hp_op_call, hp_op_shift;
static size_t hp_first_register;    /* from the context to the temporary of EAX; the other seven follow. 0: not looked for yet */

/* What is known of a temporary was found out in this stretch of operations, or nothing is. The core's own passes write to the
   same field, numbers below 4. */
static __thread uint64_t hp_stretch_of_ops = 4;

static void (*plain_optimize)(hp_context *tcg);
static char *(*hp_op_after)(hp_context *tcg, char *op, int opcode);
static void (*hp_remove_op)(hp_context *tcg, char *op);

static inline int hp_opcode(const char *op) { return HP_AT(op, 0, uint32_t) & OPCODE; }
static inline uint64_t *hp_args(char *op) { return &HP_AT(op, OP_ARGS, uint64_t); }
static inline char *hp_next_op(char *op) { return HP_AT(op, OP_LINK, char *); }

static inline void hp_set_opcode(char *op, int opcode)
{
    HP_AT(op, 0, uint32_t) = (HP_AT(op, 0, uint32_t) & ~(uint32_t)OPCODE) | (uint32_t)opcode;
}

static inline int hp_is_register(hp_context *tcg, uint64_t temp)
{
    return temp - ((uint64_t)tcg + hp_first_register) < GUEST_REGISTERS * TCG_TEMP_SIZE;
}

static inline int hp_is_narrow(hp_context *tcg, uint64_t temp)
{
    return HP_AT(temp, TEMP_STATE, uint64_t) == hp_stretch_of_ops || hp_is_register(tcg, temp);
}

static inline void hp_set_narrow(uint64_t temp, int narrow)
{
    HP_AT(temp, TEMP_STATE, uint64_t) = narrow ? hp_stretch_of_ops : 0;
}

static int hp_result_is_narrow(hp_context *tcg, int rule, const uint64_t *args)
{
    switch (rule) {
    case ALWAYS: return 1;
    case AS_FIRST: return hp_is_narrow(tcg, args[1]);
    case WHERE_BOTH: return hp_is_narrow(tcg, args[1]) && hp_is_narrow(tcg, args[2]);
    case WHERE_EITHER: return hp_is_narrow(tcg, args[1]) || hp_is_narrow(tcg, args[2]);
    case AS_CHOICES: return hp_is_narrow(tcg, args[3]) && hp_is_narrow(tcg, args[4]);
    case CONSTANT: return args[1] >> 32 == 0;
    case GUEST_LOAD: return (args[2] >> MEMOP_SHIFT & (MEMOP_SIGN | MEMOP_SIZE)) <= MEMOP_32;
    case DEPOSITED: return args[3] + args[4] <= 32 && hp_is_narrow(tcg, args[1]);
    case EXTRACTED: return args[3] <= 32;
    default: return 0;
    }
}

static char *hp_add_op2(hp_context *tcg, char *behind, int opcode, uint64_t to, uint64_t from)
{
    char *op = hp_op_after(tcg, behind, opcode);

    hp_args(op)[0] = to;
    hp_args(op)[1] = from;
    return op;
}

/* These are not known to be zero above bit 31. A register is made so, though no instruction of 32-bit code is known that would
   need it. Returns the last operation. */
static char *hp_note_wide(hp_context *tcg, char *op, const uint64_t *outputs, int count)
{
    char *last = op;
    int i;

    for (i = 0; i < count; i++) {
        if (hp_is_register(tcg, outputs[i]))
            last = hp_add_op2(tcg, last, hp_op_cut, outputs[i], outputs[i]);
        else
            hp_set_narrow(outputs[i], 0);
    }
    return last;
}

/* A cut, behind `before`. Returns the last operation. */
static char *hp_see_cut(hp_context *tcg, char *before, char *op)
{
    uint64_t to = hp_args(op)[0], from = hp_args(op)[1];

    if (hp_is_narrow(tcg, from)) {
        hp_set_opcode(op, hp_op_move);
    } else if (to != from && before && hp_kinds[hp_opcode(before)].narrow && hp_args(before)[0] == from) {
        hp_args(before)[0] = hp_args(op)[1] = to;
        op = hp_add_op2(tcg, op, hp_op_move, from, to);
        hp_set_narrow(from, 1);
    }
    hp_set_narrow(to, 1);
    return op;
}

static void hp_find_narrow(hp_context *tcg)
{
    char *op, *last, *before = NULL;

    hp_stretch_of_ops++;
    for (op = HP_AT(tcg, TCG_OPS, char *); op; before = last, op = hp_next_op(last)) {
        const hp_kind *kind = &hp_kinds[hp_opcode(op)];

        last = op;
        if (hp_opcode(op) == hp_op_cut)
            last = hp_see_cut(tcg, before, op);
        else if (kind->outputs && hp_result_is_narrow(tcg, kind->rule, hp_args(op)))
            hp_set_narrow(hp_args(op)[0], 1);
        else if (kind->outputs)
            last = hp_note_wide(tcg, op, hp_args(op), kind->outputs);
        if (kind->ends || hp_opcode(op) == hp_op_call)
            hp_stretch_of_ops++;
        if (hp_opcode(op) == hp_op_call)
            last = hp_note_wide(tcg, op, hp_args(op), HP_AT(op, 0, uint32_t) >> CALL_OUTPUTS & 15);
    }
}

/* A shift by another operand may be one by more than 31. */
static inline int hp_may_narrow(char *sum, const char *before)
{
    return hp_opcode(sum) != hp_op_shift
           || (before && hp_opcode(before) == hp_op_constant && HP_AT(before, OP_ARGS, uint64_t) == hp_args(sum)[2]
               && HP_AT(before, OP_ARGS + 8, uint64_t) < 32);
}

static void hp_make_narrow(hp_context *tcg)
{
    char *op, *next, *before = NULL, *before_that = NULL;

    for (op = HP_AT(tcg, TCG_OPS, char *); op; op = next) {
        next = hp_next_op(op);
        if (hp_opcode(op) == hp_op_cut && before && hp_kinds[hp_opcode(before)].narrow && hp_args(op)[0] == hp_args(op)[1]
            && hp_args(before)[0] == hp_args(op)[0] && hp_may_narrow(before, before_that)) {
            hp_set_opcode(before, hp_kinds[hp_opcode(before)].narrow);
            hp_remove_op(tcg, op);
            continue;
        }
        before_that = before;
        before = op;
    }
}

/* In place of tcg_optimize(). */
static void hp_optimize(hp_context *tcg)
{
    int narrow = hp_jumps != NULL && hp_first_register;

    if (narrow)
        hp_find_narrow(tcg);
    plain_optimize(tcg);
    if (narrow)
        hp_make_narrow(tcg);
}

static int hp_opcode_named(hp_context *tcg, const char *name, const char *suffix)
{
    char *definitions = HP_AT(tcg, TCG_OP_DEFS, char *), wanted[32];
    int opcode;

    strcat(strcpy(wanted, name), suffix);
    for (opcode = 0; opcode < ALL_OPCODES; opcode++) {
        const char *found = HP_AT(definitions, opcode * OP_DEF_SIZE, const char *);

        if (!strcmp(found, wanted))
            return opcode;
        if (!strcmp(found, "last_generic"))
            break;
    }
    return 0;
}

/* Learn the core's operations by their names. Returns 0 where one is not there. */
static int hp_learn_opcodes(hp_context *tcg)
{
    static const struct { const char *name; int rule, narrows; } known[] = {
        {"mov", AS_FIRST, 0}, {"movi", CONSTANT, 0}, {"setcond", ALWAYS, 0}, {"movcond", AS_CHOICES, 0},
        {"ld8u", ALWAYS, 0}, {"ld16u", ALWAYS, 0}, {"ld32u", ALWAYS, 0}, {"qemu_ld", GUEST_LOAD, 0},
        {"ext8u", ALWAYS, 0}, {"ext16u", ALWAYS, 0}, {"ext32u", ALWAYS, 0}, {"extu_i32", ALWAYS, 0},
        {"deposit", DEPOSITED, 0}, {"extract", EXTRACTED, 0},
        {"add", NEVER, 1}, {"sub", NEVER, 1}, {"mul", NEVER, 1}, {"neg", NEVER, 1}, {"not", NEVER, 1}, {"shl", NEVER, 1},
        {"and", WHERE_EITHER, 1}, {"or", WHERE_BOTH, 1}, {"xor", WHERE_BOTH, 1}, {"shr", AS_FIRST, 0},
    };
    char *definitions = HP_AT(tcg, TCG_OP_DEFS, char *), *ecx = hp_register_temp(tcg, ENV_REGS + 8);
    int opcode, i;

    if (hp_first_register)
        return 1;
    for (i = 0; i < (int)(sizeof known / sizeof *known); i++) {
        hp_kind *kind;

        if (!(opcode = hp_opcode_named(tcg, known[i].name, "_i64")))
            return 0;
        kind = &hp_kinds[opcode];
        kind->rule = (uint8_t)known[i].rule;
        if (known[i].narrows && !(kind->narrow = (uint8_t)hp_opcode_named(tcg, known[i].name, "_i32")))
            return 0;
    }
    for (opcode = 0; opcode < ALL_OPCODES; opcode++) {
        const char *definition = definitions + opcode * OP_DEF_SIZE;

        hp_kinds[opcode].outputs = HP_AT(definition, OP_DEF_OUTPUTS, uint8_t);
        hp_kinds[opcode].ends = (HP_AT(definition, OP_DEF_FLAGS, uint8_t) & OP_ENDS) != 0;
        if (!strcmp(HP_AT(definition, 0, const char *), "last_generic"))
            break;
    }
    hp_op_cut = hp_opcode_named(tcg, "ext32u", "_i64");
    hp_op_move = hp_opcode_named(tcg, "mov", "_i64");
    hp_op_constant = hp_opcode_named(tcg, "movi", "_i64");
    hp_op_shift = hp_opcode_named(tcg, "shl", "_i64");
    hp_op_call = hp_opcode_named(tcg, "call", "");
    for (i = 1; i < GUEST_REGISTERS; i++)
        if (!ecx || HP_AT(ecx + (i - 1) * TCG_TEMP_SIZE, TEMP_AT, uint64_t) != ENV_REGS + 8u * (unsigned)i)
            return 0;
    if (HP_AT(ecx - TCG_TEMP_SIZE, TEMP_AT, uint64_t) != ENV_REGS)
        return 0;
    hp_first_register = (size_t)(ecx - TCG_TEMP_SIZE - (char *)tcg);
    return 1;
}

static void hp_find_optimizer(void)
{
    *(void **)&hp_op_after = hp_symbol("tcg_op_insert_after");
    *(void **)&hp_remove_op = hp_symbol("tcg_op_remove");
}

#endif
