/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The GDT, the task state segment, and the ways into and out of ring 3. */
#ifndef HYPERPORT_GUEST_SEGMENTS_H
#define HYPERPORT_GUEST_SEGMENTS_H

#include <stdint.h>

/* In the order that SYSENTER and SYSEXIT take for granted. */
#define KERNEL_CS 0x08u
#define KERNEL_DS 0x10u
#define USER_CS 0x1Bu
#define USER_DS 0x23u
#define TSS_SELECTOR 0x28u
#define FREE_SELECTOR 0x30u /* from here on the descriptors are the program's own */
#define GDT_ENTRIES 24u

/* The access byte of a descriptor. */
#define ACCESS_PRESENT 0x80u
#define ACCESS_DPL(level) ((level) << 5)
#define ACCESS_CODE 0x1Au      /* execute, read */
#define ACCESS_EXEC_ONLY 0x18u /* execute */
#define ACCESS_DATA 0x12u      /* read, write */
#define ACCESS_DATA_RO 0x10u   /* read */
#define ACCESS_LDT 0x02u
#define ACCESS_TSS 0x09u
#define ACCESS_CALL_GATE 0x0Cu

#define IOMAP_BYTES 8192u

struct tss {
    uint32_t link, esp0, ss0, esp1, ss1, esp2, ss2;
    uint32_t cr3, eip, eflags, eax, ecx, edx, ebx, esp, ebp, esi, edi;
    uint32_t es, cs, ss, ds, fs, gs, ldt;
    uint16_t trap, iomap_base;
    uint8_t iomap[IOMAP_BYTES + 1]; /* a set bit denies the port; the last byte is all ones */
} __attribute__((packed));

extern struct tss tss;

/* Flat kernel and user segments, no LDT; TR stays as the loader left it. */
void gdt_init(void);
/* Replaces one descriptor: flat (base 0, limit 4 GiB) if it is code or data. */
/* A 16-bit segment whose limit is counted in pages. */
void gdt_set_pages(uint32_t selector, uint32_t base, uint32_t last_page, uint32_t access);
void gdt_set_flat(uint32_t selector, uint32_t access);
void gdt_set(uint32_t selector, uint32_t base, uint32_t limit, uint32_t access);
void gdt_set_call_gate(uint32_t selector, uint32_t target_selector, void (*target)(void), uint32_t access);
/* TSS with ring-0 stack, every port denied, limit in bytes; loads TR. */
void tss_init(void);
void tss_load(uint32_t limit);
void tss_allow_port(uint16_t port);

/* Assembly text: all general registers but ESP become 0. */
#define REGISTERS_CLEAR                                              \
    "xor %%eax, %%eax\n\txor %%ebx, %%ebx\n\txor %%ecx, %%ecx\n\t" \
    "xor %%edx, %%edx\n\txor %%esi, %%esi\n\txor %%edi, %%edi\n\txor %%ebp, %%ebp\n\t"

/* Goes to CPL 3 with flat segments and cleared registers. Comes back only through a handler. */
__attribute__((noreturn)) void user_enter(const void *eip, const void *esp, uint32_t eflags);

/* As setjmp and longjmp: a handler leaves for good where context_save returned 0; then it returns 1. */
struct context {
    uint32_t ebx, esi, edi, ebp, esp, eip;
};
__attribute__((returns_twice)) int context_save(struct context *context);
__attribute__((noreturn)) void context_resume(const struct context *context);

#endif
