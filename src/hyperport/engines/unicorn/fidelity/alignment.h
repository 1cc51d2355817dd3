/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Operands that must be aligned. Those of 16 bytes that SSE wants at a multiple of 16 are #GP(0) else (SDM vol. 2, MOVAPS).
 * With CR0.AM and EFLAGS.AC all accesses of CPL 3 are checked, #AC(0) (SDM vol. 3, table 6-7): both flags are part of what
 * the core finds a block by, and where they are set, loads and stores ask the TLB, which has the check for nothing.
 */
#ifndef HYPERPORT_FIDELITY_ALIGNMENT_H
#define HYPERPORT_FIDELITY_ALIGNMENT_H

#include "core.h"

/* Does CR0.AM change what is translated from now on? */
static inline void hp_note_alignment(void *env)
{
    uint32_t *hflags = &HP_AT(env, ENV_HFLAGS, uint32_t);

    *hflags = (*hflags & ~(uint32_t)HFLAG_ALIGN) | (HP_AT(env, ENV_CR, uint64_t) & CR0_AM ? (uint32_t)HFLAG_ALIGN : 0);
}

static inline int hp_checks_alignment(void *env)
{
    uint32_t hflags = HP_AT(env, ENV_HFLAGS, uint32_t);

    return (hflags & HFLAG_CPL) == 3 && hflags & (uint32_t)HFLAG_ALIGN && HP_AT(env, ENV_EFLAGS, uint64_t) & EFLAGS_AC;
}

/* The TLB was asked for an aligned operand, and this one is not. Where #AC is looked for, it never is one of 16 bytes. */
static void hp_unaligned(void *cpu, uint64_t address, int kind, int mmu, uintptr_t caller)
{
    void *env = (char *)cpu + X86CPU_ENV;

    (void)address, (void)kind, (void)mmu;
    hp_core.raise(env, hp_checks_alignment(env) ? VECTOR_AC : VECTOR_GP, 0, caller);
}

#define ALIGNMENT_CHECK(size, vector) \
    static void hp_check_alignment_##size(void *env, uint64_t linear) \
    { \
        if (HP_RARELY(linear & (size - 1))) \
            hp_core.raise(env, vector, 0, HP_CALLER); \
    }

ALIGNMENT_CHECK(2, VECTOR_AC)
ALIGNMENT_CHECK(4, VECTOR_AC)
ALIGNMENT_CHECK(8, VECTOR_AC)
ALIGNMENT_CHECK(16, VECTOR_GP)          /* of SSE; so is that of FXSAVE, which the core has */

/* For an operand of a helper, by its size: of the largest thing in it. */
static void *hp_alignment_check(uint32_t size)
{
    switch (size) {
    case 4: case 14: case 94: return (void *)hp_check_alignment_2;     /* two bounds; the 16-bit environment and state of the x87 */
    case 28: case 108: return (void *)hp_check_alignment_4;
    case 8: case 10: return (void *)hp_check_alignment_8;
    case 16: return (void *)hp_check_alignment_16;
    default: return NULL;
    }
}

#endif
