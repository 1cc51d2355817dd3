/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The 8259A pair: fully nested, explicit EOI. */
#include "guest.h"
#include "io.h"

#define ICW1_INIT_ICW4 0x11
#define ICW4_8086 0x01
#define OCW2_EOI 0x20
#define OCW3_READ_ISR 0x0B
#define CASCADE_IRQ 2

void pic_init(void)
{
    outb(ICW1_INIT_ICW4, PIC1_COMMAND);
    outb(ICW1_INIT_ICW4, PIC2_COMMAND);
    outb(IRQ_BASE, PIC1_DATA);
    outb(IRQ_BASE + 8, PIC2_DATA);
    outb(1 << CASCADE_IRQ, PIC1_DATA);
    outb(CASCADE_IRQ, PIC2_DATA);
    outb(ICW4_8086, PIC1_DATA);
    outb(ICW4_8086, PIC2_DATA);
    outb(0xFF & ~(1 << CASCADE_IRQ), PIC1_DATA);
    outb(0xFF, PIC2_DATA);
}

static uint16_t mask_port(unsigned irq)
{
    return irq < 8 ? PIC1_DATA : PIC2_DATA;
}

void pic_unmask(unsigned irq)
{
    uint16_t port = mask_port(irq);
    outb((uint8_t)(inb(port) & ~(1u << (irq & 7))), port);
}

void pic_mask(unsigned irq)
{
    uint16_t port = mask_port(irq);
    outb((uint8_t)(inb(port) | 1u << (irq & 7)), port);
}

bool pic_in_service(unsigned irq)
{
    if ((irq & 7) != 7)
        return true;
    uint16_t command = irq < 8 ? PIC1_COMMAND : PIC2_COMMAND;
    outb(OCW3_READ_ISR, command);
    if (inb(command) & 0x80)
        return true;
    if (irq >= 8)
        outb(OCW2_EOI, PIC1_COMMAND);
    return false;
}

void pic_end(unsigned irq)
{
    if (irq >= 8)
        outb(OCW2_EOI, PIC2_COMMAND);
    outb(OCW2_EOI, PIC1_COMMAND);
}
