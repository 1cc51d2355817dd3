/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Exercises a device that a test or an example supplies, at ports 0x300 to 0x30F with IRQ 5.
 * What the device must do, by offset:
 *   0  byte        a write is kept; a read gives it plus 1
 *   1  byte        writing 1 raises IRQ 5, writing 0 lowers it; a read gives the level
 *   2  word        as offset 0, 16 bits
 *   4  doubleword  as offset 0, 32 bits
 *   8  byte        a FIFO of at least 16 bytes: writes (also REP OUTSB) go in, reads (also REP INSB) come out, each plus 1
 * All sums wrap at their width.
 * Drives: IN and OUT of every size, REP INSB and REP OUTSB, one interrupt awaited in HLT (two seconds at most).
 * Unit of work: one check. Ends: value 0 if every check passed, else 1. */
#include "cpu.h"
#include "guest.h"
#include "io.h"
#include "segments.h"

#define BASE 0x300
#define REGISTER_BYTE (BASE + 0)
#define REGISTER_IRQ (BASE + 1)
#define REGISTER_WORD (BASE + 2)
#define REGISTER_DWORD (BASE + 4)
#define REGISTER_FIFO (BASE + 8)
#define DEVICE_IRQ 5
#define TICKS_HZ 100
#define TICKS_LIMIT 200
#define BLOCK 16

static volatile uint32_t ticks, device_irqs;
static unsigned failures;

static void on_tick(struct frame *frame)
{
    (void)frame;
    ticks++;
}

static void on_device(struct frame *frame)
{
    (void)frame;
    device_irqs++;
    outb(0, REGISTER_IRQ);
}

static void check(const char *what, uint32_t got, uint32_t expected)
{
    bool good = got == expected;
    print("devtest: %s %x %s\n", what, got, good ? "ok" : "WRONG");
    if (!good) {
        print("devtest: %s should be %x\n", what, expected);
        failures++;
    }
}

static void check_block(void)
{
    uint8_t sent[BLOCK], received[BLOCK];
    unsigned wrong = 0;

    for (unsigned i = 0; i < BLOCK; i++)
        sent[i] = (uint8_t)(0xF8 + i);
    outsb(REGISTER_FIFO, sent, BLOCK);
    insb(REGISTER_FIFO, received, BLOCK);
    for (unsigned i = 0; i < BLOCK; i++)
        wrong += received[i] != (uint8_t)(sent[i] + 1);
    check("wrong bytes in block", wrong, 0);
}

static void check_interrupt(void)
{
    irq_handle(0, on_tick);
    irq_handle(DEVICE_IRQ, on_device);
    pit_periodic(TICKS_HZ);
    outb(1, REGISTER_IRQ);
    while (!device_irqs && ticks < TICKS_LIMIT)
        wait_for_interrupt();
    check("interrupts", device_irqs, 1);
    check("interrupt level", inb(REGISTER_IRQ), 0);
}

int main(const char *command_line)
{
    (void)command_line;
    gdt_init();
    interrupt_init();
    pic_init();
    outb(0x41, REGISTER_BYTE);
    check("byte", inb(REGISTER_BYTE), 0x42);
    outw(0x12FF, REGISTER_WORD);
    check("word", inw(REGISTER_WORD), 0x1300);
    outl(0xDEADBEEF, REGISTER_DWORD);
    check("doubleword", inl(REGISTER_DWORD), 0xDEADBEF0);
    check_block();
    check_interrupt();
    print("devtest: %u failures\n", failures);
    return failures != 0;
}
