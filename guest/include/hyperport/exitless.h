/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Port I/O without a crossing (docs/exitless.md), for kernels that want it without the VMI ROM, or inline.
 *
 * hyperport_io_init (start.h) does all that is needed: where the VMM has the tables, the entries that it puts into hyperport_io look
 * there first, whichever back end makes the calls. With HYPERPORT_IO_INLINE defined before io.h is included, the accessors of
 * that file do so in place and call only where a crossing is needed: larger code, and no call, no return and no saved
 * registers.
 *
 * The VMM must know such code, because an interrupt inside of it sends it to its restart. Each place leaves a record in the section
 * hyperport_sequences, which a linker script must keep; hyperport_exitless_init() registers all of them. */
#ifndef HYPERPORT_EXITLESS_H
#define HYPERPORT_EXITLESS_H

#include <stdbool.h>
#include <stdint.h>

#include "abi.h"

struct hyperport_io_ops;

/* Code that relies on what it has read until its last store: docs/exitless.md, "Sequences". Virtual addresses. */
struct hyperport_sequence {
    uint32_t first, length, restart;
};

/* Virtual address of the tables; 0 until hyperport_exitless_init() has found them: then there is nothing without a crossing. */
extern volatile uint8_t *hyperport_exitless;

/* Looks for the tables of this header's version. direct_map: virtual address of physical address 0, mapped writable at the tables.
 * Null if there are none. */
volatile uint8_t *hyperport_exitless_find(uintptr_t direct_map);

/* Tells the VMM of the sequences first to end (exclusive), for instance those of a module just loaded. False, and none is told, where
 * there is no room for them: then they must not run. */
bool hyperport_exitless_register(volatile uint8_t *tables, const struct hyperport_sequence *first,
                                 const struct hyperport_sequence *end);

/* Finds the tables, registers all sequences of this image and lets them run. ops: the entries with a crossing, of which those for one
 * element are wrapped; null: none. False if there is nothing to find, or no room. */
bool hyperport_exitless_init(uintptr_t direct_map, struct hyperport_io_ops *ops);

/* For io.h. Text of a port access in place; where a crossing is needed it goes to other code, which has the text `site` and comes
 * back. Operands: "a" value or answer, "d" port, [base] and [cell] registers, of which cell has a byte. Flags are lost. */
#define HYPERPORT_INLINE(sequence, site)                                      \
    "mov hyperport_exitless, %[base]\n\t"                                     \
    "test %[base], %[base]\n\t"                                               \
    "jz 779f\n"                                                               \
    "775:\tmovzbl %%dh, %[cell]\n\t"                                          \
    "movzwl %c[directory] + 512(%[base], %[cell], 2), %[cell]\n\t"            \
    "movb %%dl, %b[cell]\n\t" sequence "\n"                                    \
    "776:\n"                                                                  \
    "778:\t.pushsection .text.hyperport_calls, \"ax\"\n"                       \
    "779:\t" site "\n\t"                                                      \
    "jmp 778b\n\t"                                                            \
    ".popsection\n\t"                                                         \
    ".pushsection hyperport_sequences, \"a\"\n\t"                             \
    ".balign 4\n\t"                                                           \
    ".long 775b, 776b - 775b, 779b\n\t"                                       \
    ".popsection"
#define HYPERPORT_INLINE_POST(bytes)                                          \
    "cmpb $0, %c[posted](%[base], %[cell])\n\t"                               \
    "je 779f\n\t"                                                             \
    "mov %c[left](%[base]), %[cell]\n\t"                                      \
    "sub $2, %[cell]\n\t"                                                     \
    "jb 779f\n\t"                                                             \
    "mov %%edx, %c[ring](%[base], %[cell], 8)\n\t"                            \
    "mov %%eax, %c[ring] + 4(%[base], %[cell], 8)\n\t"                        \
    "movl $" #bytes ", %c[ring] + 8(%[base], %[cell], 8)\n\t"                 \
    "movl $776f, %c[ring] + 12(%[base], %[cell], 8)\n\t"                      \
    "mov %[cell], %c[left](%[base])"
#define HYPERPORT_INLINE_READ(answer)                                         \
    "movzwl %c[shadowed](%[base], %[cell], 2), %[cell]\n\t"                   \
    "test %[cell], %[cell]\n\t"                                               \
    "jz 779f\n\t"                                                             \
    "mov %c[registers](%[base], %[cell], 8), " answer "\n\t"                  \
    "incl %c[registers] + 4(%[base], %[cell], 8)"
#define HYPERPORT_INLINE_OPERANDS(bytes)                                                                  \
    [directory] "i"(HYPERPORT_EXITLESS_DIRECTORY), [left] "i"(HYPERPORT_EXITLESS_LEFT),                   \
    [ring] "i"(HYPERPORT_EXITLESS_RING), [registers] "i"(HYPERPORT_EXITLESS_REGISTERS),                   \
    [posted] "i"(HYPERPORT_EXITLESS_POSTED + (bytes) / 2 * HYPERPORT_EXITLESS_CELLS),                     \
    [shadowed] "i"(HYPERPORT_EXITLESS_SHADOWED + (bytes) / 2 * 2 * HYPERPORT_EXITLESS_CELLS)

#endif
