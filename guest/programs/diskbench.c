/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Reads the first drive of the primary IDE channel by PIO, polled, as a driver does (ATA/ATAPI-6, clause 9.6).
 * Drives: hda at 0x1F0 and 0x3F6, with nIEN set.
 * Units of work, by name:
 *   multiple   one sector by READ MULTIPLE, a block of 16 sectors by one REP INSW
 *   sectors    one sector by READ SECTORS, each by one REP INSW
 *   dwords     one sector by READ MULTIPLE and REP INSL
 * Command line: n=N sectors of each (1000); names of phases: only those.
 * Prints "tsc_khz F", then for each phase "bench NAME N TSC_DELTA" and "checksum NAME FNV1A", a 32-bit FNV-1a of all
 * words that were read. Ends: value 0; 1 without a drive, 2 if a command fails. */
#include "cpu.h"
#include "guest.h"
#include "io.h"

#define BASE 0x1F0
#define CONTROL_PORT 0x3F6
#define SECTOR 512u
#define BLOCK 16u       /* sectors */
#define BATCH 128u      /* sectors of a command */
#define LIMIT 10000000u /* reads of the status before a drive is given up */

enum ata_register { DATA = 0, COUNT = 2, LBA_LOW = 3, LBA_MID = 4, LBA_HIGH = 5, DEVICE = 6, STATUS = 7 };
enum ata_status { ERR = 0x01, DRQ = 0x08, DRDY = 0x40, BSY = 0x80 };
enum ata_command { READ_SECTORS = 0x20, READ_MULTIPLE = 0xC4, SET_MULTIPLE = 0xC6 };

static uint32_t buffer[BLOCK * SECTOR / 4];
static uint32_t sectors;

static void fail(const char *what)
{
    print("diskbench: %s, status %02x\n", what, inb(BASE + STATUS));
    guest_exit(2);
}

static uint8_t settled(void)
{
    for (uint32_t i = 0; i < LIMIT; i++) {
        uint8_t status = inb(BASE + STATUS);
        if (!(status & BSY))
            return status;
    }
    fail("busy for ever");
    return 0;
}

static void command(uint8_t code, uint32_t lba, uint32_t count)
{
    outb(0xE0 | (lba >> 24 & 0xF), BASE + DEVICE);
    outb((uint8_t)count, BASE + COUNT);
    outb((uint8_t)lba, BASE + LBA_LOW);
    outb((uint8_t)(lba >> 8), BASE + LBA_MID);
    outb((uint8_t)(lba >> 16), BASE + LBA_HIGH);
    outb(code, BASE + STATUS);
    if (settled() & ERR)
        fail("command failed");
}

static void take(uint32_t bytes, bool dwords)
{
    void *to = buffer;
    if (!(settled() & DRQ))
        fail("no data");
    if (dwords) {
        uint32_t count = bytes / 4;
        __asm__ volatile("rep insl" : "+D"(to), "+c"(count) : "d"(BASE + DATA) : "memory");
    } else {
        uint32_t count = bytes / 2;
        __asm__ volatile("rep insw" : "+D"(to), "+c"(count) : "d"(BASE + DATA) : "memory");
    }
}

static uint32_t fold(uint32_t sum, uint32_t bytes)
{
    for (uint32_t i = 0; i < bytes / 4; i++)
        sum = (sum ^ buffer[i]) * 16777619u;
    return sum;
}

/* All sectors once; block is how many come with one DRQ. Returns the checksum, or 0 where it is not wanted. */
static uint32_t read_all(uint8_t code, uint32_t block, bool dwords, bool checked)
{
    uint32_t sum = checked ? 2166136261u : 0;
    for (uint32_t lba = 0; lba < sectors;) {
        uint32_t batch = sectors - lba < BATCH ? sectors - lba : BATCH;
        command(code, lba, batch);
        lba += batch;
        while (batch) {
            uint32_t now = batch < block ? batch : block;
            take(now * SECTOR, dwords);
            if (checked)
                sum = fold(sum, now * SECTOR);
            batch -= now;
        }
    }
    return sum;
}

static const struct {
    const char *name;
    uint8_t code;
    uint32_t block;
    bool dwords;
} phases[] = {
    {"multiple", READ_MULTIPLE, BLOCK, false},
    {"sectors", READ_SECTORS, 1, false},
    {"dwords", READ_MULTIPLE, BLOCK, true},
};

#define PHASES (sizeof phases / sizeof phases[0])

static void measure(unsigned phase)
{
    uint64_t start = tsc_read();
    read_all(phases[phase].code, phases[phase].block, phases[phase].dwords, false);
    uint64_t delta = tsc_read() - start;
    print("bench %s %u ", phases[phase].name, sectors);
    print_long(delta);
    print("\n");
    print("checksum %s %08x\n", phases[phase].name,
          read_all(phases[phase].code, phases[phase].block, phases[phase].dwords, true));
}

int main(const char *command_line)
{
    bool chosen = false;

    sectors = option_number(command_line, "n", 1000);
    outb(0x02, CONTROL_PORT); /* nIEN */
    outb(0xE0, BASE + DEVICE);
    if ((settled() & (DRDY | DRQ)) != DRDY) {
        print("diskbench: no drive at %x\n", BASE);
        return 1;
    }
    command(SET_MULTIPLE, 0, BLOCK);
    print("tsc_khz %u\n", tsc_khz());
    for (unsigned i = 0; i < PHASES; i++)
        chosen |= option_given(command_line, phases[i].name);
    for (unsigned i = 0; i < PHASES; i++)
        if (!chosen || option_given(command_line, phases[i].name))
            measure(i);
    return 0;
}
