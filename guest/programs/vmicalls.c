/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Every call of a VMI ROM that is not port I/O, made as Linux makes it, and its effect checked by the instructions themselves.
 * Drives: the VMI ROM of --vmi-calls full: processor state, descriptors, page tables, interrupts, and the timer on IRQ 0, for which
 * the PIT is stopped as a kernel stops it. vmiguest does the port calls and calls 29 to 34.
 * Command line: alarms=N: how many periodic alarms are waited for, 20; exact: time is the guest's alone, so that none may be
 * late by a period; stolen: nothing but a second's work, and how much of it was stolen, in millionths. Unit of work: one check.
 * Ends: with "vmicalls: N checks, F failures", value 0 if F is 0, else 1; value 2 if the ROM does not offer all of this. */
#include <hyperport/vmi.h>

#include "cpu.h"
#include "guest.h"
#include "segments.h"

#define PIT_CONTROL 0x43
#define PIT_STOP 0x3A /* channel 0, mode 5: waits for a trigger that never comes */
#define ALARM_PERIODIC 0x100u
#define COUNTER_REAL 0u
#define COUNTER_AVAILABLE 1u
#define COUNTER_STOLEN 2u
#define FLUSH_GLOBAL 3u
#define FREE_VECTOR 0x50
#define CR4_PGE (1u << 7)
#define TIMEOUT_S 20u

#define REGPARM __attribute__((regparm(3)))
typedef uint32_t (*REGPARM call_t)(uint32_t, uint32_t, uint32_t);
typedef uint32_t (*REGPARM call4_t)(uint32_t, uint32_t, uint32_t, uint32_t);
typedef uint64_t (*REGPARM count_t)(uint32_t);
typedef uint32_t (*REGPARM alarm_t)(uint32_t, uint64_t, uint64_t);

struct pseudo_descriptor {
    uint16_t limit;
    uint32_t base;
} __attribute__((packed));

static uint32_t page_directory[1024] __attribute__((aligned(4096)));
static uint32_t page_table[1024] __attribute__((aligned(4096)));
static uint8_t pages[2][PAGE_SIZE] __attribute__((aligned(4096)));
static uint64_t table[8], gdt_copy[64], idt_copy[256];
static const struct hyperport_vmi_rom *rom;
static unsigned checks, failures;
static volatile uint32_t ticks, hits;

static void check_equal(const char *what, uint32_t got, uint32_t expected)
{
    checks++;
    if (got != expected && failures++ < 20)
        print("vmicalls: %s: got %x, expected %x\n", what, got, expected);
}

static void check(const char *what, bool good)
{
    check_equal(what, good, true);
}

static uint32_t entry(uint32_t number)
{
    struct hyperport_vmi_relocation call = hyperport_vmi_relocation(rom, number);
    if (call.type != HYPERPORT_VMI_RELOCATION_CALL_REL) {
        print("vmicalls: call %u is not offered\n", number);
        guest_exit(2);
    }
    return call.eip;
}

#define ENTRY(type, name) ((type)entry(HYPERPORT_VMI_##name))

static uint32_t call(uint32_t number, uint32_t first, uint32_t second)
{
    return ((call_t)entry(number))(first, second, 0);
}

static void check_control(void)
{
    struct cpuid wanted = cpuid(1), got;
    __asm__ volatile("call *%4"
                     : "=a"(got.eax), "=b"(got.ebx), "=c"(got.ecx), "=d"(got.edx)
                     : "S"(entry(HYPERPORT_VMI_CPUID)), "a"(1), "c"(0));
    check("CPUID", got.eax == wanted.eax && got.ecx == wanted.ecx && got.edx == wanted.edx);
    check_equal("GetCR0", call(HYPERPORT_VMI_GetCR0, 0, 0), cr0_read());
    call(HYPERPORT_VMI_SetCR0, cr0_read() | CR0_TS, 0);
    check("SetCR0", cr0_read() & CR0_TS);
    call(HYPERPORT_VMI_CLTS, 0, 0);
    check("CLTS", !(cr0_read() & CR0_TS));
    call(HYPERPORT_VMI_SetCR2, 0x12345678, 0);
    check_equal("SetCR2", cr2_read(), 0x12345678);
    check_equal("GetCR2", call(HYPERPORT_VMI_GetCR2, 0, 0), 0x12345678);
    call(HYPERPORT_VMI_SetCR4, cr4_read() | CR4_DE, 0);
    check("SetCR4", cr4_read() & CR4_DE);
    check_equal("GetCR4", call(HYPERPORT_VMI_GetCR4, 0, 0), cr4_read());
    cr4_write(cr4_read() & ~CR4_DE);
    call(HYPERPORT_VMI_SetDR, 0, 0xCAFE);
    check_equal("SetDR 0", dr0_read(), 0xCAFE);
    check_equal("GetDR 0", call(HYPERPORT_VMI_GetDR, 0, 0), 0xCAFE);
    check_equal("GetDR 7", call(HYPERPORT_VMI_GetDR, 7, 0), dr7_read());
    check_equal("GetDR 6", call(HYPERPORT_VMI_GetDR, 6, 0), dr6_read());
    call(HYPERPORT_VMI_SetDR, 8, 0xCAFE);
    call(HYPERPORT_VMI_GetDR, ~0u, 0);
    dr0_write(0);
    call(HYPERPORT_VMI_WBINVD, 0, 0);
    uint64_t before = tsc_read(), inside = ENTRY(count_t, RDTSC)(0), after = tsc_read();
    check("RDTSC", before <= inside && inside <= after);
    call(HYPERPORT_VMI_SetIOPLMask, EFLAGS_IOPL3, 0);
    check_equal("SetIOPLMask", eflags_read() & EFLAGS_IOPL3, EFLAGS_IOPL3);
    call(HYPERPORT_VMI_SetIOPLMask, 0, 0);
    check_equal("SetIOPLMask 0", eflags_read() & EFLAGS_IOPL3, 0);
}

