/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Computing with port I/O in between, at a ratio of one's choice.
 * Drives: in turn the PIC's mask, the CMOS RAM, the UART's line control register and the diagnostic port.
 * Unit of work: a round of these 6 accesses, with ratio=N steps of a generator over 4 KiB of memory before each (20:
 * docs/performance.md says why).
 * Checksum: all values read, and the state that the computation ends in. */
#include "workload.h"

#define CMOS_INDEX 0x70
#define CMOS_DATA 0x71
#define CMOS_FREE 0x50
#define POST_PORT 0x80
#define WORDS 1024u
#define DEFAULT_RATIO 20u

static uint32_t memory[WORDS];
static uint32_t state = 1, ratio;

static const char *prepare(const char *command_line)
{
    ratio = option_number(command_line, "ratio", DEFAULT_RATIO);
    outb(CMOS_FREE, CMOS_INDEX);
    outb(0x5A, CMOS_DATA);
    return NULL;
}

/* In place, as what a driver does between two accesses. */
static inline __attribute__((always_inline)) void compute(void)
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

static void run(uint32_t units)
{
    for (uint32_t i = 0; i < units; i++) {
        compute();
        checksum_byte(inb(PIC1_DATA));
        compute();
        outb(0xFB, PIC1_DATA);
        compute();
        outb(CMOS_FREE, CMOS_INDEX);
        compute();
        checksum_byte(inb(CMOS_DATA));
        compute();
        checksum_byte(inb(COM1 + UART_LCR));
        compute();
        outb((uint8_t)state, POST_PORT);
    }
    accesses = 6 * (uint64_t)units;
    checksum_long(state);
}

const struct workload workload = {"mix", 3000, prepare, run};
