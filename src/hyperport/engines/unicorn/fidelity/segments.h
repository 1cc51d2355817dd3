/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Segment protection (SDM vol. 3, 5.3 to 5.5), which the core has only while a segment register is loaded.
 *
 * Guests with flat segments pay nothing. While CS, SS, DS or ES is anything else than present, writable, from 0 to 4 GiB
 * in length, HFLAG_SEGMENTS is set in the core's hidden flags. These are part of what a block of translated code is found
 * by, so such guests run blocks of their own, in which a check stands before each load and store: hp_check_*() below, put
 * there by translate.h. FS and GS have flags of their own, since systems leave them null for long. So has a CS that ends
 * before 4 GiB: boot loaders change between that and a flat one at each call of the BIOS.
 */
#ifndef HYPERPORT_FIDELITY_SEGMENTS_H
#define HYPERPORT_FIDELITY_SEGMENTS_H

#include <stdlib.h>

#include "core.h"
#include "segment_rule.h"

enum {
    SEGMENT_KIND = SEGMENT_PRESENT | SEGMENT_NOT_SYSTEM | SEGMENT_CODE | SEGMENT_DOWN | SEGMENT_WRITABLE,
    FLAT_KIND = SEGMENT_PRESENT | SEGMENT_NOT_SYSTEM | SEGMENT_WRITABLE,
};

/*
 * Under which limit blocks with HFLAG_CODE were made. The core finds a block by CPL and by the base of CS, but not by its
 * limit: so all are dropped when a base comes with another limit than before. Bases that are not in the table have had
 * none but that of real mode. DOS extenders jump between dozens of code segments, each with a limit of its own.
 */
enum { CODE_LIMITS = 256, CODE_LIMITS_MOST = 192, REAL_MODE_LIMIT = 0xFFFF };
typedef struct {
    uint32_t used;
    struct { uint32_t base, level, limit; } rows[CODE_LIMITS];      /* level: CPL + 1; 0 in a free row */
} hp_code_limits;

static __thread hp_code_limits *hp_limits;      /* the CPU's */

static inline uint32_t hp_code_limit_row(const hp_code_limits *table, uint32_t base, uint32_t level)
{
    uint32_t i = (base * 0x9E3779B1u >> 24) + level;

    while (table->rows[i %= CODE_LIMITS].level && (table->rows[i].base != base || table->rows[i].level != level))
        i++;
    return i;
}

/* Note that CS has this limit now. Must all blocks go? */
static int hp_code_limit_changed(hp_code_limits *table, uint32_t base, uint32_t level, uint32_t limit)
{
    uint32_t i;

    if (!table->used && limit == REAL_MODE_LIMIT)
        return 0;
    i = hp_code_limit_row(table, base, level);
    if (table->rows[i].level ? table->rows[i].limit == limit : limit == REAL_MODE_LIMIT)
        return 0;
    if (!table->rows[i].level && table->used == CODE_LIMITS_MOST) {
        memset(table, 0, sizeof *table);        /* with the blocks */
        i = hp_code_limit_row(table, base, level);
    }
    table->used += !table->rows[i].level;
    table->rows[i].base = base;
    table->rows[i].level = level;
    table->rows[i].limit = limit;
    return 1;
}

static hp_code_limits *hp_new_code_limits(void) { return calloc(1, sizeof(hp_code_limits)); }
static void hp_free_code_limits(hp_code_limits *table) { free(table); }

static inline int hp_flat(void *env, int n)
{
    const uint64_t mask = (uint64_t)SEGMENT_KIND << 32 | 0xFFFFFFFF, flat = (uint64_t)FLAT_KIND << 32 | 0xFFFFFFFF;

    return (HP_SEGMENT(env, n, SEGMENT_LIMIT, uint64_t) & mask) == flat;        /* the flags lie behind the limit */
}