static uint32_t selector_of_tr(void)
{
    uint32_t selector;
    __asm__ volatile("str %0" : "=r"(selector));
    return selector & 0xFFFF;
}

static uint32_t selector_of_ldt(void)
{
    uint32_t selector;
    __asm__ volatile("sldt %0" : "=r"(selector));
    return selector & 0xFFFF;
}

/* The table elsewhere, with room for `spare` more descriptors, by the call; its own place again by the same call. */
static void check_set_table(const char *what, uint32_t number, struct pseudo_descriptor *own, uint64_t *copy, uint32_t spare)
{
    struct pseudo_descriptor moved = {(uint16_t)(own->limit + 8 * spare), (uint32_t)copy}, got;
    uint32_t reader = number == HYPERPORT_VMI_SetGDT ? HYPERPORT_VMI_GetGDT : HYPERPORT_VMI_GetIDT;
    memcpy(copy, (const void *)own->base, own->limit + 1u);
    call(number, (uint32_t)&moved, 0);
    call(reader, (uint32_t)&got, 0);
    check_equal(what, (uint32_t)memcmp(&moved, &got, sizeof got), 0);
    if (spare) { /* an LDT, whose descriptor is the one behind the kernel's own */
        uint32_t selector = own->limit + 1u;
        copy[selector / 8] = (uint64_t)((uint32_t)table >> 24 << 24 | 0x8200 | ((uint32_t)table >> 16 & 0xFF)) << 32 |
                             ((uint32_t)table << 16 | (sizeof table - 1));
        call(HYPERPORT_VMI_SetLDT, selector, 0);
        check_equal("SetLDT", selector_of_ldt(), selector);
    }
    call(number, (uint32_t)own, 0);
}

static void on_hit(struct frame *frame)
{
    hits += frame->vector;
}

