/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Counts what code the guest executes (observe/coverage.py; decision 52). Nothing is emitted where nobody asks.
 *
 * A block is cut into stretches: instructions one behind the other, of which only the last can be left in the middle. An
 *     instruction can be left where it calls a helper or accesses memory; so the next one begins a new stretch, and each
 *     stretch adds 1 to its count before its first instruction. A page fault in the middle of a block counts what was
 *     begun, and not what comes behind.
 * A stretch is known by its bytes.  The same code may be translated again, as often as the guest pleases; that must neither
 *     lose counts nor cost memory. Where a stretch ends is known later than its count is emitted, so the address of the
 *     count is filled in then, as counting.h does it.
 * The table does not grow or move, since translated code holds addresses in it. When it is full, one count stands for all
 *     code that is new.
 */
#ifndef HYPERPORT_FIDELITY_COVERAGE_H
#define HYPERPORT_FIDELITY_COVERAGE_H

#include "blocks.h"
#include "core.h"
#include "zeroes.h"

enum {
    STRETCH_BITS = 20,
    STRETCHES = 1 << STRETCH_BITS,
    STRETCHES_FULL = STRETCHES / 4 * 3,
};

typedef struct {
    uint32_t first, end;        /* linear addresses; end lies behind the last byte. Both 0: nothing is here */
    uint64_t count;
} hp_stretch;

typedef struct {
    uint32_t used;
    void *address;              /* the operation that sets the address of the count of the open stretch; NULL: none is open */
    uint32_t first;             /* where it begins */
    int left;                   /* its last instruction can be left */
    hp_stretch others;          /* of code for which there was no room */
    hp_stretch rows[STRETCHES];
} hp_coverage_table;

static __thread hp_coverage_table *hp_coverage __attribute__((tls_model("initial-exec")));     /* NULL: nobody asks */

static void (*hp_free_temp)(hp_context *tcg, hp_temp *temp);

/* The row of these bytes, a new one where it is not there yet. */
static hp_stretch *hp_stretch_of(hp_coverage_table *table, uint32_t first, uint32_t end)
{
    uint32_t at = (first ^ end << 20) * 0x9E3779B1u >> (32 - STRETCH_BITS);
    hp_stretch *row;

    for (;; at = (at + 1) & (STRETCHES - 1)) {
        row = &table->rows[at];
        if (row->first == first && row->end == end)
            return row;
        if (!row->first && !row->end)
            break;
    }
    if (table->used == STRETCHES_FULL)
        return &table->others;
    table->used++;
    row->first = first;
    row->end = end;
    return row;
}

static void hp_end_stretch(uint32_t end)
{
    if (hp_coverage->address)
        HP_AT(hp_coverage->address, OP_ARGS + 8, uintptr_t) = (uintptr_t)&hp_stretch_of(hp_coverage, hp_coverage->first, end)->count;
    hp_coverage->address = NULL;
}

/* The translator begins with the instruction at this linear address. */
static void hp_cover(hp_context *tcg, uint32_t first)
{
    hp_temp *at, *one, *count;

    if (hp_coverage->address && !hp_coverage->left)
        return;
    hp_end_stretch(first);
    hp_coverage->first = first;
    hp_coverage->left = 0;
    at = hp_new_temp(tcg, TYPE_I64, 0);
    one = hp_new_temp(tcg, TYPE_I64, 0);
    count = hp_new_temp(tcg, TYPE_I64, 0);
    hp_emit_op2(tcg, OP_MOVI_I64, (uintptr_t)at, (uintptr_t)&hp_coverage->others.count);
    hp_coverage->address = hp_last_op(tcg);
    hp_emit_op2(tcg, OP_MOVI_I64, (uintptr_t)one, 1);
    hp_emit_op3(tcg, OP_LD_I64, (uintptr_t)count, (uintptr_t)at, 0);
    hp_emit_op3(tcg, OP_ADD_I64, (uintptr_t)count, (uintptr_t)count, (uintptr_t)one);
    hp_emit_op3(tcg, OP_ST_I64, (uintptr_t)count, (uintptr_t)at, 0);
    hp_free_temp(tcg, count);
    hp_free_temp(tcg, one);
    hp_free_temp(tcg, at);
}

/* Something was emitted by which the instruction can be left. */
static inline void hp_can_be_left(void)
{
    if (HP_RARELY(hp_coverage != NULL))
        hp_coverage->left = 1;
}

/* In place of gen_intermediate_code(). */
static void hp_gen_covered_code(void *cpu, void *block, int most)
{
    if (hp_coverage)
        hp_coverage->address = NULL;    /* of a block that came to nothing: its code could not be fetched */
    hp_gen_code(cpu, block, most);
    if (hp_coverage)
        hp_end_stretch((uint32_t)HP_AT(block, TB_PC, uint64_t) + HP_AT(block, BLOCK_BYTES, uint16_t));
}

static void hp_find_coverage(void) { *(void **)&hp_free_temp = hp_symbol("tcg_temp_free_internal"); }
static hp_coverage_table *hp_new_coverage(void) { return hp_zeroes(sizeof(hp_coverage_table)); }
static void hp_free_coverage(hp_coverage_table *table) { hp_unmap_zeroes(table, sizeof *table); }

#endif
