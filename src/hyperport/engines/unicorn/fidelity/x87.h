/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * x87's exceptions (SDM vol. 1, 8.5). The core computes results and knows ZE; IE, DE, OE, UE and PE, and the stack fault
 * with SF and C1, are added here, by wrapping the helpers that translated code calls.
 *
 * A register of the stack that is empty, or a push onto one that is not: IE and SF, with C1 for the push. Masked, the
 * indefinite QNaN stands in its place and the instruction goes on. Unmasked, the instruction is left behind without effect
 * and the exception summary is set; the same for an unmasked IE, DE or ZE of an operation. #MF comes with the next WAIT, as
 * the core has it.
 */
#ifndef HYPERPORT_FIDELITY_X87_H
#define HYPERPORT_FIDELITY_X87_H

#include "core.h"
#include "float80.h"
#include "sse.h"
#include "tlb.h"

enum {
    FPUS_IE = 1, FPUS_ZE = 4, FPUS_OE = 8, FPUS_UE = 16, FPUS_PE = 32, FPUS_SF = 1 << 6, FPUS_ES = 1 << 7,
    FPUS_C0 = 1 << 8, FPUS_C1 = 1 << 9, FPUS_C2 = 1 << 10, FPUS_C3 = 1 << 14, FPUS_B = 1 << 15,
    BEFORE_RESULT = FPUS_IE | FPUS_DE | FPUS_ZE,    /* unmasked, these leave the operands as they are */
    EXACT = 0x3F,                                   /* what the core computes with all 80 bits */
    FROM_DOUBLE = FPUS_IE | FPUS_DE | FPUS_PE,        /* and with the host's double: OE and UE would be the double's */
    FLAGS_X87 = 0x3D,                               /* of float_status, with the places of the status word */
};

static const uint64_t MOST_DECIMAL = 999999999999999999;     /* that FBSTP can store */

static __thread int hp_overflowed;      /* a masked overflow of the stack: what is to be loaded is the indefinite */
static __thread int hp_pushed;          /* FLD ST(i) has pushed, its source is to come */
static __thread int hp_moves_empty;     /* FCMOVcc has found an empty register: ST(0) is the indefinite, moved or not */

static inline unsigned *hp_top(void *env) { return &HP_AT(env, ENV_FPSTT, unsigned); }
static inline uint8_t *hp_tag(void *env, int i) { return &HP_AT(env, ENV_FPTAGS + ((*hp_top(env) + i) & 7), uint8_t); }
static inline hp_float80 *hp_st(void *env, int i) { return &HP_AT(env, ENV_FPREGS + 16 * ((*hp_top(env) + i) & 7), hp_float80); }
static inline hp_float80 *hp_ft0(void *env) { return &HP_AT(env, ENV_FT0, hp_float80); }

/* Bytes of the x87 instruction at CS:EIP. */
static unsigned hp_x87_length(void *env)
{
    uint32_t hflags = HP_AT(env, ENV_HFLAGS, uint32_t);
    uint64_t at = HP_SEGMENT(env, CS, SEGMENT_BASE, uint64_t) + HP_AT(env, ENV_EIP, uint64_t);
    int wide = (hflags & HFLAG_CS32) != 0, modrm, mod, rm;
    unsigned length = 0;
    uint32_t byte;

    while (((byte = hp_core.load_byte(env, (uint32_t)(at + length), MMU_KERNEL, 0)) & 0xF8) != 0xD8 && length < 14) {
        wide ^= byte == 0x67;
        length++;
    }
    modrm = (int)hp_core.load_byte(env, (uint32_t)(at + length + 1), MMU_KERNEL, 0);
    mod = modrm >> 6;
    rm = modrm & 7;
    length += 2;
    if (mod == 3)
        return length;
    if (!wide)
        return length + (mod == 0 ? (rm == 6 ? 2 : 0) : (unsigned)mod);
    if (rm == 4) {
        rm = (int)hp_core.load_byte(env, (uint32_t)(at + length), MMU_KERNEL, 0) & 7;
        length++;
    }
    return length + (mod == 0 ? (rm == 5 ? 4 : 0) : mod == 1 ? 1 : 4);
}

