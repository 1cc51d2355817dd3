/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The records that lawguest.c and tests/io/law/ exchange: cases and stubs, little-endian and packed, and reports. */
#ifndef LAWGUEST_H
#define LAWGUEST_H

#include <stdint.h>

#define WINDOW_PAGES 16u
#define CALLS_COUNT 12u
#define STUB_BYTES 0x140u
#define AS_SAVED 0xFFu

enum mode { RING0, RING1, RING3, RING0_16, RING1_16, RING3_16, V86 };
enum option {
    OPTION_REPAIR = 1, /* a page fault in the window makes the page writable for all and goes on */
    OPTION_WP = 2,     /* CR0.WP */
    OPTION_CMOS = 4,   /* the case drives the CMOS RAM */
};

struct batch {
    uint32_t magic, count, case_size;
};

struct law_case {
    uint8_t mode, options, code_length, events; /* events: how many to go on after */
    uint16_t code_offset, tss_limit, iomap_base, breakpoint_port; /* DR0 */
    struct {
        uint16_t first, count;
    } allowed[4]; /* ports that the I/O map allows */
    uint32_t eflags, eax, ecx, edx, ebx, ebp, esi, edi;
    uint16_t es, ds, fs, gs, ss, breakpoint; /* 0 for none, else 1 and its LEN field */
    uint8_t pages[WINDOW_PAGES / 2]; /* present, writable, user; four bits each, low half first */
    uint8_t code[240];
} __attribute__((packed));

/* Convention by convention: code that calls by it and leaves what the instruction leaves. */
struct law_stubs {
    uint32_t magic, highest_cpl; /* above that, calls are made by the instructions */
    struct {
        uint32_t fault_at; /* EIP of the call; where it faults, show these registers: their numbers, or AS_SAVED */
        uint8_t shown[8];
        uint16_t pushed, length; /* bytes on the stack there; of the code */
        uint8_t code[STUB_BYTES];
    } call[CALLS_COUNT];
} __attribute__((packed));

struct saved { /* what stubs keep, at SAVED */
    uint32_t registers[8], base_es, base_ds, own[3];
};

struct report {
    uint32_t index, event; /* event: 0 for the end, else its number from 1 */
    uint32_t vector, error, cr2, dr6;
    uint32_t eip, cs, eflags, esp, ss, es, ds, fs, gs;
    uint32_t eax, ecx, edx, ebx, ebp, esi, edi;
    uint32_t touched; /* accessed and dirty bits of the window's pages; from here on at the end only */
    uint32_t touched_big, memory, cmos, ports, divisor, stream;
};

#endif
