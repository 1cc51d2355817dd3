/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A driver on the SDK, and the one call that a kernel adds for all its drivers: reading sectors of an ATA disk by PIO.
 * To take it over: put guest/include on the include path, the files of guest/sdk into the kernel, and call io_start() early.
 * Not a program: it shows use. */
#include <hyperport/io.h>
#include <hyperport/lguest.h>
#include <hyperport/start.h>

/* The kernel's part. */

bool io_start(const char *command_line, const void *boot_parameters, uintptr_t direct_map);

/* Interrupts are off, paging is on, physical memory begins at the virtual address direct_map. False: a word was wrong. */
bool io_start(const char *command_line, const void *boot_parameters, uintptr_t direct_map)
{
    struct hyperport_io_config config = {
        .backend = HYPERPORT_AUTO,
        .direct_map = direct_map,
        .hardware_subarch = hyperport_hardware_subarch(boot_parameters),
    };
    bool understood = hyperport_io_options(command_line, &config);
    struct hyperport_io_result io = hyperport_io_init(&config);
    return understood && (config.backend == HYPERPORT_AUTO || !io.reason);
}

/* The driver's part: it says inb and insw as ever, and does not know what becomes of them. */

#define ATA 0x1F0 /* the first channel's ports */
enum {
    ATA_DATA = ATA + 0,
    ATA_COUNT = ATA + 2,
    ATA_LBA_LOW = ATA + 3,
    ATA_LBA_MIDDLE = ATA + 4,
    ATA_LBA_HIGH = ATA + 5,
    ATA_DEVICE = ATA + 6,
    ATA_STATUS = ATA + 7,  /* read */
    ATA_COMMAND = ATA + 7, /* write */
};
#define ATA_STATUS_ERROR 0x01
#define ATA_STATUS_DRQ 0x08
#define ATA_STATUS_BUSY 0x80
#define ATA_DEVICE_LBA 0xE0
#define ATA_READ_SECTORS 0x20
#define SECTOR_WORDS 256u
#define POLLS 1000000u

bool ata_read(uint32_t lba, uint8_t count, uint16_t *buffer);

static bool ata_wait(uint8_t wanted)
{
    for (unsigned poll = 0; poll < POLLS; poll++) {
        uint8_t status = inb(ATA_STATUS);
        if (status & ATA_STATUS_BUSY)
            continue;
        if (status & ATA_STATUS_ERROR)
            return false;
        if ((status & wanted) == wanted)
            return true;
    }
    return false;
}

/* Reads count sectors (0 is 256) from lba on (28 bits) into buffer. */
bool ata_read(uint32_t lba, uint8_t count, uint16_t *buffer)
{
    outb((uint8_t)(ATA_DEVICE_LBA | (lba >> 24 & 0x0F)), ATA_DEVICE);
    if (!ata_wait(0))
        return false;
    outb_p(count, ATA_COUNT);
    outb_p((uint8_t)lba, ATA_LBA_LOW);
    outb_p((uint8_t)(lba >> 8), ATA_LBA_MIDDLE);
    outb_p((uint8_t)(lba >> 16), ATA_LBA_HIGH);
    outb(ATA_READ_SECTORS, ATA_COMMAND);
    for (unsigned sector = count ? count : 256; sector; sector--, buffer += SECTOR_WORDS) {
        if (!ata_wait(ATA_STATUS_DRQ))
            return false;
        insw(ATA_DATA, buffer, SECTOR_WORDS); /* one crossing where 256 would be */
    }
    return true;
}
