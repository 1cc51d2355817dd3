/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What an x87 or MMX instruction looks at before it begins: an error that is still to be told (SDM vol. 1, 8.7), and for
 * FCMOVcc two registers. The core does neither; calls stand before the instruction in translated code.
 */
#ifndef HYPERPORT_FIDELITY_X87_BEGIN_H
#define HYPERPORT_FIDELITY_X87_BEGIN_H

#include "blocks.h"
#include "x87.h"

/* FCMOVcc looks at ST(0) and the register that it names, whatever the condition. */

static void hp_before_move(void *env, int i, uintptr_t caller)
{
    hp_moves_empty = *hp_tag(env, 0) | *hp_tag(env, i);
    if (HP_RARELY(hp_moves_empty)) {
        hp_stack_fault(env, 0, caller);
        hp_load_indefinite(hp_st(env, 0));
        *hp_tag(env, 0) = 0;
    }
}

#define X87_BEFORE_MOVE(i) static void hp_before_move_##i(void *env) { hp_before_move(env, i, HP_CALLER); }
X87_BEFORE_MOVE(0) X87_BEFORE_MOVE(1) X87_BEFORE_MOVE(2) X87_BEFORE_MOVE(3) X87_BEFORE_MOVE(4) X87_BEFORE_MOVE(5)
X87_BEFORE_MOVE(6) X87_BEFORE_MOVE(7)
static void (*const hp_before_moves[])(void *env) = {hp_before_move_0, hp_before_move_1, hp_before_move_2, hp_before_move_3,
                                                     hp_before_move_4, hp_before_move_5, hp_before_move_6, hp_before_move_7};

/* The instruction that has begun is one of x87 or MMX that waits for errors. number: of the register that FCMOVcc names. */
static void (*hp_wait)(void *env);

static void hp_begin_x87(void *tcg, int number)
{
    hp_temp *env = hp_temp_of(tcg, HP_AT(tcg, TCG_CPU_ENV, uintptr_t));

    hp_emit_call(tcg, hp_takes_env, (void *)hp_wait, NULL, 1, &env);
    if (number >= 0)
        hp_emit_call(tcg, hp_takes_env, (void *)hp_before_moves[number], NULL, 1, &env);
}

#endif
