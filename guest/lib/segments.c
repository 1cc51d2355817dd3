/* SPDX-License-Identifier: GPL-2.0-or-later */
/* GDT, TSS with its I/O permission bitmap, and the way into ring 3. */
#include "segments.h"
#include "guest.h"

#define FLAGS_FLAT 0xCu /* 4 KiB granules, 32-bit */
#define FLAGS_GRANULAR 0x8u
#define RING0_STACK_BYTES 8192

struct tss tss;

static uint64_t gdt[GDT_ENTRIES];
static uint8_t ring0_stack[RING0_STACK_BYTES] __attribute__((aligned(16)));

static uint64_t descriptor(uint32_t base, uint32_t limit, uint32_t access, uint32_t flags)
{
    uint32_t low = (base & 0xFFFF) << 16 | (limit & 0xFFFF);
    uint32_t high = (base & 0xFF000000) | flags << 20 | (limit & 0xF0000) | access << 8 | (base >> 16 & 0xFF);
    return (uint64_t)high << 32 | low;
}

void gdt_set(uint32_t selector, uint32_t base, uint32_t limit, uint32_t access)
{
    gdt[selector >> 3] = descriptor(base, limit, access, 0);
}

void gdt_set_pages(uint32_t selector, uint32_t base, uint32_t last_page, uint32_t access)
{
    gdt[selector >> 3] = descriptor(base, last_page, access, FLAGS_GRANULAR);
}

void gdt_set_flat(uint32_t selector, uint32_t access)
{
    gdt[selector >> 3] = descriptor(0, 0xFFFFF, access, FLAGS_FLAT);
}

void gdt_set_call_gate(uint32_t selector, uint32_t target_selector, void (*target)(void), uint32_t access)
{
    uint32_t offset = (uint32_t)target;
    uint32_t low = target_selector << 16 | (offset & 0xFFFF);
    uint32_t high = (offset & 0xFFFF0000) | access << 8;
    gdt[selector >> 3] = (uint64_t)high << 32 | low;
}

void gdt_init(void)
{
    struct {
        uint16_t limit;
        uint32_t base;
    } __attribute__((packed)) table = {sizeof gdt - 1, (uint32_t)gdt};

    gdt_set_flat(KERNEL_CS, ACCESS_PRESENT | ACCESS_CODE);
    gdt_set_flat(KERNEL_DS, ACCESS_PRESENT | ACCESS_DATA);
    gdt_set_flat(USER_CS, ACCESS_PRESENT | ACCESS_DPL(3u) | ACCESS_CODE);
    gdt_set_flat(USER_DS, ACCESS_PRESENT | ACCESS_DPL(3u) | ACCESS_DATA);
    __asm__ volatile("lgdt %0\n\t"
                     "ljmp %1, $1f\n"
                     "1:\tmov %2, %%ds\n\t"
                     "mov %2, %%es\n\t"
                     "mov %2, %%fs\n\t"
                     "mov %2, %%gs\n\t"
                     "mov %2, %%ss\n\t"
                     "lldt %w3"
                     :
                     : "m"(table), "i"(KERNEL_CS), "r"(KERNEL_DS), "r"(0)
                     : "memory");
}

void tss_load(uint32_t limit)
{
    gdt_set(TSS_SELECTOR, (uint32_t)&tss, limit, ACCESS_PRESENT | ACCESS_TSS);
    __asm__ volatile("ltr %w0" : : "r"(TSS_SELECTOR) : "memory");
}

void tss_init(void)
{
    tss.ss0 = KERNEL_DS;
    tss.esp0 = (uint32_t)(ring0_stack + sizeof ring0_stack);
    tss.iomap_base = offsetof(struct tss, iomap);
    memset(tss.iomap, 0xFF, sizeof tss.iomap);
    tss_load(sizeof tss - 1);
}

void tss_allow_port(uint16_t port)
{
    tss.iomap[port >> 3] &= (uint8_t)~(1u << (port & 7));
}

void user_enter(const void *eip, const void *esp, uint32_t eflags)
{
    __asm__ volatile("mov %w0, %%ds\n\t"
                     "mov %w0, %%es\n\t"
                     "mov %w0, %%fs\n\t"
                     "mov %w0, %%gs\n\t"
                     "push %0\n\t"
                     "push %1\n\t"
                     "push %2\n\t"
                     "push %3\n\t"
                     "push %4\n\t" REGISTERS_CLEAR "iret"
                     :
                     : "r"(USER_DS), "r"(esp), "r"(eflags), "i"(USER_CS), "r"(eip)
                     : "memory");
    __builtin_unreachable();
}
