/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Port I/O without a crossing (docs/exitless.md), for kernels that want it without the VMI ROM, or inline.
 *
 * hyperport_io_init (start.h) does all that is needed: where the VMM has the tables, the entries that it puts into hyperport_io look
 * there first, whichever back end makes the calls. With HYPERPORT_IO_INLINE defined before io.h is included, the accessors of
 * that file do so in place and call only where a crossing is needed: larger code, and no call, no return and no saved
 * registers.
 *
 * The VMM must know such code, because an interrupt inside of it sends it to its restart. Each access in place leaves a record in the
 * section hyperport_sequences, which a linker script must keep; hyperport_exitless_init() registers all of them. Records in the
 * section hyperport_places say where the addresses of the tables are to be written. */
#ifndef HYPERPORT_EXITLESS_H
#define HYPERPORT_EXITLESS_H

#include <stdbool.h>
#include <stdint.h>

#include "abi.h"

struct hyperport_io_ops;

/* Code that relies on what it has read until its last store: docs/exitless.md, "Sequences". Virtual addresses. It is registered as it
 * is: the members are those of the tables. */
struct hyperport_sequence {
    uint32_t first, restart;
    uint16_t length, port; /* port: where the code knows it */
};

/* Four bytes of code that depend on where the tables are. */
struct hyperport_place {
    uint32_t at;
    uint32_t add; /* to what the kind says */
    uint16_t port, kind;
};
#define HYPERPORT_PLACE_TABLES 0 /* the address of the tables */
#define HYPERPORT_PLACE_POSTED 1 /* the same, and the cell of the port, of one byte */
#define HYPERPORT_PLACE_ANSWER 2 /* likewise, of four bytes */
#define HYPERPORT_PLACE_HEAD 3   /* the number of the sequence that the place is in, in an entry's head */

/* Virtual address of the tables; 0 until hyperport_exitless_init() has found them: then there is nothing without a crossing. */
extern volatile uint8_t *hyperport_exitless;

/* Looks for the tables of this header's version. direct_map: virtual address of physical address 0, mapped writable at the tables.
 * Null if there are none. */
volatile uint8_t *hyperport_exitless_find(uintptr_t direct_map);

/* Tells the VMM of the sequences first to end (exclusive), for instance those of a module just loaded. False, and none is told, where
 * there is no room for them: then they must not run. */
bool hyperport_exitless_register(volatile uint8_t *tables, const struct hyperport_sequence *first,
                                 const struct hyperport_sequence *end);

/* Lets accesses in place look into the tables that hyperport_exitless_init() has found: it writes what depends on them at the places
 * first to end, which are code and must be writable. False, and nothing is written, unless the sequences are registered. */
bool hyperport_exitless_point(const struct hyperport_place *first, const struct hyperport_place *end);

/* The same for all of this image. hyperport_io_init() calls it unless keep_indirect says that code cannot be written; then accesses in
 * place are calls. */
void hyperport_exitless_point_all(void);

/* Finds the tables, registers all sequences of this image and lets them run. ops: the entries with a crossing, of which those for one
 * element are wrapped; null: those in use look by themselves (the ROM's), and hyperport_io_crossing gets the ones behind
 * them. False if there is nothing to find, or no room. */
bool hyperport_exitless_init(uintptr_t direct_map, struct hyperport_io_ops *ops);

/* For io.h: port accesses in place. Where a crossing is needed they go to other code, which comes back: the text `site`.
 *
 * What is paid for is loads and stores, and most of all loads that the next one waits for, on an engine with a TLB in software. So
 * all addresses are in the code: of the tables, and where the port is constant, of its cell. hyperport_exitless_point() writes them,
 * in an order that makes each access work at any moment. Until then they are that of 512 bytes of 0. */
#define HYPERPORT_TEXT_OF(macro) #macro
#define HYPERPORT_TEXT(macro) HYPERPORT_TEXT_OF(macro)

#define HYPERPORT_INLINE(sequence, port, site)                                \
    "775:\n\t" sequence "776:\n\t"                                            \
    ".pushsection .text.hyperport_calls, \"ax\"\n"                            \
    "779:\t" site "\n\t"                                                      \
    "jmp 776b\n\t"                                                            \
    ".popsection\n\t"                                                         \
    ".pushsection hyperport_sequences, \"a\"\n\t"                             \
    ".balign 4\n\t"                                                           \
    ".long 775b, 779b\n\t"                                                    \
    ".short 776b - 775b, " port "\n\t"                                        \
    ".popsection"

