/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Port I/O that is interrupted at each of its instructions, inline and by calls.
 * Drives: port 0x80 and the UART's scratch register, by the SDK's accessors; a device at 0x2B0 (tests/io/test_exitless.py) that
 * takes all widths at offset 0, and has 5Ah in each byte of what is read at offset 4; a device at 0x2A0 (likewise) that raises IRQ 5 so many nanoseconds after it was told: FIRST in bits 0 to 15, SECOND in 16 to 31. Its handler writes to port 0x80, too, and
 * lets others in.
 * Unit of work: one pair of times, which the device gives when it is read, until that is 0.
 * Command line: ops= as in start.h; calls: the accesses are made by the entries of the table, not in place; dx, words, longs, longs_dx:
 * in place, at a port that is no constant, in other widths, and both.
 * Ends with value 0; 1 if an access read something wrong, 2 if the back end is not there. */
#define HYPERPORT_IO_INLINE
#include <hyperport/lguest.h>
#include <hyperport/start.h>

#include "cpu.h"
#include "guest.h"
#include "segments.h"

#define TIMES 0x2A0 /* read: the next pair; write: go */
#define DONE 0x2A4  /* write: how many interrupts there were */
#define WIDE 0x2B0
#define WIDE_READ (WIDE + 4)
#define IRQ 5
#define POST_PORT 0x80
#define SCRATCH (COM1 + 7)
#define FROM_HANDLER 0x40
#define IDLE 400 /* turns of a loop; longer than all handlers, so that both interrupts have come by then */
#define PIC_ICW1 0x11
#define PIC_CASCADE 4
#define PIC_AUTO_EOI 3

static volatile uint32_t served;
static volatile uint16_t post_port = POST_PORT, scratch = SCRATCH, wide = WIDE, wide_read = WIDE_READ; /* no constants */

/* A way to make the accesses. put writes a byte, and get is true if all that was read is 5Ah. */
struct way {
    const char *option; /* null: without one */
    void (*put)(uint8_t value);
    bool (*get)(void);
};

static void put_byte(uint8_t value) { outb(value, POST_PORT); }
static bool get_byte(void) { return inb(SCRATCH) == 0x5A; }
static void put_call(uint8_t value) { hyperport_vmi_outb(hyperport_io.outb, value, POST_PORT); }
static bool get_call(void) { return hyperport_vmi_inb(hyperport_io.inb, SCRATCH) == 0x5A; }
static void put_dx(uint8_t value) { outb(value, post_port); }
static bool get_dx(void) { return inb(scratch) == 0x5A; }
static void put_word(uint8_t value) { outw((uint16_t)(0xA500 | value), WIDE); }
static bool get_word(void) { return inw(WIDE_READ) == 0x5A5A; }
static void put_long(uint8_t value) { outl(0xA5A5A500 | value, WIDE); }
static bool get_long(void) { return inl(WIDE_READ) == 0x5A5A5A5A; }
static void put_long_dx(uint8_t value) { outl(0xA5A5A500 | value, wide); }
static bool get_long_dx(void) { return inl(wide_read) == 0x5A5A5A5A; }

static const struct way ways[] = {
    {NULL, put_byte, get_byte},       {"calls", put_call, get_call},    {"dx", put_dx, get_dx},
    {"words", put_word, get_word},    {"longs", put_long, get_long},    {"longs_dx", put_long_dx, get_long_dx},
};
static const struct way *way = ways;

__attribute__((used)) static void on_interrupt(void)
{
    uint8_t number = (uint8_t)++served;
    __asm__ volatile("sti");
    way->put((uint8_t)(FROM_HANDLER + number));
}

__attribute__((naked)) static void handler(void)
{
    __asm__("pusha\n\tcld\n\tcall on_interrupt\n\tpopa\n\tiret");
}

static bool once(uint32_t times)
{
    served = 0;
    native_outl(times, TIMES);
    way->put(1);
    bool good = way->get();
    way->put(2);
    for (volatile int i = 0; i < IDLE; i++)
        ;
    native_outb((uint8_t)served, DONE);
    return good;
}

int main(const char *command_line)
{
    struct hyperport_io_config config = {.backend = HYPERPORT_AUTO};

    gdt_init();
    interrupt_init();
    pic_init();
    if (!hyperport_io_options(command_line, &config))
        return 2;
    if (config.backend == HYPERPORT_LGUEST)
        config.hardware_subarch = HYPERPORT_LGUEST_SUBARCH;
    struct hyperport_io_result io = hyperport_io_init(&config);
    if (io.reason || !io.exitless)
        return 2;
    for (unsigned i = 1; i < sizeof ways / sizeof ways[0]; i++)
        if (option_given(command_line, ways[i].option))
            way = &ways[i];
    native_outb(PIC_ICW1, PIC1_COMMAND);
    native_outb(IRQ_BASE, PIC1_DATA);
    native_outb(PIC_CASCADE, PIC1_DATA);
    native_outb(PIC_AUTO_EOI, PIC1_DATA);
    native_outb((uint8_t) ~(1u << IRQ), PIC1_DATA);
    interrupt_entry(IRQ_BASE + IRQ, handler, 0);
    native_outb(0x5A, SCRATCH);
    way->put(0); /* by this one the ring is opened */
    __asm__ volatile("sti");
    for (uint32_t times; (times = native_inl(TIMES)) != 0;)
        if (!once(times))
            return 1;
    return 0;
}
