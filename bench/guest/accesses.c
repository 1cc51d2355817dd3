/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One guest program for all that bench/peers.py compares: a loop for each kind of access. The host takes the time, from the
 * line "begin NAME" to the line "end NAME N", since not every peer gives its guest a clock that is the host's.
 * Drives: port 80h, COM2, CMOS, PCI, PIT, an IDE disk at 0x1F0, an NE2000 at 0x300, and a device of the bench at 0x350.
 * Command line: NAME=N units of each kind; without it the kind is left out. warm=N: so many before them, by default N/64, for
 * who compiles only what is executed often; of blocks, a 1000th. What the SDK's options are (start.h): ops=native.
 * Prints "missing NAME" where a device does not answer. Ends with "over". */
#include <hyperport/io.h>
#include <hyperport/start.h>

#include "guest.h"

enum { POST = 0x80, COM2 = 0x2F8, CMOS = 0x70, PCI = 0xCF8, PIT = 0x40, ATA = 0x1F0, NE2000 = 0x300, EXTRA = 0x350 };
enum { LSR_THRE = 0x20, ATA_ERR = 0x01, ATA_DRQ = 0x08, ATA_BSY = 0x80, READ_SECTORS = 0x20, IDENTIFY = 0xEC };
enum { ELEMENTS = 256, SECTOR = 512, CARD_BLOCK = 256, LIMIT = 1000000 };

static uint16_t buffer[SECTOR];
static unsigned failures; /* of the phase at hand */

static void post(void) { outb(0x5A, POST); }
static void lsr(void) { inb(COM2 + 5); }
static void thr(void) { outb('x', COM2); }
static void python_in(void) { inb(EXTRA); }
static void python_out(void) { outb(1, EXTRA); }
static void ata_status(void) { inb(ATA + 7); }
static void rep_out(void) { outsb(POST, buffer, ELEMENTS); }

static void cmos(void)
{
    outb(0x0D, CMOS);
    inb(CMOS + 1);
}

static void pci(void)
{
    outl(0x80000000, PCI);
    inl(PCI + 4);
}

static void pit(void)
{
    outb(0x00, PIT + 3); /* latch counter 0 */
    inb(PIT);
    inb(PIT);
}

static void take_sector(uint8_t command)
{
    uint8_t status = ATA_BSY;

    outb(0xE0, ATA + 6);
    outb(1, ATA + 2);
    outb(0, ATA + 3);
    outb(0, ATA + 4);
    outb(0, ATA + 5);
    outb(command, ATA + 7);
    for (uint32_t poll = 0; poll < LIMIT; poll++) {
        status = inb(ATA + 7);
        if (!(status & ATA_BSY) && status & (ATA_DRQ | ATA_ERR))
            break;
    }
    if (!(status & ATA_DRQ) || status & (ATA_BSY | ATA_ERR))
        failures++;
    else
        insw(ATA, buffer, SECTOR / 2);
}

static void sector(void) { take_sector(READ_SECTORS); }
static void identify(void) { take_sector(IDENTIFY); }

static void card(void)
{
    outb(0x22, NE2000);
    outb(CARD_BLOCK & 0xFF, NE2000 + 10);
    outb(CARD_BLOCK >> 8, NE2000 + 11);
    outb(0, NE2000 + 8);
    outb(0x40, NE2000 + 9);
    outb(0x40, NE2000 + 7);
    outb(0x0A, NE2000);
    insw(NE2000 + 0x10, buffer, CARD_BLOCK / 2);
}

static bool always(void) { return true; }
static bool com2_there(void) { return inb(COM2 + 5) != 0xFF; }
static bool pci_there(void) { outl(0x80000000, PCI); return inl(PCI) == 0x80000000; }

static bool disk_there(void)
{
    outb(0x02, 0x3F6); /* nIEN */
    outb(0xE0, ATA + 6);
    failures = 0;
    identify();
    return !failures;
}

static bool card_there(void)
{
    inb(NE2000 + 0x1F); /* reset */
    outb(0x21, NE2000);
    outb(0x49, NE2000 + 14); /* words, FIFO threshold 8 */
    return inb(NE2000) == 0x21;
}

static bool extra_there(void) { return inb(EXTRA) != 0xFF; }

static const struct phase {
    const char *name;
    void (*unit)(void);
    bool (*there)(void);
    bool block;
} phases[] = {
    {"post", post, always, false},
    {"lsr", lsr, com2_there, false},
    {"thr", thr, com2_there, false},
    {"cmos", cmos, always, false},
    {"pci", pci, pci_there, false},
    {"pit", pit, always, false},
    {"ata", ata_status, disk_there, false},
    {"rep", rep_out, always, true},
    {"sector", sector, disk_there, true},
    {"identify", identify, disk_there, true},
    {"card", card, card_there, true},
    {"pyin", python_in, extra_there, false},
    {"pyout", python_out, extra_there, false},
};

static void measure(const struct phase *phase, uint32_t units, uint32_t warm)
{
    if (!phase->there()) {
        print("missing %s\n", phase->name);
        return;
    }
    if (phase->block)
        warm /= 1000;
    for (uint32_t unit = 0; unit <= (warm ? warm : units / 64); unit++) /* translated, and what else is slow at first */
        phase->unit();
    failures = 0;
    print("begin %s\n", phase->name);
    native_inb(POST); /* a crossing: what was posted is done */
    for (uint32_t unit = 0; unit < units; unit++)
        phase->unit();
    print("end %s %u\n", phase->name, units);
    native_inb(POST);
    if (failures)
        print("failed %s %u\n", phase->name, failures);
}

int main(const char *command_line)
{
    struct hyperport_io_config config = {.backend = HYPERPORT_AUTO};

    hyperport_io_options(command_line, &config);
    print("ops %s\n", hyperport_backend_name(hyperport_io_init(&config).backend));
    for (const struct phase *phase = phases; phase < phases + sizeof phases / sizeof phases[0]; phase++) {
        uint32_t units = option_number(command_line, phase->name, 0);
        if (units)
            measure(phase, units, option_number(command_line, "warm", 0));
    }
    print("over\n");
    return 0;
}
