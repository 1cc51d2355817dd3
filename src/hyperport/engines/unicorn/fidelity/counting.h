/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Counts the guest's instructions, where the machine's clock is one of instructions (time/insn_clock.pyx; decision 37).
 *
 * What is counted down is `left`, the instructions until something is due. A block subtracts all of its instructions before
 * the first; if fewer are left it is not begun, and the vCPU looks up, which makes a shorter block where some are left. A
 * block that is left in the middle gives back what it did not execute, the instruction at hand included. There is one way
 * out of the middle of a block, siglongjmp(), and it is redirected to here.
 *
 * Which instruction that is.  Translated code has a fixed frame, so the return address of its last call is always at the
 *     same distance from the frame of who entered it: hp_run_code(), in place of the core's prologue. The notes that
 *     the core keeps of each block tell the instruction. A slow load is called from elsewhere in the block, but who
 *     leaves from there restores the state before, by the address it was given: hp_restore_state().
 * Which instructions end a block.  While it translates, the core is told that it counts (CF_USE_ICOUNT); then port accesses
 *     and RDTSC do, so that all that they see and change is exact, and no block crosses a page. It counts nothing itself.
 *     Device memory is accessed by the only instruction of a block; another block is left and made again: hp_io_read().
 * Kicks.  A block looks at `left` alone. On the vCPU's own thread, what wants it to look up takes what is left away
 *     (hp_withhold()); who kicks it from another is heard when `left` is used up, MOST_UNHEARD instructions later at most.
 */
#ifndef HYPERPORT_FIDELITY_COUNTING_H
#define HYPERPORT_FIDELITY_COUNTING_H

#include <setjmp.h>

#include "core.h"

typedef struct {
    char *cpu;
    void *tcg;
    uintptr_t (*prologue)(void *env, void *code);
    uint64_t *target;           /* the count at which none is left */
    uint64_t (*tsc)(void *clock);
    void *clock;
    char *inside;               /* the frame of hp_run_code() while translated code runs */
    int too_few;                /* a block was not begun, since it has more instructions than are left */
} hp_counter;

/* NULL: nothing is counted for the guest that runs on this thread. */
static __thread hp_counter *hp_counting __attribute__((tls_model("initial-exec")));

static ptrdiff_t hp_call_depth;     /* from the frame of hp_run_code() down to the return address; 0: not known yet */

static void (*plain_gen_code)(void *cpu, void *block, int most);
static uint32_t (*plain_io_read)(void *uc, void *region, uint64_t address, uint64_t *value, int memop, uint32_t attributes);
static uint32_t (*plain_io_write)(void *uc, void *region, uint64_t address, uint64_t value, int memop, uint32_t attributes);
static uint64_t (*plain_tsc)(void *env);

static inline int32_t *hp_left(void *cpu) { return &HP_AT(cpu, CPU_ICOUNT_EXTRA, int32_t); }

static __attribute__((noinline)) uintptr_t hp_run_code(void *env, void *code)
{
    hp_counter *counter = hp_counting;
    uintptr_t left_by;

    counter->inside = __builtin_frame_address(0);
    left_by = counter->prologue(env, code);
    counter->inside = NULL;
    return left_by;
}

/* Let no block begin until the vCPU has looked up; the count stays what it is. */
static void hp_withhold(hp_counter *counter)
{
    int32_t *left = hp_left(counter->cpu);

    *counter->target -= (uint64_t)(int64_t)*left;
    *left = 0;
}

/* The core is to leave translated code before the next block, for this CPU_INTERRUPT_ reason. */
static void hp_request(char *cpu, uint32_t reason)
{
    __atomic_fetch_or(&HP_AT(cpu, CPU_INTERRUPT_REQUEST, uint32_t), reason, __ATOMIC_SEQ_CST);
    __atomic_store_n((uint16_t *)(HP_AT(cpu, CPU_ICOUNT_DECR_PTR, char *) + 2), 0xFFFF, __ATOMIC_SEQ_CST);
}

/* The same, where that block would be begun by its count. */
static void hp_look_up(char *cpu, uint32_t reason)
{
    hp_request(cpu, reason);
    if (hp_counting)
        hp_withhold(hp_counting);
}

/* Called by a block that has subtracted its instructions and is not begun: too few are left, or the vCPU is to look up. */
static __attribute__((noinline)) void hp_not_begun(void *env, int32_t instructions)
{
    char *cpu = hp_cpu(env);
    int32_t *left = hp_left(cpu);

    if (!hp_call_depth)
        hp_call_depth = hp_counting->inside - ((char *)__builtin_frame_address(0) + sizeof(void *));
    *left += instructions;
    if (*left < instructions)
        hp_counting->too_few = 1;
    hp_request(cpu, INTERRUPT_HARD);
}

/* A signed number of the core's notes (LEB128). */
static intptr_t hp_noted_number(const uint8_t **at)
{
    intptr_t value = 0;
    unsigned shift = 0;
    uint8_t byte;

    do {
        byte = *(*at)++;
        value |= (intptr_t)(byte & 0x7F) << shift;
        shift += 7;
    } while (byte & 0x80);
    if (byte & 0x40)
        value |= -((intptr_t)1 << shift);
    return value;
}

