/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The IDT and the way from a vector to a C handler. */
#include "cpu.h"
#include "guest.h"
#include "segments.h"

#define VECTORS 256
#define STUB_SIZE 16
#define GATE_INTERRUPT 0x8E00u /* present, DPL 0, 32-bit interrupt gate */
#define GATE_PRESENT 0x8000u
#define GATE_DPL(level) ((level) << 13)
#define UNEXPECTED 127

struct gate {
    uint16_t offset_low, selector, attributes, offset_high;
};

extern const uint8_t interrupt_stubs[VECTORS * STUB_SIZE];
void interrupt_dispatch(struct frame *frame);

static struct gate idt[VECTORS];
static handler_t handlers[VECTORS];
static handler_t irq_handlers[16];

static void gate_set(unsigned vector, uint32_t offset, unsigned dpl)
{
    uint16_t attributes = (uint16_t)(GATE_INTERRUPT | GATE_DPL(dpl));
    idt[vector] = (struct gate){(uint16_t)offset, KERNEL_CS, attributes, (uint16_t)(offset >> 16)};
}

void interrupt_init(void)
{
    struct {
        uint16_t limit;
        uint32_t base;
    } __attribute__((packed)) table = {sizeof idt - 1, (uint32_t)idt};

    for (unsigned vector = 0; vector < VECTORS; vector++)
        gate_set(vector, (uint32_t)interrupt_stubs + vector * STUB_SIZE, 0);
    __asm__ volatile("lidt %0" : : "m"(table));
}

void interrupt_handle(unsigned vector, handler_t handler)
{
    handlers[vector] = handler;
}

static void irq_dispatch(struct frame *frame)
{
    unsigned irq = frame->vector - IRQ_BASE;
    if (!pic_in_service(irq))
        return;
    irq_handlers[irq](frame);
    interrupts_off();
    pic_end(irq);
}

void irq_handle(unsigned irq, handler_t handler)
{
    irq_handlers[irq] = handler;
    handlers[IRQ_BASE + irq] = irq_dispatch;
    pic_unmask(irq);
}

void interrupt_allow(unsigned vector, unsigned dpl)
{
    idt[vector].attributes = (uint16_t)((idt[vector].attributes & ~GATE_DPL(3u)) | GATE_DPL(dpl));
}

void interrupt_present(unsigned vector, bool present)
{
    idt[vector].attributes = (uint16_t)((idt[vector].attributes & ~GATE_PRESENT) | (present ? GATE_PRESENT : 0));
}

void interrupt_entry(unsigned vector, void (*entry)(void), unsigned dpl)
{
    gate_set(vector, (uint32_t)entry, dpl);
}

void interrupt_dispatch(struct frame *frame)
{
    if (handlers[frame->vector]) {
        handlers[frame->vector](frame);
        return;
    }
    print("unexpected vector %u, error %x at %04x:%08x, eflags %08x, cr2 %08x\n", frame->vector, frame->error, frame->cs,
          frame->eip, frame->eflags, cr2_read());
    guest_exit(UNEXPECTED);
}
