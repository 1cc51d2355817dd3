/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * SSE's exceptions (SDM vol. 1, 11.5; vol. 2, LDMXCSR). The core computes results and leaves MXCSR alone; each helper
 * that can raise an exception is wrapped here: its flags go to MXCSR, and an unmasked one restores the destination and
 * raises #XM, or #UD where CR4.OSXMMEXCPT is clear.
 *
 * The flags of the core's float_status have the places of MXCSR's. Inexact stays set there as long as MXCSR has PE set
 * and masked: the core then uses the host's arithmetic, and nothing can be lost. DE is not the core's: operands are
 * looked at before. An operand that is denormal raises DE unless its element holds a NaN, or is a division by zero or the
 * root of a negative number.
 */
#ifndef HYPERPORT_FIDELITY_SSE_H
#define HYPERPORT_FIDELITY_SSE_H

#include "core.h"

enum {
    MXCSR_IE = 1, MXCSR_DE = 2, MXCSR_ZE = 4, MXCSR_OE = 8, MXCSR_UE = 16, MXCSR_PE = 32,
    MXCSR_FLAGS = 0x3F,
    MXCSR_DAZ = 1 << 6,
    MXCSR_MASKS_SHIFT = 7,
    MXCSR_PM = 1 << 12,
    MXCSR_FTZ = 1 << 15,
    MXCSR_RESERVED = (int)0xFFFF0000,
    FLAG_INEXACT = 32,
    FLAG_OUTPUT_DENORMAL = 128,         /* flushed to zero: UE and PE */
    FLAGS_DIRECT = 0x3D,                /* those with MXCSR's places */
};

enum hp_operands { ONE_SINGLE, FOUR_SINGLES, ONE_DOUBLE, TWO_DOUBLES, TWO_SINGLES, NO_FLOATS };

static inline int hp_denormal32(uint32_t x) { return (x & 0x7FFFFFFF) - 1 < 0x7FFFFF; }
static inline int hp_denormal64(uint64_t x) { return (x & ~(1ull << 63)) - 1 < 0xFFFFFFFFFFFFFull; }
static inline int hp_nan32(uint32_t x) { return (x & 0x7FFFFFFF) > 0x7F800000; }
static inline int hp_nan64(uint64_t x) { return (x & ~(1ull << 63)) > 0x7FFull << 52; }

/* What DAZ and the flags in float_status follow from, after MXCSR was loaded. */
static void hp_mxcsr_loaded(void *env)
{
    uint32_t mxcsr = HP_AT(env, ENV_MXCSR, uint32_t);

    HP_AT(env, ENV_SSE_STATUS + STATUS_FLUSH_TO_ZERO, uint8_t) = (mxcsr & MXCSR_FTZ) != 0;
    HP_AT(env, ENV_FP_STATUS + STATUS_FLUSH_TO_ZERO, uint8_t) = 0;      /* the core sets x87's in place of SSE's */
    HP_AT(env, ENV_SSE_STATUS + STATUS_FLAGS, uint8_t) = mxcsr & MXCSR_PE && mxcsr & MXCSR_PM ? FLAG_INEXACT : 0;
}

static void (*core_ldmxcsr)(void *env, uint32_t value);

static void hp_ldmxcsr(void *env, uint32_t value)
{
    if (value & MXCSR_RESERVED)
        hp_core.raise(env, VECTOR_GP, 0, HP_CALLER);
    core_ldmxcsr(env, value);
    hp_mxcsr_loaded(env);
}

/* Before FXRSTOR: the core checks alignment itself. */
static void hp_check_fxrstor(void *env, uint64_t address)
{
    enum { MXCSR_IN_IMAGE = 24 };

    if (!(address & 15) && HP_AT(env, ENV_CR + 32, uint64_t) & CR4_OSFXSR
        && hp_core.load_long(env, address + MXCSR_IN_IMAGE, hp_mmu(env), HP_CALLER) & MXCSR_RESERVED)
        hp_core.raise(env, VECTOR_GP, 0, HP_CALLER);
}

