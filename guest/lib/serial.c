/* SPDX-License-Identifier: GPL-2.0-or-later */
/* COM1 (16550A), polled. */
#include "guest.h"
#include "io.h"

#define DIVISOR_115200 1
#define LCR_8N1 0x03
#define LCR_DLAB 0x80
#define FCR_ENABLE_AND_CLEAR 0x07
#define MCR_DTR_RTS_OUT2 0x0B

void serial_init(void)
{
    outb(COM1 + UART_IER, 0);
    outb(COM1 + UART_LCR, LCR_DLAB);
    outb(COM1 + UART_DATA, DIVISOR_115200);
    outb(COM1 + UART_IER, 0);
    outb(COM1 + UART_LCR, LCR_8N1);
    outb(COM1 + UART_FCR, FCR_ENABLE_AND_CLEAR);
    outb(COM1 + UART_MCR, MCR_DTR_RTS_OUT2);
}

void serial_put(uint8_t byte)
{
    while (!(inb(COM1 + UART_LSR) & UART_LSR_THRE))
        ;
    outb(COM1 + UART_DATA, byte);
}

void serial_flush(void)
{
    while (!(inb(COM1 + UART_LSR) & UART_LSR_TEMT))
        ;
}
