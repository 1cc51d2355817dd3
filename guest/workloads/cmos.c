/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Reads of the CMOS RAM and clock, index by index.
 * Drives: ports 0x70 and 0x71.
 * Unit of work: one register: its index out, its value in. They go round 00h to 7Fh.
 * Checksum: the registers 40h to 7Fh, which are filled with a pattern first; the others are read all the same, but change with
 * time or from machine to machine. */
#include "workload.h"

#define CMOS_INDEX 0x70
#define CMOS_DATA 0x71
#define CMOS_REGISTERS 0x80u
#define FIRST_FREE 0x40u

static uint8_t cmos_read(uint8_t index)
{
    outb(index, CMOS_INDEX);
    accesses += 2;
    return inb(CMOS_DATA);
}

static const char *prepare(const char *command_line)
{
    (void)command_line;
    for (unsigned index = FIRST_FREE; index < CMOS_REGISTERS; index++) {
        outb((uint8_t)index, CMOS_INDEX);
        outb((uint8_t)(index * 167), CMOS_DATA);
    }
    return NULL;
}

static void run(uint32_t units)
{
    for (uint32_t i = 0; i < units; i++) {
        uint8_t index = (uint8_t)(i % CMOS_REGISTERS);
        uint8_t value = cmos_read(index);
        if (index >= FIRST_FREE)
            checksum_byte(value);
    }
}

const struct workload workload = {"cmos", 20000, prepare, run};
