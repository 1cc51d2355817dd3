/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A kernel's polled serial console: text on COM1.
 * Drives: the 16550A: per character its line status until the transmitter is empty, then the character; around each line of
 * 64 the interrupt enables are saved, cleared and put back.
 * Unit of work: one character, line ends not counted. Checksum: IER as saved, and the transmitter bit of the last LSR. */
#include "workload.h"

#define LINE 64u

static uint32_t column;

static void put(uint8_t character)
{
    uint8_t status;
    do {
        status = inb(COM1 + UART_LSR);
        accesses++;
    } while (!(status & UART_LSR_THRE));
    checksum_byte(status & UART_LSR_THRE);
    outb(character, COM1 + UART_DATA);
    accesses++;
}

static void line(uint32_t length)
{
    uint8_t enables = inb(COM1 + UART_IER);
    checksum_byte(enables);
    outb(0, COM1 + UART_IER);
    for (uint32_t i = 0; i < length; i++)
        put((uint8_t)('!' + column++ % 94));
    put('\r');
    put('\n');
    outb(enables, COM1 + UART_IER);
    accesses += 3;
}

static void run(uint32_t units)
{
    for (; units > LINE; units -= LINE)
        line(LINE);
    line(units);
}

const struct workload workload = {"console", 4096, NULL, run};