static void check_descriptors(void)
{
    struct pseudo_descriptor gdt, idt, got;
    __asm__ volatile("sgdt %0; sidt %1" : "=m"(gdt), "=m"(idt));
    call(HYPERPORT_VMI_GetGDT, (uint32_t)&got, 0);
    check_equal("GetGDT", (uint32_t)memcmp(&gdt, &got, sizeof got), 0);
    call(HYPERPORT_VMI_GetIDT, (uint32_t)&got, 0);
    check_equal("GetIDT", (uint32_t)memcmp(&idt, &got, sizeof got), 0);
    check("the tables have room", gdt.limit < sizeof gdt_copy - 8 && idt.limit < sizeof idt_copy);
    check_set_table("SetGDT", HYPERPORT_VMI_SetGDT, &gdt, gdt_copy, 1);
    check_set_table("SetIDT", HYPERPORT_VMI_SetIDT, &idt, idt_copy, 0);
    static const uint32_t writers[] = {HYPERPORT_VMI_WriteGDTEntry, HYPERPORT_VMI_WriteLDTEntry, HYPERPORT_VMI_WriteIDTEntry};
    for (unsigned i = 0; i < 3; i++) {
        ((call4_t)entry(writers[i]))((uint32_t)table, 2 * i + 1, 0x11223344 + i, 0x55667788 + i);
        check("Write...Entry", table[2 * i + 1] == ((uint64_t)(0x55667788 + i) << 32 | (0x11223344 + i)));
        check("Write...Entry and its neighbours", !table[2 * i] && !table[2 * i + 2]);
    }
    call(HYPERPORT_VMI_SetLDT, 0, 0);
    check_equal("SetLDT 0", selector_of_ldt(), 0);
    uint32_t tr = selector_of_tr();
    check_equal("GetTR", call(HYPERPORT_VMI_GetTR, 0, 0) & 0xFFFF, tr);
    const uint8_t *descriptor = (const uint8_t *)gdt.base + (tr & ~7u);
    uint32_t *tss = (uint32_t *)(descriptor[2] | descriptor[3] << 8 | descriptor[4] << 16 | (uint32_t)descriptor[7] << 24);
    uint32_t esp0 = tss[1];
    call(HYPERPORT_VMI_UpdateKernelStack, KERNEL_DS, 0xABCD0);
    check_equal("UpdateKernelStack", tss[1], 0xABCD0);
    tss[1] = esp0;
    ((uint8_t *)gdt.base)[(tr & ~7u) + 5] &= (uint8_t)~2u; /* no longer busy, so that it can be loaded again */
    call(HYPERPORT_VMI_SetTR, tr, 0);
    check_equal("SetTR", selector_of_tr(), tr);
    check("SetTR makes it busy", descriptor[5] & 2);
    /* a gate written by the call is taken */
    const uint32_t *gate = (const uint32_t *)(idt.base + 8 * FREE_VECTOR);
    ((call4_t)entry(HYPERPORT_VMI_WriteIDTEntry))(idt.base, FREE_VECTOR, gate[0], gate[1]);
    interrupt_handle(FREE_VECTOR, on_hit);
    __asm__ volatile("int %0" : : "i"(FREE_VECTOR));
    check_equal("WriteIDTEntry", hits, FREE_VECTOR);
}

static void check_paging(void)
{
    volatile uint32_t *place = (volatile uint32_t *)pages[0];
    pages[0][0] = 1;
    pages[1][0] = 2;
    for (uint32_t page = 0; page < 1024; page++)
        page_table[page] = page * PAGE_SIZE | PAGE_PRESENT | PAGE_WRITABLE;
    page_directory[0] = (uint32_t)page_table | PAGE_PRESENT | PAGE_WRITABLE;
    call(HYPERPORT_VMI_SetCR3, (uint32_t)page_directory, 0);
    check_equal("SetCR3", cr3_read(), (uint32_t)page_directory);
    check_equal("GetCR3", call(HYPERPORT_VMI_GetCR3, 0, 0), (uint32_t)page_directory);
    call(HYPERPORT_VMI_SetCR0, cr0_read() | CR0_PG, 0);
    uint32_t *pte = &page_table[(uint32_t)pages[0] / PAGE_SIZE];
    uint32_t other = (uint32_t)pages[1] | PAGE_PRESENT | PAGE_WRITABLE, own = *pte;
    check_equal("before SetPxE", *place, 1);
    ((call_t)entry(HYPERPORT_VMI_SetPxE))(other, (uint32_t)pte, 1);
    call(HYPERPORT_VMI_InvalPage, (uint32_t)place, 0);
    check_equal("SetPxE, InvalPage", *place, 2);
    ((call_t)entry(HYPERPORT_VMI_SetPxE))(own, (uint32_t)pte, 1);
    call(HYPERPORT_VMI_FlushTLB, 1, 0);
    check_equal("FlushTLB", *place, 1);
    cr4_write(cr4_read() | CR4_PGE);
    *pte = other | 0x100; /* global */
    page_invalidate(place);
    check_equal("a global page", *place, 2);
    *pte = own;
    call(HYPERPORT_VMI_FlushTLB, FLUSH_GLOBAL, 0);
    check_equal("FlushTLB, global pages", *place, 1);
    check("FlushTLB leaves CR4.PGE", cr4_read() & CR4_PGE);
    cr4_write(cr4_read() & ~CR4_PGE);
    cr0_write(cr0_read() & ~CR0_PG);
    for (unsigned present = 0; present < 2; present++) {
        table[0] = present;
        ((call4_t)entry(HYPERPORT_VMI_SetPxELong))(0x89ABCDE1, 0x01234567, (uint32_t)table, 1);
        check("SetPxELong", table[0] == 0x0123456789ABCDE1);
    }
}

static void on_tick(struct frame *frame)
{
    (void)frame;
    ticks++;
}

/* Sleeps by the call until so many ticks have come; the TSC says when that is hopeless. */
static bool wait_ticks(uint32_t wanted, uint64_t hertz)
{
    uint64_t end = tsc_read() + TIMEOUT_S * hertz;
    while (ticks < wanted && tsc_read() < end)
        call(HYPERPORT_VMI_Halt, 0, 0);
    interrupts_off();
    return ticks >= wanted;
}

