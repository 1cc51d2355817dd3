/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Port calls without a crossing, for assembly: the ROM's (guest/rom/vmi.S) and the SDK's (guest/sdk/exitless_calls.S).
 * docs/exitless.md describes the tables and the ring.
 *
 * An OUT that may be posted goes into the ring, an IN of a shadowed register is read from the page; all else is what ELSE(name)
 * does. No register and no flag changes but what an IN answers. So nothing is computed but by LEA, and the way is chosen by a jump
 * by a register: JECXZ, which needs no flags either, ends a block of Unicorn's core in the most expensive way. Two numbers are
 * added so that the sum is 256 or more where no crossing is needed: its second byte, 0 or 1, is the way.
 *
 * From `first` to `end` the code relies on what it has read; the last store commits. Where an interrupt, an exception or the end of
 * a run comes between, the VMM sets EIP to `restart`: the stack, EAX and EDX are there what they were at `first`.
 *
 * Whoever includes this defines, with EBP as he likes it:
 *   ENTER             loads EBP
 *   THERE(place)      displacement from EBP to HYPERPORT_EXITLESS_##place
 *   WAY(label)        operand: what is ESI times STUB_WAY behind a label of his own
 *   ELSE(name)        one instruction: a jump to the call with a crossing
 * What is addressed by EBP is in SS, so DS need not be flat. */
#ifndef HYPERPORT_STUBS_H
#define HYPERPORT_STUBS_H

#ifdef __ASSEMBLER__

#include "abi.h"

#define STUB_BEGIN(name) \
        .balign 16; \
exitless_##name: \
        push %ebp; \
        push %ecx; \
        push %esi; \
        ENTER; \
first_##name: \
        mov %cs, %ecx; \
        movzbl %cl, %ecx; \
        movzwl THERE(LEVELS)(%ebp, %ecx, 2), %ecx; \
        mov %dh, %cl; \
        movzwl THERE(DIRECTORY)(%ebp, %ecx, 2), %ecx; \
        mov %dl, %cl                    /* the port's cell; of CPL 2 and 3 one of those that are 0 */

#define STUB_WAY 8 /* bytes of the way by the doorbell; the other one is behind it */

/* By CH. */
#define STUB_GO(name) \
        movzbl %ch, %esi; \
        lea WAY(ways_##name), %esi; \
        jmp *%esi; \
ways_##name: \
        jmp restart_##name; \
        .org ways_##name + STUB_WAY, 0x90

#define STUB_END(name) \
end_##name: \
        pop %esi; \
        pop %ecx; \
        pop %ebp; \
        ret; \
restart_##name: \
        pop %esi; \
        pop %ecx; \
        pop %ebp; \
        ELSE(name)

#define STUB_POST(name, bytes) \
        STUB_BEGIN(name); \
        movzbl THERE(POSTED) + (bytes >> 1) * HYPERPORT_EXITLESS_CELLS(%ebp, %ecx), %esi; \
        mov THERE(LEFT)(%ebp), %ecx; \
        lea (%ecx, %esi), %ecx;         /* free entries, and 255 where the port may be posted */ \
        STUB_GO(name); \
        movzbl %cl, %ecx;               /* one less than were free */ \
        mov %edx, THERE(RING)(%ebp, %ecx, 8); \
        movb $bytes, THERE(RING) + 2(%ebp, %ecx, 8); \
        mov %eax, THERE(RING) + 4(%ebp, %ecx, 8); \
        mov 12(%esp), %esi;             /* the caller */ \
        mov %esi, THERE(CALLERS)(%ebp, %ecx, 4); \
        mov %ecx, THERE(LEFT)(%ebp); \
        STUB_END(name)

#define STUB_READ(name, bytes, load) \
        STUB_BEGIN(name); \
        movzwl THERE(SHADOWED) + (bytes & ~1) * HYPERPORT_EXITLESS_CELLS(%ebp, %ecx, 2), %ecx; \
        lea 255(%ecx), %ecx;            /* number of the shadow register, 0 for none */ \
        STUB_GO(name); \
        lea THERE(REGISTERS) - 255 * 8(%ebp, %ecx, 8), %ebp; \
        load; \
        mov 4(%ebp), %ecx; \
        lea 1(%ecx), %ecx;              /* it is counted */ \
        mov %ecx, 4(%ebp); \
        STUB_END(name)

#define STUB_LOAD(answer) mov (%ebp), answer /* of a word it is a byte longer */

#define STUBS \
        STUB_POST(OUTL, 4); \
        STUB_POST(OUTB, 1); \
        STUB_POST(OUTW, 2); \
        STUB_READ(INL, 4, STUB_LOAD(%eax)); \
        STUB_READ(INB, 1, STUB_LOAD(%al)); \
        STUB_READ(INW, 2, STUB_LOAD(%ax))

#endif

#endif