/* Leave the x87 instruction behind without what it was still to do. */
static __attribute__((noreturn)) void hp_x87_skip(void *env, uintptr_t caller)
{
    hp_core.restore_state(hp_cpu(env), caller, 1);
    HP_AT(env, ENV_FPCS, uint16_t) = (uint16_t)HP_SEGMENT(env, CS, 0, uint32_t);
    HP_AT(env, ENV_FPIP, uint64_t) = HP_AT(env, ENV_EIP, uint64_t);
    HP_AT(env, ENV_EIP, uint64_t) = (uint32_t)(HP_AT(env, ENV_EIP, uint64_t) + hp_x87_length(env));
    if (HP_AT(env, ENV_EFLAGS, uint64_t) & EFLAGS_TF) {
        HP_AT(env, ENV_DR + 6 * 8, uint64_t) |= 1 << 14;
        hp_core.raise_now(env, VECTOR_DB, 0);
    }
    hp_core.leave_block(hp_cpu(env));
    __builtin_unreachable();
}

static inline uint32_t hp_x87_unmasked(void *env)
{
    return HP_AT(env, ENV_FPUS, uint16_t) & ~HP_AT(env, ENV_FPUC, uint16_t) & 0x3F;
}

static inline void hp_x87_summarize(void *env)
{
    if (hp_x87_unmasked(env))
        HP_AT(env, ENV_FPUS, uint16_t) |= FPUS_ES | FPUS_B;
}

/* A stack fault; returns where it is masked. */
static __attribute__((noinline)) void hp_stack_fault(void *env, int overflow, uintptr_t caller)
{
    uint16_t *status = &HP_AT(env, ENV_FPUS, uint16_t);

    *status = (uint16_t)((*status & ~FPUS_C1) | FPUS_IE | FPUS_SF | (overflow ? FPUS_C1 : 0));
    hp_x87_summarize(env);
    if (~HP_AT(env, ENV_FPUC, uint16_t) & FPUS_IE)
        hp_x87_skip(env, caller);
}

static inline void hp_needs(void *env, int i, uintptr_t caller)
{
    if (HP_RARELY(*hp_tag(env, i))) {
        hp_stack_fault(env, 0, caller);
        hp_load_indefinite(hp_st(env, i));
    }
}

/* The core takes every division by zero for ZE, 0/0 too: its float_status knows better. */
/* And FSQRT, FYL2X and FYL2XP1 set C2, which they have no use for. */
static inline void hp_keep_conditions(void *env, uint16_t before)
{
    uint16_t *now = &HP_AT(env, ENV_FPUS, uint16_t), kept = FPUS_C0 | FPUS_C2 | FPUS_C3;

    *now = (uint16_t)((*now & ~kept) | (before & kept));
}

static inline void hp_keep_summary(void *env, uint16_t before)
{
    uint16_t *now = &HP_AT(env, ENV_FPUS, uint16_t), kept = FPUS_ZE | FPUS_ES | FPUS_B;

    *now = (uint16_t)((*now & ~kept) | (before & kept));
}

/* Flags of an operation. Its destination was ST(i), and held old. */
static inline void hp_x87_flags(void *env, uint32_t denormal, int i, const hp_float80 *old, uintptr_t caller)
{
    uint8_t *flags = &HP_AT(env, ENV_FP_STATUS + STATUS_FLAGS, uint8_t);
    uint32_t raised = (*flags & FLAGS_X87) | denormal;

    if (!raised)
        return;
    *flags = 0;
    HP_AT(env, ENV_FPUS, uint16_t) |= (uint16_t)raised;
    hp_x87_summarize(env);
    if (HP_RARELY(raised & BEFORE_RESULT & ~(uint32_t)HP_AT(env, ENV_FPUC, uint16_t))) {
        if (old)
            *hp_st(env, i) = *old;
        hp_x87_skip(env, caller);
    }
}

/* An operand in memory of 32 or 64 bits: its denormals are ordinary numbers in a register. */
static __thread uint32_t hp_memory_denormal;

static __thread int hp_ft0_empty;       /* the second operand is that of an empty register */

static inline uint32_t hp_denormal_with_ft0(void *env, const hp_float80 *x)
{
    uint32_t in_memory = hp_memory_denormal;

    hp_memory_denormal = 0;
    return hp_is_nan(x) ? 0 : hp_denormal_of(x, hp_ft0(env)) | in_memory;
}

/* Loads that push. */

