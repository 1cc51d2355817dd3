/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The stack of an interrupt, an exception or a far call, and switches to a task: what the core leaves out.
 *
 * Frames.  The core writes a frame without a look at the limit of SS. It may: whether the frame fits is seen when it is
 *     written, by where ESP was and is, and what is flat always fits. Where it does not, the registers of before are put
 *     back and #SS is raised, with the selector of a new stack, or 0 (SDM vol. 2, CALL and INT n).
 *     What lies beyond the limit is then written, but that segment's owner cannot see it.
 * Code.  Nor does it look where EIP is in a CS that a gate, RETF or IRET has loaded: #GP(0), in the same way.
 * Tasks.  #DB with DR6.BT as the first thing of a task whose T bit is set (SDM vol. 3, 17.3.1.5).
 */
#ifndef HYPERPORT_FIDELITY_FRAMES_H
#define HYPERPORT_FIDELITY_FRAMES_H

#include "core.h"
#include "counting.h"
#include "segments.h"

enum {
    TSS_STACK_32 = 4, TSS_STACK_16 = 2,     /* where ESP0 and SP0 are in a TSS, */
    TSS_STACK_STEP_32 = 8, TSS_STACK_STEP_16 = 4,
    TSS_TRAP = 100,                         /* and T, bit 0, in a 32-bit one */
    TSS_LEAST_LIMIT = 103,
    TSS_IS_32 = 1 << 11,
    DR6_BT = 1 << 15,
    SEGMENT_REGISTERS = 6,
};

/* What was before: ESP, and all that lies between EIP and the segment registers. */
static __thread struct {
    uint64_t esp;
    uint32_t task;
    char state[ENV_SEGS + SEGMENT_REGISTERS * SEGMENT_SIZE - ENV_EIP];
} hp_caller_of_frame __attribute__((tls_model("initial-exec")));

#define HP_BEFORE(field, type) HP_AT(hp_caller_of_frame.state, (field) - ENV_EIP, type)

static inline uint32_t hp_task(void *env) { return HP_AT(env, ENV_TR, uint32_t) & 0xFFFF; }

static void hp_before_frame(void *env)
{
    hp_caller_of_frame.esp = HP_AT(env, ENV_REGS + 4 * 8, uint64_t);
    hp_caller_of_frame.task = hp_task(env);
    memcpy(hp_caller_of_frame.state, (char *)env + ENV_EIP, sizeof hp_caller_of_frame.state);
}

static void hp_take_back(void *env)
{
    HP_AT(env, ENV_REGS + 4 * 8, uint64_t) = hp_caller_of_frame.esp;
    memcpy((char *)env + ENV_EIP, hp_caller_of_frame.state, sizeof hp_caller_of_frame.state);
}

/* ESP of the TSS for this ring. The core has just read it. */
static uint32_t hp_stack_of_ring(void *env, uint32_t ring)
{
    uint64_t base = HP_AT(env, ENV_TR + SEGMENT_BASE, uint64_t);

    if (HP_AT(env, ENV_TR + SEGMENT_FLAGS, uint32_t) & TSS_IS_32)
        return hp_core.load_long(env, (uint32_t)(base + TSS_STACK_32 + ring * TSS_STACK_STEP_32), MMU_KERNEL, 0);
    return hp_core.load_long(env, (uint32_t)(base + TSS_STACK_16 + ring * TSS_STACK_STEP_16), MMU_KERNEL, 0) & 0xFFFF;
}

/* Does a frame that has been written fit its stack? If not, all is as before, and the error code of the #SS is given; -1 if
   it does. */
