/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Moves blocks between memory and an NE2000's buffer, as its driver does for every packet (DP8390D datasheet, 9.0).
 * Drives: an NE2000 at 0x300, without interrupts.
 * Units of work, by name:
 *   read    4 KiB by remote read and one REP INSW, with the seven accesses that set it up
 *   write   4 KiB by remote write and one REP OUTSW
 *   dwords  4 KiB by remote read and one REP INSL
 * Command line: n=N units of each (1000); names of phases: only those.
 * Prints "tsc_khz F", then for each phase "bench NAME N TSC_DELTA", then "checksum FNV1A", a 32-bit FNV-1a of all words in
 * the buffer after it was written and read back. Ends: value 0; 1 without a card, 2 if the data port gave other bytes. */
#include "cpu.h"
#include "guest.h"
#include "io.h"

#define BASE 0x300
#define DATA_PORT (BASE + 0x10)
#define RESET_PORT (BASE + 0x1F)
#define BUFFER 0x4000u
#define BLOCK 4096u
#define LIMIT 1000000u /* reads of ISR before the card is given up */

enum dp8390_register {
    CR = 0,
    PSTART = 1,
    PSTOP = 2,
    ISR = 7,
    RSAR0 = 8,
    RSAR1 = 9,
    RBCR0 = 10,
    RBCR1 = 11,
    DCR = 14,
    IMR = 15,
};
enum dp8390_command { STOP = 0x21, START = 0x22, READ = 0x0A, WRITE = 0x12 };
enum dp8390_status { RDC = 0x40, RST = 0x80 };

static uint32_t pattern[BLOCK / 4], copy[BLOCK / 4];
static uint32_t units;

static bool wait_for(uint8_t bit)
{
    for (uint32_t i = 0; i < LIMIT; i++)
        if (inb(BASE + ISR) & bit)
            return true;
    return false;
}

static void remote(uint8_t command)
{
    outb(START, BASE + CR);
    outb(BLOCK & 0xFF, BASE + RBCR0);
    outb(BLOCK >> 8, BASE + RBCR1);
    outb(BUFFER & 0xFF, BASE + RSAR0);
    outb(BUFFER >> 8, BASE + RSAR1);
    outb(RDC, BASE + ISR);
    outb(command, BASE + CR);
}

static void read_words(void)
{
    void *to = copy;
    uint32_t count = BLOCK / 2;
    remote(READ);
    __asm__ volatile("rep insw" : "+D"(to), "+c"(count) : "d"(DATA_PORT) : "memory");
}

static void read_dwords(void)
{
    void *to = copy;
    uint32_t count = BLOCK / 4;
    remote(READ);
    __asm__ volatile("rep insl" : "+D"(to), "+c"(count) : "d"(DATA_PORT) : "memory");
}

static void write_words(void)
{
    const void *from = pattern;
    uint32_t count = BLOCK / 2;
    remote(WRITE);
    __asm__ volatile("rep outsw" : "+S"(from), "+c"(count) : "d"(DATA_PORT) : "memory");
}

static const struct {
    const char *name;
    void (*run)(void);
} phases[] = {
    {"read", read_words},
    {"write", write_words},
    {"dwords", read_dwords},
};

#define PHASES (sizeof phases / sizeof phases[0])

static void measure(unsigned phase)
{
    uint64_t start = tsc_read();
    for (uint32_t i = 0; i < units; i++)
        phases[phase].run();
    uint64_t delta = tsc_read() - start;
    print("bench %s %u ", phases[phase].name, units);
    print_long(delta);
    print("\n");
}

static int check(void (*read)(void))
{
    uint32_t sum = 2166136261u;
    memset(copy, 0, sizeof copy);
    read();
    if (!wait_for(RDC) || memcmp(copy, pattern, sizeof copy))
        return 2;
    for (uint32_t i = 0; i < BLOCK / 4; i++)
        sum = (sum ^ copy[i]) * 16777619u;
    print("checksum %08x\n", sum);
    return 0;
}

int main(const char *command_line)
{
    bool chosen = false;

    units = option_number(command_line, "n", 1000);
    outb(inb(RESET_PORT), RESET_PORT);
    if (inb(BASE + CR) == 0xFF || !wait_for(RST)) {
        print("netbench: no NE2000 at %x\n", BASE);
        return 1;
    }
    outb(STOP, BASE + CR);
    outb(0x49, BASE + DCR); /* words, FIFO threshold of 8 bytes, no loopback */
    outb(0, BASE + IMR);
    outb(0x60, BASE + PSTART);
    outb(0x80, BASE + PSTOP);
    for (uint32_t i = 0; i < BLOCK / 4; i++)
        pattern[i] = i * 2654435761u;
    print("tsc_khz %u\n", tsc_khz());
    write_words();
    for (unsigned i = 0; i < PHASES; i++)
        chosen |= option_given(command_line, phases[i].name);
    for (unsigned i = 0; i < PHASES; i++)
        if (!chosen || option_given(command_line, phases[i].name))
            measure(i);
    return check(read_words) ? 2 : check(read_dwords);
}
