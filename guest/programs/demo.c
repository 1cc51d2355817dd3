/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The guest of `make demo`: a short walk over the ports of a PC.
 * Drives: COM1, CMOS clock, PIT and PIC (20 ticks at 100 Hz, asleep in between), PCI configuration, POST port, debugcon.
 * Unit of work: one walk, under a second. Ends: exit port, value 0. */
#include "cpu.h"
#include "guest.h"
#include "io.h"
#include "segments.h"

#define CMOS_INDEX 0x70
#define CMOS_DATA 0x71
#define CMOS_STATUS_A 0x0A
#define CMOS_UPDATING 0x80
#define PCI_ADDRESS 0xCF8
#define PCI_DATA 0xCFC
#define POST_PORT 0x80
#define DEBUGCON_PORT 0xE9
#define TICKS_HZ 100
#define TICKS 20
#define POST_CODES 16

static volatile uint32_t ticks;

static void tick(struct frame *frame)
{
    (void)frame;
    ticks++;
}

static uint8_t cmos_read(uint8_t index)
{
    outb(index, CMOS_INDEX);
    return inb(CMOS_DATA);
}

static void show_clock(void)
{
    while (cmos_read(CMOS_STATUS_A) & CMOS_UPDATING)
        ;
    /* BCD, as firmware leaves it */
    print("  clock     20%02x-%02x-%02x %02x:%02x:%02x from CMOS\n", cmos_read(9), cmos_read(8), cmos_read(7), cmos_read(4),
          cmos_read(2), cmos_read(0));
}

static void show_timer(void)
{
    irq_handle(0, tick);
    pit_periodic(TICKS_HZ);
    while (ticks < TICKS)
        wait_for_interrupt();
    pic_mask(0);
    print("  timer     %u interrupts at %u Hz, the CPU halted between them\n", ticks, TICKS_HZ);
}

static void show_pci(void)
{
    unsigned found = 0;
    for (uint32_t device = 0; device < 32; device++) {
        outl(0x80000000u | device << 11, PCI_ADDRESS);
        found += inl(PCI_DATA) != 0xFFFFFFFFu;
    }
    print("  pci       %u of 32 slots of bus 0 in use\n", found);
}

static void show_blocks(void)
{
    static const char message[] = "hello from the guest, by one REP OUTSB\n";
    for (uint8_t code = 0; code < POST_CODES; code++)
        outb(code, POST_PORT);
    outsb(DEBUGCON_PORT, message, sizeof message - 1);
    print("  post      %u codes written to port 0x80\n", POST_CODES);
    print("  debugcon  %u bytes written to port 0xe9 as a string\n", (unsigned)sizeof message - 1);
}

int main(const char *command_line)
{
    (void)command_line;
    gdt_init();
    interrupt_init();
    pic_init();
    print("hyperport demo guest: a PC seen through its ports\n");
    show_clock();
    show_timer();
    show_pci();
    show_blocks();
    print("done\n");
    return 0;
}
