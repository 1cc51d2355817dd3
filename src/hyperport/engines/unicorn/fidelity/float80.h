/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Numbers of the x87 in 80 bits: what is none, and which NaN an operation gives (SDM vol. 1, 4.8.3 and table 4-7). */
#ifndef HYPERPORT_FIDELITY_FLOAT80_H
#define HYPERPORT_FIDELITY_FLOAT80_H

#include <stdint.h>

enum { FPUS_DE = 2 };

/* 10 of its 16 bytes. The core has it, and we look at parts of it, by other types. */
typedef struct { uint64_t fraction, sign_exponent; } __attribute__((may_alias)) hp_float80;
static const hp_float80 HP_INDEFINITE = {0xC000000000000000, 0xFFFF};

static inline void hp_load_indefinite(hp_float80 *to)
{
    *to = HP_INDEFINITE;
}

static inline int hp_is_infinite(const hp_float80 *x) { return (x->sign_exponent & 0x7FFF) == 0x7FFF && !(x->fraction << 1); }
static inline int hp_is_zero(const hp_float80 *x) { return !(x->sign_exponent & 0x7FFF) && !x->fraction; }

static inline uint32_t hp_denormal80(const hp_float80 *x)
{
    return !(x->sign_exponent & 0x7FFF) && x->fraction ? FPUS_DE : 0;
}

static inline int hp_is_nan(const hp_float80 *x) { return (x->sign_exponent & 0x7FFF) == 0x7FFF && x->fraction << 1; }

/* DE of two operands: a NaN, which an empty register has become, comes first. */
static inline uint32_t hp_denormal_of(const hp_float80 *x, const hp_float80 *y)
{
    return hp_is_nan(x) || hp_is_nan(y) ? 0 : hp_denormal80(x) | hp_denormal80(y);
}

static inline int hp_is_indefinite(const hp_float80 *x)
{
    return (x->sign_exponent & 0xFFFF) == 0xFFFF && x->fraction == HP_INDEFINITE.fraction;
}

static inline void hp_quiet(hp_float80 *to, const hp_float80 *nan)
{
    *to = *nan;
    to->fraction |= 1ull << 62;
}

/* What an operation without a number for its result gives (SDM vol. 1, table 4-7): one of the NaNs that went in, or the indefinite. */
static void hp_nan_result(hp_float80 *result, const hp_float80 *x, const hp_float80 *y)
{
    int x_is = hp_is_nan(x), y_is = y && hp_is_nan(y);

    if (!hp_is_nan(result))
        return;
    if (!x_is && !y_is)
        hp_load_indefinite(result);
    else if (!y_is || (x_is && (x->fraction << 1 > y->fraction << 1 || (x->fraction == y->fraction && !(x->sign_exponent & 0x8000)))))
        hp_quiet(result, x);
    else
        hp_quiet(result, y);
}

#endif
