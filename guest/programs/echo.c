/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Echoes COM1 in upper case and proves that no byte was lost on the way in.
 * Drives: the 16550A's receive interrupt with FIFO (trigger level 8), and the receiver left full for a while.
 * Unit of work: one received byte. Ends: at Ctrl-D (not counted), value 0, or 1 after an overrun; the last line is
 *   echo: N bytes, fnv1a XXXXXXXX, N overruns
 * A ring of 256 bytes lies between the interrupt and the echo. When it is full the receive interrupt goes off, and the bytes
 * wait in the FIFO and in the host until there is room. The first line, "echo: ready", says when to begin. */
#include "cpu.h"
#include "guest.h"
#include "io.h"
#include "segments.h"

#define COM1_IRQ 4
#define RING 256u
#define END_OF_TRANSMISSION 0x04
#define FCR_ENABLE_TRIGGER_8 0x81
#define FNV_OFFSET 2166136261u
#define FNV_PRIME 16777619u

static volatile uint8_t ring[RING];
static volatile uint32_t ring_in, ring_out;
static volatile uint32_t overruns;

static void receive(struct frame *frame)
{
    (void)frame;
    while (ring_in - ring_out < RING) {
        uint8_t status = inb(COM1 + UART_LSR);
        overruns += (status & UART_LSR_OVERRUN) != 0;
        if (!(status & UART_LSR_READY))
            return;
        ring[ring_in++ % RING] = inb(COM1 + UART_DATA);
    }
    outb(0, COM1 + UART_IER);
}

static uint8_t next_byte(void)
{
    interrupts_off();
    while (ring_in == ring_out) {
        outb(UART_IER_RECEIVE, COM1 + UART_IER);
        wait_for_interrupt();
    }
    uint8_t byte = ring[ring_out % RING];
    ring_out++;
    interrupts_on();
    return byte;
}

int main(const char *command_line)
{
    uint32_t bytes = 0, hash = FNV_OFFSET;

    (void)command_line;
    gdt_init();
    interrupt_init();
    pic_init();
    print("echo: ready\n");
    outb(FCR_ENABLE_TRIGGER_8, COM1 + UART_FCR);
    irq_handle(COM1_IRQ, receive);
    for (;;) {
        uint8_t byte = next_byte();
        if (byte == END_OF_TRANSMISSION)
            break;
        bytes++;
        hash = (hash ^ byte) * FNV_PRIME;
        serial_put(byte >= 'a' && byte <= 'z' ? (uint8_t)(byte - 'a' + 'A') : byte);
    }
    interrupts_off();
    print("\necho: %u bytes, fnv1a %08x, %u overruns\n", bytes, hash, overruns);
    return overruns != 0;
}
