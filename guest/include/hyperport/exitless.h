/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Port I/O without a crossing (docs/exitless.md), for kernels that want it without the VMI ROM, or inline.
 *
 * hyperport_io_init (start.h) does all that is needed: where the VMM has the tables, the entries that it puts into hyperport_io look
 * there first, whichever back end makes the calls. With HYPERPORT_IO_INLINE defined before io.h is included, the accessors of
 * that file do so in place and call only where a crossing is needed: larger code, and no call, no return and no saved
 * registers.
 *
 * The VMM must know such code, because an interrupt inside of it sends it to its restart. Each place leaves a record in the section
 * hyperport_sequences, which a linker script must keep; hyperport_exitless_init() registers all of them. Another record, in
 * hyperport_bases, says where the address of the tables is to be written. */
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

/* Lets accesses in place look into the tables that hyperport_exitless_init() has found: it writes their address at the places (of the
 * section hyperport_bases) first to end, which are code and must be writable. The sequences must be registered before. */
void hyperport_exitless_point(const uint32_t *first, const uint32_t *end);

/* The same for all of this image. hyperport_io_init() calls it unless keep_indirect says that code cannot be written; then accesses in
 * place are calls. */
void hyperport_exitless_point_all(void);

/* Finds the tables, registers all sequences of this image and lets them run. ops: the entries with a crossing, of which those for one
 * element are wrapped; null: none. False if there is nothing to find, or no room. */
bool hyperport_exitless_init(uintptr_t direct_map, struct hyperport_io_ops *ops);

/* For io.h. Text of a port access in place; where a crossing is needed it goes to other code, which has the text `site` and comes
 * back. cell: text that loads [cell] with the port's, or for a constant port with its group's, whose number is then part of the
 * displacements. Operands: "a" value or answer, "d" port, [base] and [cell] registers, of which cell has a byte. Flags are lost.
 *
 * Each load that the next one waits for costs most on an engine with a TLB in software. So there is no pointer to load: the address
 * of the tables is in the MOV, where hyperport_exitless_point() writes it. Until then it is that of some in which all is 0. */
#define HYPERPORT_INLINE(cell, sequence, site)                                \
    "775:\tmov $hyperport_exitless_nothing, %[base]\n\t" cell sequence "\n"    \
    "776:\n"                                                                  \
    "778:\t.pushsection .text.hyperport_calls, \"ax\"\n"                       \
    "779:\t" site "\n\t"                                                      \
    "jmp 778b\n\t"                                                            \
    ".popsection\n\t"                                                         \
    ".pushsection hyperport_sequences, \"a\"\n\t"                             \
    ".balign 4\n\t"                                                           \
    ".long 775b, 776b - 775b, 779b\n\t"                                       \
    ".popsection\n\t"                                                        \
    ".pushsection hyperport_bases, \"a\"\n\t"                                 \
    ".balign 4\n\t"                                                          \
    ".long 775b + 1\n\t"                                                     \
    ".popsection"
#define HYPERPORT_INLINE_CELL_DX                                           \
    "movzbl %%dh, %[cell]\n\t"                                                \
    "movzwl %c[directory](%[base], %[cell], 2), %[cell]\n\t"                  \
    "movb %%dl, %b[cell]\n\t"
#define HYPERPORT_INLINE_CELL_CONSTANT "movzwl %c[directory](%[base]), %[cell]\n\t"
#define HYPERPORT_INLINE_ENTRY_DX(bytes)                                      \
    "mov %%edx, %c[ring] - 8(%[base], %[cell], 8)\n\t"                        \
    "movb $" #bytes ", %c[ring] - 6(%[base], %[cell], 8)\n\t"
#define HYPERPORT_INLINE_ENTRY_CONSTANT(bytes) "movl %[first], %c[ring] - 8(%[base], %[cell], 8)\n\t"
#define HYPERPORT_INLINE_POST(cell, bytes)                                    \
    "movzbl %c[posted](%[base], %[cell]), %[cell]\n\t"                        \
    "and %c[left](%[base]), %[cell]\n\t"                                      \
    "jz 779f\n\t"                                                             \
    HYPERPORT_INLINE_ENTRY_##cell(bytes)                                      \
    "mov %%eax, %c[ring] - 4(%[base], %[cell], 8)\n\t"                        \
    "movl $776f, %c[callers] - 4(%[base], %[cell], 4)\n\t"                    \
    "lea -1(%[cell]), %[cell]\n\t"                                            \
    "mov %[cell], %c[left](%[base])"
#define HYPERPORT_INLINE_READ(answer)                                         \
    "movzwl %c[shadowed](%[base], %[cell], 2), %[cell]\n\t"                   \
    "test %[cell], %[cell]\n\t"                                               \
    "jz 779f\n\t"                                                             \
    "mov %c[registers](%[base], %[cell], 8), " answer "\n\t"                  \
    "incl %c[registers] + 4(%[base], %[cell], 8)"
/* port: 0 where it is known in DX only. */
#define HYPERPORT_INLINE_OPERANDS(bytes, port)                                                            \
    [directory] "i"(HYPERPORT_EXITLESS_DIRECTORY + 512 + ((port) >> 8) * 2),                              \
    [left] "i"(HYPERPORT_EXITLESS_LEFT), [ring] "i"(HYPERPORT_EXITLESS_RING),                             \
    [callers] "i"(HYPERPORT_EXITLESS_CALLERS), [registers] "i"(HYPERPORT_EXITLESS_REGISTERS),             \
    [first] "i"((bytes) << 16 | (port)),                                                                  \
    [posted] "i"(HYPERPORT_EXITLESS_POSTED + (bytes) / 2 * HYPERPORT_EXITLESS_CELLS + ((port) & 255)),     \
    [shadowed] "i"(HYPERPORT_EXITLESS_SHADOWED + ((bytes) / 2 * HYPERPORT_EXITLESS_CELLS + ((port) & 255)) * 2)

#endif