static int hp_frame_beyond_stack(void *env)
{
    uint32_t mask, top, bottom, bytes, ring = HP_AT(env, ENV_HFLAGS, uint32_t) & HFLAG_CPL;
    int other = ring != (HP_BEFORE(ENV_HFLAGS, uint32_t) & HFLAG_CPL) || HP_BEFORE(ENV_EFLAGS, uint64_t) & EFLAGS_VM, error;

    if (hp_flat(env, SS) || !(HP_AT(env, ENV_CR, uint64_t) & CR0_PE) || HP_AT(env, ENV_EFLAGS, uint64_t) & EFLAGS_VM
        || hp_task(env) != hp_caller_of_frame.task)
        return -1;
    mask = HP_SEGMENT(env, SS, SEGMENT_FLAGS, uint32_t) & SEGMENT_BIG ? 0xFFFFFFFF : 0xFFFF;
    top = (other ? hp_stack_of_ring(env, ring) : (uint32_t)hp_caller_of_frame.esp) & mask;
    bottom = (uint32_t)HP_AT(env, ENV_REGS + 4 * 8, uint64_t) & mask;
    bytes = (top - bottom) & mask;
    if (!bytes || (bottom + bytes - 1 <= mask && hp_allowed(env, SS, bottom, bytes, 1)))
        return -1;
    if (bottom + bytes - 1 > mask && hp_allowed(env, SS, bottom, mask - bottom + 1, 1) && hp_allowed(env, SS, 0, top, 1))
        return -1;                      /* it wraps around, as pushes do */
    error = other ? (int)(HP_SEGMENT(env, SS, 0, uint32_t) & 0xFFFC) : 0;
    hp_take_back(env);
    return error;
}

/* Does EIP lie beyond the limit of a CS that has been loaded with it? If so, all is as before. */
static int hp_code_beyond_segment(void *env)
{
    if (HP_AT(env, ENV_EIP, uint32_t) <= HP_SEGMENT(env, CS, SEGMENT_LIMIT, uint32_t) || hp_task(env) != hp_caller_of_frame.task)
        return 0;
    hp_take_back(env);
    return 1;
}

/* Has the core switched to a task that wants to be trapped? */
static int hp_task_traps(void *env)
{
    if (hp_task(env) == hp_caller_of_frame.task || !(HP_AT(env, ENV_TR + SEGMENT_FLAGS, uint32_t) & TSS_IS_32)
        || HP_AT(env, ENV_TR + SEGMENT_LIMIT, uint32_t) < TSS_LEAST_LIMIT)
        return 0;
    return hp_core.load_long(env, (uint32_t)(HP_AT(env, ENV_TR + SEGMENT_BASE, uint64_t) + TSS_TRAP), MMU_KERNEL, 0) & 1;
}

static void hp_raise_task_trap(void *env)
{
    hp_completed(env);
    HP_AT(env, ENV_DR + 6 * 8, uint64_t) |= DR6_BT;
    hp_core.raise_now(env, VECTOR_DB, 0);
}

/* Before and after the core's helpers of far CALL, JMP and RET, and of IRET. */

static void hp_before_call(void *env, int selector, uint64_t eip, int size, uint64_t next_eip)
{
    (void)selector, (void)eip, (void)size, (void)next_eip;
    hp_before_frame(env);
}

static void hp_before_jump(void *env, int selector, uint64_t eip, uint64_t next_eip)
{
    (void)selector, (void)eip, (void)next_eip;
    hp_caller_of_frame.task = hp_task(env);
}

static void hp_before_iret(void *env, int size, int next_eip)
{
    (void)size, (void)next_eip;
    hp_before_frame(env);
}

static void hp_before_ret(void *env, int size, int released)
{
    (void)size, (void)released;
    hp_before_frame(env);
}

static void hp_check_return(void *env, uintptr_t caller)
{
    if (HP_RARELY(hp_code_beyond_segment(env)))
        hp_core.raise(env, VECTOR_GP, 0, caller);
}

static void hp_after_ret(void *env)
{
    hp_check_return(env, HP_CALLER);
    hp_segments_changed(env);
}

static void hp_after_jump(void *env)
{
    hp_segments_changed(env);
    if (HP_RARELY(hp_task_traps(env)))
        hp_raise_task_trap(env);
}

static void hp_after_call(void *env)
{
    int error = hp_frame_beyond_stack(env);

    if (HP_RARELY(error >= 0))
        hp_core.raise(env, VECTOR_SS, error, HP_CALLER);
    hp_after_jump(env);
}

#endif