static void check_timer(uint32_t alarms, bool exact)
{
    count_t counter = ENTRY(count_t, GetCycleCounter);
    alarm_t set = ENTRY(alarm_t, SetAlarm);
    uint64_t hertz = ENTRY(count_t, GetCycleFrequency)(0);
    print("vmicalls: %u kHz, the PIT says %u\n", (uint32_t)divide_64(hertz, 1000), tsc_khz());
    uint64_t before = tsc_read(), real = counter(COUNTER_REAL), after = tsc_read();
    check("real cycles are the TSC's", before <= real && real <= after);
    uint64_t available = counter(COUNTER_AVAILABLE), stolen = counter(COUNTER_STOLEN);
    check("available and stolen cycles are no more than real ones", available + stolen <= tsc_read());
    check("available cycles and those stolen later make the real ones", available + stolen >= after);
    check("no other counter", counter(3) == 0 && counter(~0u) == 0);

    native_outb(PIT_STOP, PIT_CONTROL);
    irq_handle(0, on_tick);
    interrupts_on(); /* the PIT's output rose with its mode: one interrupt that is no alarm's */
    native_inb(PIC1_DATA);
    interrupts_off();
    uint64_t step = divide_64(hertz, 1000); /* 1 ms */
    for (uint32_t which = COUNTER_REAL; which <= COUNTER_AVAILABLE; which++) {
        ticks = 0;
        uint64_t expiry = counter(which) + 5 * step;
        set(which, expiry, 0);
        check("an alarm comes", wait_ticks(1, hertz));
        check("and not early", counter(which) >= expiry);
        check_equal("an alarm that has come is gone", call(HYPERPORT_VMI_CancelAlarm, which, 0), 0);
        ticks = 0;
        expiry = counter(which) + step;
        set(which | ALARM_PERIODIC, expiry, step);
        check("periodic alarms come", wait_ticks(alarms, hertz));
        uint64_t last = counter(which), due = expiry + (alarms - 1) * step;
        check("in step, and none is early", last >= due);
        check("nor late", !exact || last < due + step);
        check_equal("CancelAlarm", call(HYPERPORT_VMI_CancelAlarm, which, 0), 1);
        check_equal("a second CancelAlarm", call(HYPERPORT_VMI_CancelAlarm, which, 0), 0);
    }
    ticks = 0;
    set(COUNTER_REAL, 0, 0);
    check("an alarm in the past comes at once", wait_ticks(1, hertz));
    set(COUNTER_STOLEN | ALARM_PERIODIC, 0, step);
    set(77, 0, 0);
    check_equal("no alarm on other counters", call(HYPERPORT_VMI_CancelAlarm, 77, 0), 0);
    set(COUNTER_REAL | ALARM_PERIODIC, 0, 0);
    check("a period of 0 leaves the guest time", wait_ticks(2, hertz));
    set(COUNTER_REAL, ~0ull >> 1, 0);
    check_equal("an alarm far away", call(HYPERPORT_VMI_CancelAlarm, COUNTER_REAL, 0), 1);

    uint64_t first = ENTRY(count_t, GetWallclockTime)(0), second = ENTRY(count_t, GetWallclockTime)(0);
    check("GetWallclockTime", first <= second && divide_64(first, 1000000000) > 1187740800); /* 2007-08-22 */
    check_equal("WallclockUpdated", call(HYPERPORT_VMI_WallclockUpdated, 1, 0), 0);
}

int main(const char *command_line)
{
    const char *reason;
    gdt_init();
    tss_init();
    interrupt_init();
    pic_init();
    rom = hyperport_vmi_find(0, &reason);
    if (!rom || hyperport_vmi_activate(rom)) {
        print("vmicalls: no ROM: %s\n", rom ? "init failed" : reason);
        return 2;
    }
    if (option_given(command_line, "stolen")) {
        uint64_t hertz = ENTRY(count_t, GetCycleFrequency)(0), begin = tsc_read();
        uint64_t stolen = ENTRY(count_t, GetCycleCounter)(COUNTER_STOLEN);
        while (tsc_read() - begin < hertz)
            ;
        stolen = ENTRY(count_t, GetCycleCounter)(COUNTER_STOLEN) - stolen;
        print("vmicalls: stolen %u of a million\n", (uint32_t)divide_64(stolen * 1000000, (uint32_t)(tsc_read() - begin)));
        return 0;
    }
    check_control();
    check_descriptors();
    check_paging();
    check_timer(option_number(command_line, "alarms", 20), option_given(command_line, "exact"));
    print("vmicalls: %u checks, %u failures\n", checks, failures);
    return failures != 0;
}