/* A block is left at the instruction that called from here: it and those behind it were not executed. */
static void hp_give_back(uintptr_t caller)
{
    char *block = hp_core.block_at(hp_counting->tcg, caller);
    const uint8_t *notes;
    uintptr_t end;
    int i, word, count;

    if (!block)
        return;
    count = HP_AT(block, BLOCK_ICOUNT, uint16_t);
    end = HP_AT(block, BLOCK_CODE, uintptr_t);
    notes = (const uint8_t *)end + HP_AT(block, BLOCK_CODE_SIZE, size_t);
    for (i = 0; i < count; i++) {
        for (word = 0; word < NOTED_WORDS; word++)
            hp_noted_number(&notes);
        end += (uintptr_t)hp_noted_number(&notes);
        if (end > caller - CALL_BACK)
            break;
    }
    if (i == count)
        return;
    if (HP_AT(hp_counting->cpu, CPU_EXCEPTION_INDEX, int) == EXCEPTION_DEBUG)
        count--;                /* an instruction with a breakpoint is in the notes, but was not counted */
    *hp_left(hp_counting->cpu) += count - i;
}

static inline void hp_leave_code(uintptr_t caller)
{
    if (hp_counting && hp_counting->inside) {
        hp_counting->inside = NULL;
        hp_give_back(caller);
    }
}

/* The next block is looked for, from inside the last one, which is complete. */
static char *hp_between_blocks(void)
{
    char *inside = hp_counting ? hp_counting->inside : NULL;

    if (inside)
        hp_counting->inside = NULL;
    return inside;
}

static void hp_inside_block(char *inside)
{
    if (inside)
        hp_counting->inside = inside;
}

static __attribute__((noreturn)) void hp_siglongjmp(sigjmp_buf to, int value)
{
    if (hp_counting && hp_counting->inside)
        hp_leave_code(*(uintptr_t *)(hp_counting->inside - hp_call_depth));
    siglongjmp(to, value);
}

static _Bool hp_restore_state(void *cpu, uintptr_t caller, _Bool leaves)
{
    _Bool found = hp_core.restore_state(cpu, caller, leaves);

    if (found && leaves)
        hp_leave_code(caller);
    return found;
}

/* Device memory is about to be accessed. If that is in a block of more instructions, leave it and do this one alone. */
static void hp_alone_in_block(uintptr_t caller)
{
    char *block;

    if (!hp_counting || !hp_counting->inside || !caller)
        return;
    block = hp_core.block_at(hp_counting->tcg, caller);
    if (!block || HP_AT(block, BLOCK_ICOUNT, uint16_t) == 1)
        return;
    hp_leave_code(caller);
    hp_core.io_recompile(hp_counting->cpu, caller);
}

static uint32_t hp_io_read(void *uc, void *region, uint64_t address, uint64_t *value, int memop, uint32_t attributes)
{
    if (hp_counting)
        hp_alone_in_block(HP_AT(hp_counting->cpu, CPU_MEM_IO_PC, uintptr_t));
    return plain_io_read(uc, region, address, value, memop, attributes);
}

static uint32_t hp_io_write(void *uc, void *region, uint64_t address, uint64_t value, int memop, uint32_t attributes)
{
    if (hp_counting)
        hp_alone_in_block(HP_AT(hp_counting->cpu, CPU_MEM_IO_PC, uintptr_t));
    return plain_io_write(uc, region, address, value, memop, attributes);
}

static uint64_t hp_tsc(void *env) { return hp_counting ? hp_counting->tsc(hp_counting->clock) : plain_tsc(env); }

/* The instruction at hand, the last of its block, is complete, though the block is left at it: nothing is given back. */
static void hp_completed(void *env)
{
    if (hp_counting)
        hp_counting->inside = NULL;
    (void)env;
}

/* What the translator is at, while it counts. */
static __thread struct {
    void *hot, *cold;           /* operations that set `number` to the instructions of the block: at its start, and out of it */
    void *number;               /* that temporary */
} hp_counted;

/* In place of gen_intermediate_code(), see coverage.h. */
static void hp_gen_code(void *cpu, void *block, int most)
{
    if (!hp_counting) {
        plain_gen_code(cpu, block, most);
        return;
    }
    hp_counted.hot = hp_counted.cold = NULL;
    HP_AT(block, BLOCK_CFLAGS, uint32_t) |= CF_USE_ICOUNT;
    plain_gen_code(cpu, block, most);
    HP_AT(block, BLOCK_CFLAGS, uint32_t) &= ~(uint32_t)CF_USE_ICOUNT;
    if (hp_counted.hot && hp_counted.cold)
        HP_AT(hp_counted.cold, OP_ARGS + 8, uintptr_t) = HP_AT(hp_counted.hot, OP_ARGS + 8, uintptr_t);
}

/* Let this CPU count. It must not have run. */
static void hp_count_instructions(hp_counter *counter, void *uc, uint64_t *target, uint64_t (*tsc)(void *clock), void *clock)
{
    counter->cpu = HP_AT(uc, UC_CPU, char *);
    counter->tcg = HP_AT(uc, UC_TCG, void *);
    counter->target = target;
    counter->tsc = tsc;
    counter->clock = clock;
    *(void **)&counter->prologue = HP_AT(counter->tcg, TCG_CODE_PROLOGUE, void *);
    HP_AT(counter->tcg, TCG_CODE_PROLOGUE, void *) = (void *)hp_run_code;
}

static void hp_set_counting(hp_counter *counter)
{
    hp_counting = counter;
    if (counter)
        counter->inside = NULL;
}

/* The vCPU has looked up and goes on. exact: something is due when none is left, so the next block may be cut short. */
static void hp_limit_block(hp_counter *counter, int exact)
{
    int32_t left = *hp_left(counter->cpu);
    uint32_t *next = &HP_AT(counter->cpu, CPU_CFLAGS_NEXT_TB, uint32_t);

    if (!hp_call_depth) {       /* no block is begun before that is known */
        hp_withhold(counter);
        return;
    }
    if (!counter->too_few)
        return;
    counter->too_few = 0;
    if (exact && left > 0 && left < MOST_IN_BLOCK && *next == (uint32_t)NO_CFLAGS)
        *next = (uint32_t)left;
}

#endif
