/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Timer interrupts, serviced as a kernel of the PIC's time does.
 * Drives: the PIT's channel 0 and the PIC. Per tick: the PIC's in-service register, mask, end of interrupt, the channel's
 * status and its latched count, unmask.
 * Unit of work: one tick, at 1 kHz. Command line: hz=N. The clock runs only inside the service routine.
 * Checksum: the in-service register, the mask, the mode in the channel's status. */
#include <hyperport/io.h>

#include "workload.h"

#define PIT_CHANNEL0 0x40
#define PIT_CONTROL 0x43
#define PIT_RATE_GENERATOR 0x34   /* channel 0, both bytes, mode 2 */
#define PIT_READ_BACK_STATUS 0xC2 /* count and status of channel 0 */
#define PIT_STATUS_MODE 0x3F
#define OCW2_EOI 0x20
#define OCW3_READ_ISR 0x0B
#define TIMER_BIT 0x01
#define DEFAULT_HZ 1000u

static volatile uint32_t left;
static uint32_t hz;

static void on_tick(struct frame *frame)
{
    (void)frame;
    if (!left)
        return;
    clock_start();
    outb(OCW3_READ_ISR, PIC1_COMMAND);
    checksum_byte(inb(PIC1_COMMAND));
    uint8_t mask = inb(PIC1_DATA);
    checksum_byte(mask);
    outb(mask | TIMER_BIT, PIC1_DATA);
    outb(PIT_READ_BACK_STATUS, PIT_CONTROL);
    checksum_byte(inb(PIT_CHANNEL0) & PIT_STATUS_MODE);
    (void)inb(PIT_CHANNEL0);
    (void)inb(PIT_CHANNEL0);
    outb(mask, PIC1_DATA);
    outb(OCW2_EOI, PIC1_COMMAND);
    accesses += 9;
    left--;
    clock_stop();
}

static const char *prepare(const char *command_line)
{
    hz = option_number(command_line, "hz", DEFAULT_HZ);
    return hz < 19 || hz > 20000 ? "hz= is 19 to 20000" : NULL;
}

static void run(uint32_t units)
{
    uint32_t count = PIT_HZ / hz;

    clock_stop();
    clock_cycles = 0;
    left = units;
    interrupt_handle(IRQ_BASE, on_tick);
    outb(PIT_RATE_GENERATOR, PIT_CONTROL);
    outb((uint8_t)count, PIT_CHANNEL0);
    outb((uint8_t)(count >> 8), PIT_CHANNEL0);
    pic_unmask(0);
    while (left)
        wait_for_interrupt();
    pic_mask(0);
    clock_start();
}

const struct workload workload = {"ticks", 500, prepare, run};
