/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The way out of what the VMM does for a guest when the guest's memory faults, for engines whose core has none of its own.
 * All frames between must be free of cleanup. What is static here exists once for each module that includes this.
 */
#ifndef HYPERPORT_WAY_OUT_H
#define HYPERPORT_WAY_OUT_H

#include <setjmp.h>
#include <stdint.h>

#define HP_FAULTED (-100)

static __thread jmp_buf hp_way_out;

/* Run call(); HP_FAULTED where hp_leave() was called inside. */
static inline int hp_guarded(int (*call)(void *context, uint32_t number), void *context, uint32_t number)
{
    if (_setjmp(hp_way_out))
        return HP_FAULTED;
    return call(context, number);
}

static inline void hp_leave(void) { _longjmp(hp_way_out, 1); }

#endif
