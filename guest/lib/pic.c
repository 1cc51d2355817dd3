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
    outb(PIC1_COMMAND, ICW1_INIT_ICW4);
    outb(PIC2_COMMAND, ICW1_INIT_ICW4);
    outb(PIC1_DATA, IRQ_BASE);
    outb(PIC2_DATA, IRQ_BASE + 8);
    outb(PIC1_DATA, 1 << CASCADE_IRQ);
    outb(PIC2_DATA, CASCADE_IRQ);
    outb(PIC1_DATA, ICW4_8086);
    outb(PIC2_DATA, ICW4_8086);
    outb(PIC1_DATA, 0xFF & ~(1 << CASCADE_IRQ));
    outb(PIC2_DATA, 0xFF);
}

static uint16_t mask_port(unsigned irq)
{
    return irq < 8 ? PIC1_DATA : PIC2_DATA;
}

void pic_unmask(unsigned irq)
{
    uint16_t port = mask_port(irq);
    outb(port, (uint8_t)(inb(port) & ~(1u << (irq & 7))));
}

void pic_mask(unsigned irq)
{
    uint16_t port = mask_port(irq);
    outb(port, (uint8_t)(inb(port) | 1u << (irq & 7)));
}

bool pic_in_service(unsigned irq)
{
    if ((irq & 7) != 7)
        return true;
    uint16_t command = irq < 8 ? PIC1_COMMAND : PIC2_COMMAND;
    outb(command, OCW3_READ_ISR);
    if (inb(command) & 0x80)
        return true;
    if (irq >= 8)
        outb(PIC1_COMMAND, OCW2_EOI);
    return false;
}

void pic_end(unsigned irq)
{
    if (irq >= 8)
        outb(PIC2_COMMAND, OCW2_EOI);
    outb(PIC1_COMMAND, OCW2_EOI);
}
