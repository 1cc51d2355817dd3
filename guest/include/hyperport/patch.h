/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Rewriting the sites of io.h in place.
 *
 * The linker gathers the records of all sites in the section hyperport_sites (an allocated, read-only section that it places
 * by itself; a linker script that discards unknown sections must keep it). What a site becomes depends on the table:
 *   the entry is native             the port instruction, then NOPs
 *   it is hyperport_io_nop          NOPs
 *   anything else                   CALL rel32 to the entry, then NOPs
 *   the site is below five bytes    as it was: an indirect call (the accessors of io.h make theirs large enough)
 * A site can be rewritten any number of times. */
#ifndef HYPERPORT_PATCH_H
#define HYPERPORT_PATCH_H

#include <stdint.h>

#define HYPERPORT_SITE_SMALLEST 5u /* bytes of CALL rel32 */

struct hyperport_site {
    uint32_t address;
    uint8_t op; /* enum hyperport_op; HYPERPORT_OPS more for an entry of hyperport_io_crossing */
    uint8_t length;
    uint16_t reserved;
};

struct hyperport_patch_result {
    unsigned sites, patched;
};

/* Rewrites the sites first to end (exclusive) by the tables hyperport_io and hyperport_io_crossing, for instance those of a module just loaded.
 * The code must be writable, and no other CPU may run it. Interrupts are kept off meanwhile. */
struct hyperport_patch_result hyperport_patch(const struct hyperport_site *first, const struct hyperport_site *end);

/* The same for all sites linked into this image. */
struct hyperport_patch_result hyperport_patch_all(void);

/* Writes CALL rel32 (opcode E8h) or JMP rel32 (E9h) to target at site, and NOPs up to length, which is at least five. */
void hyperport_patch_branch(uint8_t *site, unsigned length, uint8_t opcode, uint32_t target);
#define HYPERPORT_CALL_REL32 0xE8u
#define HYPERPORT_JMP_REL32 0xE9u

#endif