/* A segment register was loaded, or the mode changed: make hflags fit. */
static void hp_segments_changed(void *env)
{
    uint32_t *hflags = &HP_AT(env, ENV_HFLAGS, uint32_t);
    uint32_t old = *hflags, new, limit = HP_SEGMENT(env, CS, SEGMENT_LIMIT, uint32_t);

    if (!(old & (HFLAG_SEGMENTS | HFLAG_FS | HFLAG_GS)) && limit == 0xFFFFFFFF && hp_flat(env, SS) && hp_flat(env, DS)
        && hp_flat(env, ES) && hp_flat(env, FS) && ((old & HFLAG_CPL) != 3 || hp_flat(env, GS)))
        return;
    new = old & ~(uint32_t)(HFLAG_SEGMENTS | HFLAG_FS | HFLAG_GS | HFLAG_CODE);
    if (limit != 0xFFFFFFFF || !hp_flat(env, SS) || !hp_flat(env, DS) || !hp_flat(env, ES))
        new |= HFLAG_SEGMENTS | HFLAG_ADDSEG;
    else if (old & HFLAG_SEGMENTS) {
        new &= ~(uint32_t)HFLAG_ADDSEG;
        if (!(HP_AT(env, ENV_CR, uint64_t) & CR0_PE) || HP_AT(env, ENV_EFLAGS, uint64_t) & EFLAGS_VM
            || !(new & HFLAG_CS32) || HP_SEGMENT(env, DS, SEGMENT_BASE, uint64_t)
            || HP_SEGMENT(env, ES, SEGMENT_BASE, uint64_t) || HP_SEGMENT(env, SS, SEGMENT_BASE, uint64_t))
            new |= HFLAG_ADDSEG;
    }
    if (limit != 0xFFFFFFFF)
        new |= HFLAG_CODE;
    if (!hp_flat(env, FS))
        new |= HFLAG_FS;
    if ((new & HFLAG_CPL) == 3 && !hp_flat(env, GS))
        new |= HFLAG_GS;
    *hflags = new;
    if (new & HFLAG_CODE && hp_limits
        && hp_code_limit_changed(hp_limits, HP_SEGMENT(env, CS, SEGMENT_BASE, uint32_t), (new & HFLAG_CPL) + 1, limit))
        hp_core.flush_code(hp_cpu(env));
}

/* May `size` bytes at `offset` of segment n be read or written? */
static int hp_allowed(void *env, int n, uint32_t offset, uint32_t size, int write)
{
    int kinds = HP_AT(env, ENV_CR, uint64_t) & CR0_PE && !(HP_AT(env, ENV_EFLAGS, uint64_t) & EFLAGS_VM);

    return hp_segment_allows(HP_SEGMENT(env, n, SEGMENT_LIMIT, uint32_t), HP_SEGMENT(env, n, SEGMENT_FLAGS, uint32_t), kinds,
                             offset, size, write);
}

static inline int hp_segment_vector(int n) { return n == SS ? VECTOR_SS : VECTOR_GP; }

static inline __attribute__((always_inline)) void hp_check(void *env, uint64_t linear, int n, uint32_t size, int write,
                                                           uintptr_t caller)
{
    uint32_t offset = (uint32_t)(linear - HP_SEGMENT(env, n, SEGMENT_BASE, uint64_t));
    uint32_t limit = HP_SEGMENT(env, n, SEGMENT_LIMIT, uint32_t);

    if ((HP_SEGMENT(env, n, SEGMENT_FLAGS, uint32_t) & SEGMENT_KIND) == FLAT_KIND && offset <= limit
        && size - 1 <= limit - offset)
        return;         /* within ordinary data, as nearly all are: the limit alone decides, in each mode */
    if (HP_RARELY(!hp_allowed(env, n, offset, size, write)))
        hp_core.raise(env, hp_segment_vector(n), 0, caller);
}

/* One function for each segment, size and direction: translated code then needs no more arguments than the address. */
#define SEGMENT_CHECK(n, size, write) \
    static void hp_check_##n##_##size##_##write(void *env, uint64_t linear) { hp_check(env, linear, n, size, write, HP_CALLER); }
#define SEGMENT_SIZES(macro, n) \
    macro(n, 1, 0) macro(n, 1, 1) macro(n, 2, 0) macro(n, 2, 1) macro(n, 4, 0) macro(n, 4, 1) macro(n, 8, 0) macro(n, 8, 1) \
    macro(n, 10, 0) macro(n, 10, 1) macro(n, 14, 0) macro(n, 14, 1) macro(n, 28, 0) macro(n, 28, 1) macro(n, 94, 0) \
    macro(n, 94, 1) macro(n, 108, 0) macro(n, 108, 1) macro(n, 512, 0) macro(n, 512, 1)
#define SEGMENT_ALL(macro) \
    SEGMENT_SIZES(macro, ES) SEGMENT_SIZES(macro, CS) SEGMENT_SIZES(macro, SS) SEGMENT_SIZES(macro, DS) \
    SEGMENT_SIZES(macro, FS) SEGMENT_SIZES(macro, GS)

SEGMENT_ALL(SEGMENT_CHECK)

#define SEGMENT_ROW(n, size, write) {n, write, size, hp_check_##n##_##size##_##write},
static const struct { uint8_t segment, write; uint16_t size; void (*check)(void *env, uint64_t linear); } hp_checks[] = {
    SEGMENT_ALL(SEGMENT_ROW)
};

static void *hp_check_of(int segment, uint32_t size, int write)
{
    size_t i;

    for (i = 0; i < sizeof hp_checks / sizeof *hp_checks; i++)
        if (hp_checks[i].segment == segment && hp_checks[i].size == size && hp_checks[i].write == write)
            return (void *)hp_checks[i].check;
    return NULL;
}

#endif
