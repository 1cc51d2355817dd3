/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Port calls without a crossing, for assembly: the ROM's (guest/rom/vmi.S) and the SDK's (guest/sdk/exitless_calls.S).
 * docs/exitless.md describes the tables and the ring.
 *
 * An OUT that may be posted goes into the ring, an IN of a shadowed register is read from the page; all else is what ELSE(name)
 * does. No register and no flag changes but what an IN answers. So nothing is computed but by LEA, and the way is chosen by a jump
 * that a table leads: JECXZ, which needs no flags either, ends a block of Unicorn's core in the most expensive way.
 *
 * From `first` to `end` the code relies on what it has read; the last store commits. Where an interrupt, an exception or the end of
 * a run comes between, the VMM sets EIP to `restart`: the stack, EAX and EDX are there what they were at `first`.
 *
 * Whoever includes this defines, with EBP as he likes it:
 *   ENTER             loads EBP
 *   THERE(place)      displacement from EBP to HYPERPORT_EXITLESS_##place
 *   HERE(label)       displacement from EBP to a label of his own
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

#define STUB_GO(name, ways, index) \
        movzbl HERE(ways)(%ebp, index), %esi; \
        lea HERE(first_##name)(%ebp, %esi), %esi; \
        jmp *%esi

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
        lea (%ecx, %esi), %esi; \
        STUB_GO(name, ways_to_post, %esi); \
post_##name: \
        lea -1(%ecx), %ecx; \
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
        STUB_GO(name, ways_to_read, %ecx); \
read_##name: \
        lea THERE(REGISTERS)(%ebp, %ecx, 8), %ebp; \
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
        STUB_READ(INL, 4, STUB_LOAD(%eax); nop); \
        STUB_READ(INB, 1, STUB_LOAD(%al); nop); \
        STUB_READ(INW, 2, STUB_LOAD(%ax))

/* To stand behind STUBS: where they go on, in bytes from `first`. All that post have one shape, all that read another. By the
 * number of free entries, plus 255 where the port may be posted; by the number of the shadow register, 0 for none. */
        .macro ways_of_stubs
ways_to_post:
        .fill HYPERPORT_EXITLESS_ENTRIES + 1, 1, restart_OUTL - first_OUTL
        .fill HYPERPORT_EXITLESS_ENTRIES, 1, post_OUTL - first_OUTL
ways_to_read:
        .byte restart_INL - first_INL
        .fill HYPERPORT_EXITLESS_REGISTER_COUNT - 1, 1, read_INL - first_INL
        .irp other, OUTB, OUTW
        .if (post_\other - first_\other) - (post_OUTL - first_OUTL) || \
            (restart_\other - first_\other) - (restart_OUTL - first_OUTL)
        .error "stubs that post differ"
        .endif
        .endr
        .irp other, INB, INW
        .if (read_\other - first_\other) - (read_INL - first_INL) || (restart_\other - first_\other) - (restart_INL - first_INL)
        .error "stubs that read differ"
        .endif
        .endr
        .endm

#endif

#endif
