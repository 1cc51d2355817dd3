/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Paused writes to the diagnostic port, as drivers of slow ISA chips make them.
 * Drives: port 0x80, by outb_p; the pause is another write there, or nothing at all if the back end says that none is needed.
 * Unit of work: one paused write. Its pause counts as an access even where it is nothing.
 * Checksum: nothing is read, so always 811c9dc5. */
#include "workload.h"

#define POST_PORT 0x80

static void run(uint32_t units)
{
    for (uint32_t i = 0; i < units; i++)
        outb_p((uint8_t)i, POST_PORT);
    accesses = 2 * (uint64_t)units;
}

const struct workload workload = {"delay", 20000, NULL, run};
