/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Computing with port I/O in between, at a ratio of one's choice.
 * Drives: in turn the PIC's mask, the CMOS RAM, the UART's line control register and the diagnostic port: 6 accesses a round.
 * Unit of work: one access, with ratio=N steps of a generator over 4 KiB of memory before it (10: docs/performance.md says why).
 * Checksum: all values read, and the state that the computation ends in. */
#include "workload.h"

#define CMOS_INDEX 0x70
#define CMOS_DATA 0x71
#define CMOS_FREE 0x50
#define POST_PORT 0x80
#define WORDS 1024u
#define DEFAULT_RATIO 10u

static uint32_t memory[WORDS];
static uint32_t state = 1, ratio;

static const char *prepare(const char *command_line)
{
    ratio = option_number(command_line, "ratio", DEFAULT_RATIO);
    outb(CMOS_FREE, CMOS_INDEX);
    outb(0x5A, CMOS_DATA);
    return NULL;
}

static void compute(void)
{
    for (uint32_t step = ratio; step; step--) {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        memory[state % WORDS] += state;
        state += memory[(state >> 16) % WORDS];
        state |= 1;
    }
}

static void one_access(uint32_t number)
{
    switch (number % 6) {
    case 0:
        checksum_byte(inb(PIC1_DATA));
        break;
    case 1:
        outb(0xFB, PIC1_DATA);
        break;
    case 2:
        outb(CMOS_FREE, CMOS_INDEX);
        break;
    case 3:
        checksum_byte(inb(CMOS_DATA));
        break;
    case 4:
        checksum_byte(inb(COM1 + UART_LCR));
        break;
    case 5:
        outb((uint8_t)state, POST_PORT);
        break;
    }
}

static void run(uint32_t units)
{
    for (uint32_t i = 0; i < units; i++) {
        compute();
        one_access(i);
    }
    accesses = units;
    checksum_long(state);
}

const struct workload workload = {"mix", 20000, prepare, run};
