/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a workload is: a program that does N units of port I/O through the SDK and says what it read and how long it took.
 *
 * Its command line: n=N units; ops= and vmi= as in hyperport/start.h; tsc_khz=K, which saves measuring that; mark=PORT: write a
 * byte there before and after the work, 1 and then 0, for a VMM that counts; the clock does not run then.
 * It prints one line, with all numbers decimal but the checksum:
 *   workload NAME units U accesses A checksum C ns T tsc_khz K ops BACKEND taken O sites S patched P
 * accesses: port transfers asked for, each element of a string and each pause being one, however they were carried out;
 * checksum: FNV-1a, 32 bits, over all values read that do not depend on time, in order, little-endian;
 * ns: time in the timed part; ops: the back end; taken: of the twelve calls, how many go through it;
 * sites, patched: call sites in the program, and those rewritten.
 * Ends: value 0; 2 with a line "workload NAME: REASON" if it cannot run as asked. */
#ifndef HYPERPORT_WORKLOAD_H
#define HYPERPORT_WORKLOAD_H

#include <hyperport/io.h>

#include "cpu.h"
#include "guest.h"

struct workload {
    const char *name;
    uint32_t units; /* without n= */
    /* Before the clock starts: null, or why it cannot run. May be null itself. */
    const char *(*prepare)(const char *command_line);
    void (*run)(uint32_t units);
};

/* Each program has one. */
extern const struct workload workload;

extern uint64_t accesses;

/* The clock runs from before run() to after it; in between it can be stopped. */
extern uint64_t clock_cycles, clock_started;

static inline void clock_start(void)
{
    clock_started = tsc_read();
}

static inline void clock_stop(void)
{
    clock_cycles += tsc_read() - clock_started;
}

extern uint32_t checksum;

static inline void checksum_byte(uint8_t value)
{
    checksum = (checksum ^ value) * 16777619u; /* FNV-1a */
}

static inline void checksum_long(uint32_t value)
{
    for (unsigned i = 0; i < 4; i++)
        checksum_byte((uint8_t)(value >> 8 * i));
}

static inline void checksum_block(const uint8_t *data, size_t count)
{
    while (count--)
        checksum_byte(*data++);
}

#endif