static inline void hp_before_push(void *env, uintptr_t caller)
{
    hp_overflowed = 0;
    if (HP_RARELY(!*hp_tag(env, -1))) {
        hp_stack_fault(env, 1, caller);
        hp_overflowed = 1;
    }
}

static inline void hp_after_push(void *env)
{
    if (HP_RARELY(hp_overflowed)) {
        hp_overflowed = 0;
        hp_load_indefinite(hp_st(env, 0));
    }
}

static inline void hp_x87_load_flags(void *env, int denormal, uintptr_t caller)
{
    uint8_t *flags = &HP_AT(env, ENV_FP_STATUS + STATUS_FLAGS, uint8_t);
    uint32_t raised = (*flags & FPUS_IE) | (denormal ? FPUS_DE : 0);

    *flags = 0;
    if (HP_RARELY(raised)) {
        HP_AT(env, ENV_FPUS, uint16_t) |= (uint16_t)raised;
        hp_x87_summarize(env);
        if (raised & ~(uint32_t)HP_AT(env, ENV_FPUC, uint16_t)) {
            *hp_tag(env, 0) = 1;
            *hp_top(env) = (*hp_top(env) + 1) & 7;
            hp_x87_skip(env, caller);
        }
    }
}

#define X87_LOAD(name, type, denormal) \
    static void (*core_##name)(void *env, type value); \
    static void hp_##name(void *env, type value) \
    { \
        hp_before_push(env, HP_CALLER); \
        core_##name(env, value); \
        hp_after_push(env); \
        *hp_tag(env, 0) = 0; \
        hp_x87_load_flags(env, denormal, HP_CALLER); \
    }

X87_LOAD(flds_ST0, uint32_t, hp_denormal32(value))
X87_LOAD(fldl_ST0, uint64_t, hp_denormal64(value))
X87_LOAD(fildl_ST0, uint32_t, 0)
X87_LOAD(fildll_ST0, uint64_t, 0)

/* FLD m80 and FBLD: called before and after the core's own. */
static void hp_before_load(void *env, uint64_t address)
{
    (void)address;
    hp_before_push(env, HP_CALLER);
}
static void hp_after_load(void *env) { hp_after_push(env); }

static void hp_fpush(void *env)
{
    hp_before_push(env, HP_CALLER);
    *hp_top(env) = (*hp_top(env) - 1) & 7;
    *hp_tag(env, 0) = 0;
    hp_pushed = 1;
}

static void hp_fmov_ST0_STN(void *env, int i)
{
    int pushed = hp_pushed, overflowed = hp_overflowed;

    hp_pushed = hp_overflowed = 0;
    if (HP_RARELY(hp_moves_empty && !pushed))
        return;
    if (HP_RARELY(*hp_tag(env, i) && !overflowed)) {
        if (pushed && ~HP_AT(env, ENV_FPUC, uint16_t) & FPUS_IE) {
            *hp_tag(env, 0) = 1;
            *hp_top(env) = (*hp_top(env) + 1) & 7;
        }
        hp_stack_fault(env, 0, HP_CALLER);
        overflowed = 1;
    }
    if (HP_RARELY(overflowed))
        hp_load_indefinite(hp_st(env, 0));
    else
        *hp_st(env, 0) = *hp_st(env, i);
    *hp_tag(env, 0) = 0;
}

/* The core has the constant that is nearest; from_nearest: in which direction the true one lies. */
static inline int hp_rounded(void *env, int from_nearest)
{
    unsigned rounding = HP_AT(env, ENV_FPUC, uint16_t) >> 10 & 3;

    if (from_nearest < 0)
        return -(rounding & 1);         /* down, or to zero */
    return from_nearest && rounding == 2;
}

#define X87_CONSTANT(name, from_nearest) \
    static void (*core_##name)(void *env); \
    static void hp_##name(void *env) \
    { \
        hp_pushed = 0; \
        core_##name(env); \
        hp_st(env, 0)->fraction += (uint64_t)(int64_t)hp_rounded(env, from_nearest); \
        hp_after_push(env); \
    }

/* Moves. */

static void hp_fmov_FT0_STN(void *env, int i)
{
    hp_ft0_empty = *hp_tag(env, i);
    hp_needs(env, i, HP_CALLER);
    hp_memory_denormal = 0;
    *hp_ft0(env) = *hp_st(env, i);
}

static void hp_fmov_STN_ST0(void *env, int i)
{
    hp_needs(env, 0, HP_CALLER);
    *hp_st(env, i) = *hp_st(env, 0);
    *hp_tag(env, i) = 0;
}

static void hp_fxchg_ST0_STN(void *env, int i)
{
    hp_float80 old;

    hp_needs(env, 0, HP_CALLER);
    hp_needs(env, i, HP_CALLER);
    old = *hp_st(env, i);
    *hp_st(env, i) = *hp_st(env, 0);
    *hp_st(env, 0) = old;
    *hp_tag(env, 0) = *hp_tag(env, i) = 0;
}

static void (*core_fxam_ST0)(void *env);

static void hp_fxam_ST0(void *env)
{
    core_fxam_ST0(env);
    if (*hp_tag(env, 0))
        HP_AT(env, ENV_FPUS, uint16_t) = (uint16_t)((HP_AT(env, ENV_FPUS, uint16_t) & ~FPUS_C2) | FPUS_C3 | FPUS_C0);
}

/* Operations in ST(0); those that also take ST(1) pop it themselves. */

/* As hp_x87_flags(), for what may have moved the top of the stack. */
static inline void hp_x87_result(void *env, uint32_t possible, uint32_t denormal, unsigned top,
                                 const hp_float80 *old, const hp_float80 *second, uint8_t tag, uintptr_t caller)
{
    uint8_t *flags = &HP_AT(env, ENV_FP_STATUS + STATUS_FLAGS, uint8_t);
    uint16_t *now = &HP_AT(env, ENV_FPUS, uint16_t);
    uint32_t raised = ((*flags & FLAGS_X87) | denormal) & possible;

    *flags = 0;
    *now |= (uint16_t)raised;
    if (!raised)
        return;
    hp_x87_summarize(env);
    if (HP_RARELY(raised & BEFORE_RESULT & ~(uint32_t)HP_AT(env, ENV_FPUC, uint16_t))) {
        if (((*hp_top(env) + 1) & 7) == top)
            *hp_tag(env, 0) = 1;        /* what was pushed is not */
        *hp_top(env) = top;
        *hp_st(env, 0) = *old;
        *hp_st(env, 1) = *second;
        *hp_tag(env, 0) = 0;
        *hp_tag(env, 1) = tag;
        hp_x87_skip(env, caller);
    }
}

/* The core rounds ST(1) to an integer first, and takes that for an inexact result. */
static inline uint32_t hp_scaled(void *env)
{
    return HP_AT(env, ENV_FP_STATUS + STATUS_FLAGS, uint8_t) & (FPUS_OE | FPUS_UE) ? EXACT : EXACT & ~FPUS_PE;
}

/* What an instruction has to do with C0, C2 and C3, or the core does not do. */
enum hp_manner {
    PLAIN,
    TELLS,                      /* FPREM: the condition codes are results */
    ANGLE,                      /* and C2 of these; an infinite angle is invalid, for which the core sets C2 as well */
    LOGARITHM,                  /* the core neither pops nor computes where the argument is not above 0 */
    PARTS,                      /* FXTRACT: an infinity has itself for both parts */
};

/* FYL2X and FYL2XP1, ST(1) times the logarithm of ST(0), where the core has given up. ST(0) is popped. */
static void hp_no_logarithm(void *env, const hp_float80 *x, const hp_float80 *y)
{
    hp_float80 *result;

    *hp_tag(env, 0) = 1;
    *hp_top(env) = (*hp_top(env) + 1) & 7;
    *hp_tag(env, 0) = 0;
    result = hp_st(env, 0);
    if (hp_is_nan(x) || hp_is_nan(y)) {
        hp_load_indefinite(result);             /* a NaN, of which hp_nan_result() says which */
    } else if (hp_is_zero(x) && !hp_is_zero(y)) {
        result->fraction = 1ull << 63;
        result->sign_exponent = 0x7FFF | (~y->sign_exponent & 0x8000);
        if (!hp_is_infinite(y))
            HP_AT(env, ENV_FP_STATUS + STATUS_FLAGS, uint8_t) |= FPUS_ZE;
    } else if (!hp_denormal80(x) || x->sign_exponent & 0x8000) {
        hp_load_indefinite(result);
        HP_AT(env, ENV_FP_STATUS + STATUS_FLAGS, uint8_t) |= FPUS_IE;
    }
}

static void hp_by_manner(void *env, enum hp_manner manner, unsigned top, const hp_float80 *x, const hp_float80 *y)
{
    uint16_t *status = &HP_AT(env, ENV_FPUS, uint16_t);

    if (manner == LOGARITHM && *hp_top(env) == top)
        hp_no_logarithm(env, x, y);
    if (!hp_is_infinite(x))
        return;
    if (manner == ANGLE) {                      /* nothing was pushed either */
        *status &= (uint16_t)~FPUS_C2;
        hp_load_indefinite(hp_st(env, 0));
        HP_AT(env, ENV_FP_STATUS + STATUS_FLAGS, uint8_t) |= FPUS_IE;
    } else if (manner == PARTS) {
        *hp_st(env, 0) = *x;
        *hp_st(env, 1) = *x;
        hp_st(env, 0)->sign_exponent &= 0xFFFF;
        hp_st(env, 1)->sign_exponent &= 0x7FFF;
    }
}

#define X87_IN_PLACE(name, operands, pushes, possible, manner) \
    static void (*core_##name)(void *env); \
    static void hp_##name(void *env) \
    { \
        hp_float80 old, second; \
        unsigned top = *hp_top(env); \
        uint8_t tag, empty = *hp_tag(env, 0); \
        uint16_t status; \
        if (pushes) \
            hp_before_push(env, HP_CALLER); \
        hp_needs(env, 0, HP_CALLER); \
        if (operands == 2) \
            hp_needs(env, 1, HP_CALLER); \
        old = *hp_st(env, 0); \
        second = *hp_st(env, 1); \
        *hp_tag(env, 0) = 0; \
        tag = *hp_tag(env, 1); \
        status = HP_AT(env, ENV_FPUS, uint16_t); \
        core_##name(env); \
        hp_keep_summary(env, status); \
        if (manner != TELLS && manner != ANGLE) \
            hp_keep_conditions(env, status); \
        hp_by_manner(env, manner, top, &old, &second); \
        if (manner == ANGLE && pushes && hp_is_infinite(&old)) { \
            *hp_top(env) = (top - 1) & 7; \
            *hp_tag(env, 0) = 0; \
            *hp_st(env, 0) = *hp_st(env, 1); \
        } \
        if (pushes) \
            hp_after_push(env); \
        if (empty) \
            hp_load_indefinite(hp_st(env, 0)); \
        if (empty && pushes) \
            hp_load_indefinite(hp_st(env, 1)); \
        else if (pushes && hp_is_nan(&old) && !hp_is_indefinite(hp_st(env, 0))) \
            hp_quiet(hp_st(env, 0), &old); \
        if (pushes && !empty && hp_is_nan(&old)) \
            hp_quiet(hp_st(env, 1), &old); \
        if (!empty && !pushes && possible) \
            hp_nan_result(hp_st(env, 0), &old, operands == 2 ? &second : NULL); \
        hp_x87_result(env, possible, operands == 2 ? hp_denormal_of(&old, &second) : hp_denormal80(&old), top, &old, &second, tag, HP_CALLER); \
    }

#define X87_WITH_FT0(name) \
    static void (*core_##name)(void *env); \
    static void hp_##name(void *env) \
    { \
        hp_float80 old; \
        uint16_t status; \
        int empty = *hp_tag(env, 0) | hp_ft0_empty; \
        hp_needs(env, 0, HP_CALLER); \
        status = HP_AT(env, ENV_FPUS, uint16_t); \
        old = *hp_st(env, 0); \
        core_##name(env); \
        hp_keep_summary(env, status); \
        if (HP_RARELY(empty)) \
            hp_load_indefinite(hp_st(env, 0)); \
        *hp_tag(env, 0) = 0; \
        hp_x87_flags(env, hp_denormal_with_ft0(env, &old), 0, &old, HP_CALLER); \
    }

#define X87_LOAD_FT0(name, type, denormal) \
    static void (*core_##name)(void *env, type value); \
    static void hp_##name(void *env, type value) \
    { \
        hp_memory_denormal = (denormal) ? FPUS_DE : 0; \
        hp_ft0_empty = 0; \
        core_##name(env, value); \
    }

X87_LOAD_FT0(flds_FT0, uint32_t, hp_denormal32(value))
X87_LOAD_FT0(fldl_FT0, uint64_t, hp_denormal64(value))
X87_LOAD_FT0(fildl_FT0, int32_t, 0)

#define X87_COMPARE(name) \
    static void (*core_##name)(void *env); \
    static void hp_##name(void *env) \
    { \
        hp_needs(env, 0, HP_CALLER); \
        core_##name(env); \
        hp_x87_flags(env, hp_denormal_with_ft0(env, hp_st(env, 0)), 0, NULL, HP_CALLER); \
    }

#define X87_INTO_STN(name) \
    static void (*core_##name)(void *env, int i); \
    static void hp_##name(void *env, int i) \
    { \
        hp_float80 old; \
        uint32_t denormal; \
        uint16_t status; \
        int empty = *hp_tag(env, 0) | *hp_tag(env, i); \
        hp_needs(env, 0, HP_CALLER); \
        hp_needs(env, i, HP_CALLER); \
        status = HP_AT(env, ENV_FPUS, uint16_t); \
        old = *hp_st(env, i); \
        denormal = hp_denormal_of(&old, hp_st(env, 0)); \
        core_##name(env, i); \
        hp_keep_summary(env, status); \
        if (HP_RARELY(empty)) \
            hp_load_indefinite(hp_st(env, i)); \
        *hp_tag(env, i) = 0; \
        hp_x87_flags(env, denormal, i, &old, HP_CALLER); \
    }

/* Stores of ST(0): what it returns goes to memory, and then the stack may be popped. mend: a statement, of value. */
#define X87_STORE_MENDED(name, type, mend) \
    static type (*core_##name)(void *env); \
    static type hp_##name(void *env) \
    { \
        type value; \
        hp_needs(env, 0, HP_CALLER); \
        value = core_##name(env); \
        mend; \
        hp_x87_flags(env, 0, 0, NULL, HP_CALLER); \
        return value; \
    }

#define X87_STORE(name, type) X87_STORE_MENDED(name, type, (void)0)

/* FIST m32 and m64: what does not fit is stored as the least integer, whatever its sign. */
#define X87_STORE_INTEGER(name, type, least) \
    X87_STORE_MENDED(name, type, if (HP_AT(env, ENV_FP_STATUS + STATUS_FLAGS, uint8_t) & FPUS_IE) value = least)

/* ST(0) is -32768 or rounds to it. */
static inline int hp_is_least_short(void *env)
{
    const hp_float80 *x = hp_st(env, 0);

    return HP_AT(x, 8, uint16_t) == (0x8000 | (16383 + 15)) && x->fraction < (1ull << 63) + (1ull << 47);
}

/* FIST m16: the core's conversion is one to 32 bits, and does not raise IE for what 16 cannot hold. */
#define X87_STORE_SHORT(name) \
    static int32_t (*core_##name)(void *env); \
    static int32_t hp_##name(void *env) \
    { \
        uint16_t exponent = HP_AT(hp_st(env, 0), 8, uint16_t) & 0x7FFF; \
        int32_t value; \
        hp_needs(env, 0, HP_CALLER); \
        value = core_##name(env); \
        if (value == -32768 && exponent >= 16383 + 15 && !hp_is_least_short(env)) \
            HP_AT(env, ENV_FP_STATUS + STATUS_FLAGS, uint8_t) = FPUS_IE; \
        hp_x87_flags(env, 0, 0, NULL, HP_CALLER); \
        return value; \
    }

/* FSTP m80: called before the core's own. */
static void hp_before_store(void *env, uint64_t address)
{
    (void)address;
    hp_needs(env, 0, HP_CALLER);
}

#define X87_ALL(LOAD, CONSTANT, IN_PLACE, WITH_FT0, COMPARE, INTO_STN, STORE, INTEGER, STORE_SHORT) \
    CONSTANT(fld1_ST0, 0) CONSTANT(fldl2t_ST0, 1) CONSTANT(fldl2e_ST0, -1) CONSTANT(fldpi_ST0, -1) CONSTANT(fldlg2_ST0, -1) \
    CONSTANT(fldln2_ST0, -1) CONSTANT(fldz_ST0, 0) \
    IN_PLACE(fchs_ST0, 1, 0, 0, PLAIN) IN_PLACE(fabs_ST0, 1, 0, 0, PLAIN) IN_PLACE(f2xm1, 1, 0, FROM_DOUBLE, PLAIN) IN_PLACE(fsqrt, 1, 0, EXACT, PLAIN) \
    IN_PLACE(frndint, 1, 0, EXACT, PLAIN) IN_PLACE(fsin, 1, 0, FROM_DOUBLE, ANGLE) IN_PLACE(fcos, 1, 0, FROM_DOUBLE, ANGLE) IN_PLACE(fxtract, 1, 1, FPUS_IE | FPUS_DE | FPUS_ZE, PARTS) IN_PLACE(fptan, 1, 1, FROM_DOUBLE, ANGLE) \
    IN_PLACE(fsincos, 1, 1, FROM_DOUBLE, ANGLE) IN_PLACE(fyl2x, 2, 0, FROM_DOUBLE | FPUS_ZE, LOGARITHM) IN_PLACE(fyl2xp1, 2, 0, FROM_DOUBLE, LOGARITHM) IN_PLACE(fpatan, 2, 0, FROM_DOUBLE, PLAIN) IN_PLACE(fprem, 2, 0, FPUS_IE | FPUS_DE, TELLS) \
    IN_PLACE(fprem1, 2, 0, FPUS_IE | FPUS_DE, TELLS) IN_PLACE(fscale, 2, 0, hp_scaled(env), PLAIN) \
    WITH_FT0(fadd_ST0_FT0) WITH_FT0(fmul_ST0_FT0) WITH_FT0(fsub_ST0_FT0) WITH_FT0(fsubr_ST0_FT0) WITH_FT0(fdiv_ST0_FT0) \
    WITH_FT0(fdivr_ST0_FT0) \
    COMPARE(fcom_ST0_FT0) COMPARE(fucom_ST0_FT0) COMPARE(fcomi_ST0_FT0) COMPARE(fucomi_ST0_FT0) \
    INTO_STN(fadd_STN_ST0) INTO_STN(fmul_STN_ST0) INTO_STN(fsub_STN_ST0) INTO_STN(fsubr_STN_ST0) INTO_STN(fdiv_STN_ST0) \
    INTO_STN(fdivr_STN_ST0) \
    STORE(fsts_ST0, uint32_t) STORE(fstl_ST0, uint64_t) INTEGER(fistl_ST0, int32_t, INT32_MIN) \
    INTEGER(fistll_ST0, int64_t, INT64_MIN) INTEGER(fisttl_ST0, int32_t, INT32_MIN) INTEGER(fisttll_ST0, int64_t, INT64_MIN) STORE_SHORT(fist_ST0) STORE_SHORT(fistt_ST0)

X87_ALL(X87_LOAD, X87_CONSTANT, X87_IN_PLACE, X87_WITH_FT0, X87_COMPARE, X87_INTO_STN, X87_STORE, X87_STORE_INTEGER, X87_STORE_SHORT)

/* FBSTP: 18 decimal digits and a sign. The core stores something for what does not fit, and does not tell what was rounded. */
static void hp_fbst_ST0(void *env, uint64_t address)
{
    uint64_t digits = 0, rest;
    int64_t value;
    int i;

    hp_probe_store(env, address, 10, HP_CALLER);
    hp_needs(env, 0, HP_CALLER);
    value = core_fistll_ST0(env);
    rest = value < 0 ? -(uint64_t)value : (uint64_t)value;
    if (rest > MOST_DECIMAL)
        HP_AT(env, ENV_FP_STATUS + STATUS_FLAGS, uint8_t) = FPUS_IE;
    hp_x87_flags(env, 0, 0, NULL, HP_CALLER);
    if (rest > MOST_DECIMAL) {
        hp_stq_mmu(env, address, 0xC000000000000000, hp_mmu(env), HP_CALLER);
        hp_stw_mmu(env, address + 8, 0xFFFF, hp_mmu(env), HP_CALLER);
        return;
    }
    for (i = 0; i < 16; i++, rest /= 10)
        digits |= rest % 10 << 4 * i;
    hp_stq_mmu(env, address, digits, hp_mmu(env), HP_CALLER);
    hp_stw_mmu(env, address + 8, (uint32_t)(rest / 10 << 4 | rest % 10 | (uint64_t)(HP_AT(hp_st(env, 0), 8, uint16_t) & 0x8000)),
               hp_mmu(env), HP_CALLER);
}

#endif