static inline int hp_maybe_denormal(const hp_xmm *x, enum hp_operands kind)
{
    const uint32_t *single = (const uint32_t *)x;

    switch (kind) {
    case ONE_SINGLE: return hp_denormal32(single[0]);
    case TWO_SINGLES: return hp_denormal32(single[0]) | hp_denormal32(single[1]);
    case FOUR_SINGLES: return hp_denormal32(single[0]) | hp_denormal32(single[1]) | hp_denormal32(single[2])
                              | hp_denormal32(single[3]);
    case ONE_DOUBLE: return hp_denormal64(x->low);
    case TWO_DOUBLES: return hp_denormal64(x->low) | hp_denormal64(x->high);
    default: return 0;
    }
}

enum hp_function { ARITHMETIC, DIVISION, ROOT, CONVERSION };

/* Does one element raise DE? left is 1.0 for operations with one operand. */
static int hp_denormal_operand(uint64_t left, uint64_t right, int wide, enum hp_function function)
{
    uint64_t sign = wide ? 1ull << 63 : 1u << 31;

    if (wide ? hp_nan64(left) || hp_nan64(right) : hp_nan32((uint32_t)left) || hp_nan32((uint32_t)right))
        return 0;
    if (function == DIVISION && !(right & ~sign))
        return 0;
    if (function == ROOT && right & sign)
        return 0;
    return wide ? hp_denormal64(left) || hp_denormal64(right)
                : hp_denormal32((uint32_t)left) || hp_denormal32((uint32_t)right);
}

static __attribute__((noinline)) uint32_t hp_denormals(void *env, const hp_xmm *left, const hp_xmm *right,
                                                       enum hp_operands kind, enum hp_function function)
{
    int count = kind == FOUR_SINGLES ? 4 : kind == TWO_SINGLES || kind == TWO_DOUBLES ? 2 : 1;
    int wide = kind == ONE_DOUBLE || kind == TWO_DOUBLES, i;

    if (HP_AT(env, ENV_MXCSR, uint32_t) & MXCSR_DAZ)
        return 0;
    for (i = 0; i < count; i++) {
        uint64_t r = wide ? ((const uint64_t *)right)[i] : ((const uint32_t *)right)[i];
        uint64_t l = !left ? (wide ? 0x3FFull << 52 : 0x3F800000) : wide ? ((const uint64_t *)left)[i]
                                                                         : ((const uint32_t *)left)[i];
        if (hp_denormal_operand(l, r, wide, function))
            return MXCSR_DE;
    }
    return 0;
}

/* There are flags that MXCSR may not have. The destination is at `to`, its old contents in `old`. */
static __attribute__((noinline)) void hp_sse_flags(void *env, uint32_t denormal, void *to, const void *old, size_t size,
                                                   uint64_t cc_src, uintptr_t caller)
{
    uint8_t *status = &HP_AT(env, ENV_SSE_STATUS + STATUS_FLAGS, uint8_t);
    uint32_t mxcsr = HP_AT(env, ENV_MXCSR, uint32_t);
    uint32_t known = mxcsr & MXCSR_PE && mxcsr & MXCSR_PM ? FLAG_INEXACT : 0;
    uint32_t raised = (*status & ~known & FLAGS_DIRECT) | denormal;

    if (*status & FLAG_OUTPUT_DENORMAL)
        raised |= MXCSR_UE | MXCSR_PE;
    mxcsr |= raised;
    HP_AT(env, ENV_MXCSR, uint32_t) = mxcsr;
    *status = mxcsr & MXCSR_PE && mxcsr & MXCSR_PM ? FLAG_INEXACT : 0;
    if (raised & ~(mxcsr >> MXCSR_MASKS_SHIFT) & MXCSR_FLAGS) {
        if (to)
            memcpy(to, old, size);
        HP_AT(env, ENV_CC_SRC, uint64_t) = cc_src;
        hp_core.raise(env, HP_AT(env, ENV_CR + 32, uint64_t) & CR4_OSXMMEXCPT ? VECTOR_XM : VECTOR_UD, 0, caller);
    }
}