/* Behind an instruction: a place that begins so many bytes before its end. */
#define HYPERPORT_PLACE(bytes, kind, add, port)                               \
    "780:\t.pushsection hyperport_places, \"a\"\n\t"                           \
    ".balign 4\n\t"                                                           \
    ".long 780b - " #bytes ", " add "\n\t"                                    \
    ".short " port ", " HYPERPORT_TEXT(HYPERPORT_PLACE_##kind) "\n\t"         \
    ".popsection\n\t"
#define HYPERPORT_NOWHERE "hyperport_exitless_nothing"
#define HYPERPORT_TABLE(name) HYPERPORT_TEXT(HYPERPORT_EXITLESS_##name)
#define HYPERPORT_OF_SIZE(name, bytes, element) /* of a table by size and cell, whose elements have so many bytes */ \
    HYPERPORT_TABLE(name) " + " #bytes " / 2 * " HYPERPORT_TABLE(CELLS) " * " #element
#define HYPERPORT_HEAD(bytes) HYPERPORT_TABLE(ENTRY_SITE) " + " #bytes " * " HYPERPORT_TABLE(ENTRY_SIZE)

/* An OUT. In: EAX, the value; out: [cell] and [head], anything. Flags are lost. look: text that ANDs LEFT with what POSTED has of the
 * port, into [cell]; entry: text that makes the entry of that number. */
#define HYPERPORT_POST(look, entry)                                           \
    look                                                                      \
    "and " HYPERPORT_NOWHERE ", %[cell]\n" HYPERPORT_PLACE(4, TABLES, HYPERPORT_TABLE(LEFT), "0") \
    "jz 779f\n\t"                                                             \
    entry                                                                     \
    "lea -1(%[cell]), %[cell]\n\t"                                            \
    "mov %[cell], " HYPERPORT_NOWHERE "\n" HYPERPORT_PLACE(4, TABLES, HYPERPORT_TABLE(LEFT), "0")
#define HYPERPORT_POST_CONSTANT(bytes)                                        \
    HYPERPORT_POST("movzbl " HYPERPORT_NOWHERE ", %[cell]\n"                  \
                   HYPERPORT_PLACE(4, POSTED, HYPERPORT_OF_SIZE(POSTED, bytes, 1), "%c[port]"), \
                   HYPERPORT_ENTRY_##bytes)
#define HYPERPORT_POST_DX(bytes)                                              \
    HYPERPORT_POST(HYPERPORT_CELL_OF_DX                                       \
                   "movzbl " HYPERPORT_NOWHERE "(%[cell]), %[cell]\n"         \
                   HYPERPORT_PLACE(4, TABLES, HYPERPORT_OF_SIZE(POSTED, bytes, 1), "0"), \
                   "movzwl %%dx, %[head]\n\t"                                 \
                   HYPERPORT_ADD_HEAD(HYPERPORT_HEAD(bytes) " + " HYPERPORT_TABLE(ENTRY_PORT)) \
                   HYPERPORT_STORE_HEAD HYPERPORT_STORE_VALUE)
#define HYPERPORT_CELL_OF_DX                                                  \
    "movzbl %%dh, %[cell]\n\t"                                                \
    "movzwl " HYPERPORT_NOWHERE "(, %[cell], 2), %[cell]\n"                   \
    HYPERPORT_PLACE(4, TABLES, HYPERPORT_TABLE(DIRECTORY) " + 512", "0")      \
    "movb %%dl, %b[cell]\n\t"
#define HYPERPORT_ENTRY_1 "movzbl %%al, %[head]\n\t" HYPERPORT_ADD_HEAD(HYPERPORT_HEAD(1)) HYPERPORT_STORE_HEAD
#define HYPERPORT_ENTRY_2 "movzwl %%ax, %[head]\n\t" HYPERPORT_ADD_HEAD(HYPERPORT_HEAD(2)) HYPERPORT_STORE_HEAD
#define HYPERPORT_ENTRY_4                                                     \
    "movl $0, " HYPERPORT_NOWHERE "(, %[cell], 8)\n"                          \
    HYPERPORT_PLACE(4, HEAD, HYPERPORT_HEAD(4), "0")                          \
    HYPERPORT_PLACE(8, TABLES, HYPERPORT_TABLE(RING) " - 8", "0")             \
    HYPERPORT_STORE_VALUE
#define HYPERPORT_ADD_HEAD(head) "lea 0x7FFFFFFF(%[head]), %[head]\n" HYPERPORT_PLACE(4, HEAD, head, "0")
#define HYPERPORT_STORE_HEAD                                                  \
    "mov %[head], " HYPERPORT_NOWHERE "(, %[cell], 8)\n" HYPERPORT_PLACE(4, TABLES, HYPERPORT_TABLE(RING) " - 8", "0")
#define HYPERPORT_STORE_VALUE                                                 \
    "mov %%eax, " HYPERPORT_NOWHERE "(, %[cell], 8)\n" HYPERPORT_PLACE(4, TABLES, HYPERPORT_TABLE(RING) " - 4", "0")

/* An IN. Out: EAX, of which the bits above the answer are anything. Of one byte at a constant port, where EDX is anything, too, and
 * all others. */
#define HYPERPORT_READ_BYTE                                                   \
    "mov " HYPERPORT_NOWHERE ", %%eax\n" HYPERPORT_PLACE(4, ANSWER, HYPERPORT_TABLE(ANSWERS), "%c[port]") \
    "test %%eax, %%eax\n\t"                                                   \
    "jns 779f\n\t"                                                            \
    "lea " HYPERPORT_TABLE(ANSWER_READ) "(%%eax), %%edx\n\t"                  \
    "mov %%edx, " HYPERPORT_NOWHERE "\n" HYPERPORT_PLACE(4, ANSWER, HYPERPORT_TABLE(ANSWERS), "%c[port]")
#define HYPERPORT_READ_DX(bytes)                                              \
    HYPERPORT_CELL_OF_DX                                                      \
    "movzwl " HYPERPORT_NOWHERE "(, %[cell], 2), %[cell]\n"                   \
    HYPERPORT_PLACE(4, TABLES, HYPERPORT_OF_SIZE(SHADOWED, bytes, 2), "0")    \
    "test %[cell], %[cell]\n\t"                                               \
    "jz 779f\n\t"                                                             \
    "mov " HYPERPORT_NOWHERE "(, %[cell], 8), %%eax\n" HYPERPORT_PLACE(4, TABLES, HYPERPORT_TABLE(REGISTERS), "0") \
    "addl $1, " HYPERPORT_NOWHERE "(, %[cell], 8)\n" HYPERPORT_PLACE(5, TABLES, HYPERPORT_TABLE(REGISTERS) " + 4", "0")

#endif
