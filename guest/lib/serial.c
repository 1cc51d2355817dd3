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
    outb(0, COM1 + UART_IER);
    outb(LCR_DLAB, COM1 + UART_LCR);
    outb(DIVISOR_115200, COM1 + UART_DATA);
    outb(0, COM1 + UART_IER);
    outb(LCR_8N1, COM1 + UART_LCR);
    outb(FCR_ENABLE_AND_CLEAR, COM1 + UART_FCR);
    outb(MCR_DTR_RTS_OUT2, COM1 + UART_MCR);
}

void serial_put(uint8_t byte)
{
    while (!(inb(COM1 + UART_LSR) & UART_LSR_THRE))
        ;
    outb(byte, COM1 + UART_DATA);
}

void serial_flush(void)
{
    while (!(inb(COM1 + UART_LSR) & UART_LSR_TEMT))
        ;
}