/* Does the core's status hold more than the one bit that may stand for PE? */
static inline int hp_sse_news(void *env)
{
    uint32_t flags = HP_AT(env, ENV_SSE_STATUS + STATUS_FLAGS, uint8_t);

    return flags && (flags != FLAG_INEXACT || (HP_AT(env, ENV_MXCSR, uint32_t) & (MXCSR_PE | MXCSR_PM)) != (MXCSR_PE | MXCSR_PM));
}

#define SSE_TWO(name, kind, function) \
    static void (*core_##name)(void *env, void *to, void *from); \
    static void hp_##name(void *env, void *to, void *from) \
    { \
        hp_xmm old = *(hp_xmm *)to; \
        uint32_t denormal = 0; \
        uint64_t cc_src = HP_AT(env, ENV_CC_SRC, uint64_t); \
        if (HP_RARELY(hp_maybe_denormal(&old, kind) | hp_maybe_denormal(from, kind))) \
            denormal = hp_denormals(env, &old, from, kind, function); \
        core_##name(env, to, from); \
        if (HP_RARELY(denormal || hp_sse_news(env))) \
            hp_sse_flags(env, denormal, to, &old, sizeof old, cc_src, HP_CALLER); \
    }

#define SSE_ONE(name, kind, function, size) \
    static void (*core_##name)(void *env, void *to, void *from); \
    static void hp_##name(void *env, void *to, void *from) \
    { \
        hp_xmm old; \
        uint32_t denormal = 0; \
        memcpy(&old, to, size); \
        if (HP_RARELY(hp_maybe_denormal(from, kind))) \
            denormal = hp_denormals(env, NULL, from, kind, function); \
        core_##name(env, to, from); \
        if (HP_RARELY(denormal || hp_sse_news(env))) \
            hp_sse_flags(env, denormal, to, &old, size, HP_AT(env, ENV_CC_SRC, uint64_t), HP_CALLER); \
    }

#define SSE_FROM_INTEGER(name) \
    static void (*core_##name)(void *env, void *to, uint32_t from); \
    static void hp_##name(void *env, void *to, uint32_t from) \
    { \
        hp_xmm old = *(hp_xmm *)to; \
        core_##name(env, to, from); \
        if (HP_RARELY(hp_sse_news(env))) \
            hp_sse_flags(env, 0, to, &old, sizeof old, HP_AT(env, ENV_CC_SRC, uint64_t), HP_CALLER); \
    }

#define SSE_TO_INTEGER(name) \
    static int32_t (*core_##name)(void *env, void *from); \
    static int32_t hp_##name(void *env, void *from) \
    { \
        int32_t value = core_##name(env, from); \
        if (HP_RARELY(hp_sse_news(env))) \
            hp_sse_flags(env, 0, NULL, NULL, 0, HP_AT(env, ENV_CC_SRC, uint64_t), HP_CALLER); \
        return value; \
    }

/* RCPPS and its like raise nothing; the core divides for them. */
#define SSE_QUIET(name) \
    static void (*core_##name)(void *env, void *to, void *from); \
    static void hp_##name(void *env, void *to, void *from) \
    { \
        uint8_t flags = HP_AT(env, ENV_SSE_STATUS + STATUS_FLAGS, uint8_t); \
        core_##name(env, to, from); \
        HP_AT(env, ENV_SSE_STATUS + STATUS_FLAGS, uint8_t) = flags; \
    }

#define EACH_OF_FOUR(macro, name, function) \
    macro(name##ps, FOUR_SINGLES, function) macro(name##ss, ONE_SINGLE, function) \
    macro(name##pd, TWO_DOUBLES, function) macro(name##sd, ONE_DOUBLE, function)
#define SSE_ROOT(name, kind, function) SSE_ONE(name, kind, function, 16)

#define SSE_ALL(TWO, ONE, FROM_INTEGER, TO_INTEGER, ROOT_OF, QUIET) \
    EACH_OF_FOUR(TWO, add, ARITHMETIC) EACH_OF_FOUR(TWO, sub, ARITHMETIC) EACH_OF_FOUR(TWO, mul, ARITHMETIC) \
    EACH_OF_FOUR(TWO, div, DIVISION) EACH_OF_FOUR(TWO, min, ARITHMETIC) EACH_OF_FOUR(TWO, max, ARITHMETIC) \
    EACH_OF_FOUR(ROOT_OF, sqrt, ROOT) \
    EACH_OF_FOUR(TWO, cmpeq, ARITHMETIC) EACH_OF_FOUR(TWO, cmplt, ARITHMETIC) EACH_OF_FOUR(TWO, cmple, ARITHMETIC) \
    EACH_OF_FOUR(TWO, cmpunord, ARITHMETIC) EACH_OF_FOUR(TWO, cmpneq, ARITHMETIC) EACH_OF_FOUR(TWO, cmpnlt, ARITHMETIC) \
    EACH_OF_FOUR(TWO, cmpnle, ARITHMETIC) EACH_OF_FOUR(TWO, cmpord, ARITHMETIC) \
    TWO(haddps, FOUR_SINGLES, ARITHMETIC) TWO(haddpd, TWO_DOUBLES, ARITHMETIC) \
    TWO(hsubps, FOUR_SINGLES, ARITHMETIC) TWO(hsubpd, TWO_DOUBLES, ARITHMETIC) \
    TWO(addsubps, FOUR_SINGLES, ARITHMETIC) TWO(addsubpd, TWO_DOUBLES, ARITHMETIC) \
    TWO(ucomiss, ONE_SINGLE, ARITHMETIC) TWO(comiss, ONE_SINGLE, ARITHMETIC) \
    TWO(ucomisd, ONE_DOUBLE, ARITHMETIC) TWO(comisd, ONE_DOUBLE, ARITHMETIC) \
    ONE(cvtps2pd, TWO_SINGLES, CONVERSION, 16) ONE(cvtpd2ps, TWO_DOUBLES, CONVERSION, 16) \
    ONE(cvtss2sd, ONE_SINGLE, CONVERSION, 16) ONE(cvtsd2ss, ONE_DOUBLE, CONVERSION, 16) \
    ONE(cvtdq2ps, NO_FLOATS, CONVERSION, 16) ONE(cvtpi2ps, NO_FLOATS, CONVERSION, 16) \
    ONE(cvtps2dq, NO_FLOATS, CONVERSION, 16) ONE(cvtpd2dq, NO_FLOATS, CONVERSION, 16) \
    ONE(cvttps2dq, NO_FLOATS, CONVERSION, 16) ONE(cvttpd2dq, NO_FLOATS, CONVERSION, 16) \
    ONE(cvtps2pi, NO_FLOATS, CONVERSION, 8) ONE(cvtpd2pi, NO_FLOATS, CONVERSION, 8) \
    ONE(cvttps2pi, NO_FLOATS, CONVERSION, 8) ONE(cvttpd2pi, NO_FLOATS, CONVERSION, 8) \
    FROM_INTEGER(cvtsi2ss) \
    TO_INTEGER(cvtss2si) TO_INTEGER(cvtsd2si) TO_INTEGER(cvttss2si) TO_INTEGER(cvttsd2si) \
    QUIET(rcpps) QUIET(rcpss) QUIET(rsqrtps) QUIET(rsqrtss)

SSE_ALL(SSE_TWO, SSE_ONE, SSE_FROM_INTEGER, SSE_TO_INTEGER, SSE_ROOT, SSE_QUIET)

#endif
