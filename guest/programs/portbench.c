/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What single events cost.
 * Drives and unit of work, by name:
 *   lsr_in      one `in (%dx), %al` of COM1's line status register, 0x3FD
 *   post_out    one `out %al, (%dx)` to port 0x80
 *   int80       one `int $0x80` from ring 3 to a handler that only returns
 *   page_fault  one read of an unmapped page, a handler in C that maps it, and the unmapping with INVLPG
 * Command line: n=N iterations of each (100000); names of phases: only those.
 * Prints "tsc_khz F", then for each phase "begin NAME" before and "bench NAME N TSC_DELTA" after it, so that a host may
 * also time between the lines. Ends: value 0. */
#include "cpu.h"
#include "guest.h"
#include "io.h"
#include "segments.h"

#define POST_PORT 0x80
#define SYSCALL_VECTOR 0x80
#define LEAVE_VECTOR 0x81
#define IDENTITY (PAGE_PRESENT | PAGE_WRITABLE | PAGE_USER)
#define TEST_PAGE 1023u /* the last page below 4 MiB */

static uint32_t page_directory[1024] __attribute__((aligned(4096)));
static uint32_t page_table[1024] __attribute__((aligned(4096)));
static uint8_t user_stack[4096] __attribute__((aligned(16)));
static uint32_t iterations;
static struct context kernel;

static void lsr_in(void)
{
    uint32_t count = iterations;
    __asm__ volatile("1:\tinb %%dx, %%al\n\tdec %0\n\tjnz 1b" : "+c"(count) : "d"(COM1 + UART_LSR) : "eax", "cc");
}

static void post_out(void)
{
    uint32_t count = iterations;
    __asm__ volatile("1:\toutb %%al, %%dx\n\tdec %0\n\tjnz 1b" : "+c"(count) : "d"(POST_PORT), "a"(0) : "cc");
}

__attribute__((naked)) static void syscall_entry(void)
{
    __asm__("iret");
}

__attribute__((naked)) static void user_loop(void)
{
    __asm__("mov %0, %%ecx\n1:\tint $0x80\n\tdec %%ecx\n\tjnz 1b\n\tint $0x81" : : "m"(iterations));
}

static void on_leave(struct frame *frame)
{
    (void)frame;
    context_resume(&kernel);
}

static void int80(void)
{
    if (!context_save(&kernel))
        user_enter(user_loop, user_stack + sizeof user_stack, 0);
}

static void on_page_fault(struct frame *frame)
{
    (void)frame;
    page_table[cr2_read() / PAGE_SIZE % 1024] |= PAGE_PRESENT;
}

static void page_fault(void)
{
    volatile uint32_t *page = (volatile uint32_t *)(TEST_PAGE * PAGE_SIZE);
    for (uint32_t count = iterations; count; count--) {
        page_table[TEST_PAGE] &= ~PAGE_PRESENT;
        page_invalidate(page);
        (void)*page;
    }
}

static const struct {
    const char *name;
    void (*run)(void);
} phases[] = {
    {"lsr_in", lsr_in},
    {"post_out", post_out},
    {"int80", int80},
    {"page_fault", page_fault},
};

#define PHASES (sizeof phases / sizeof phases[0])

static void paging_on(void)
{
    for (uint32_t page = 0; page < 1024; page++)
        page_table[page] = page * PAGE_SIZE | IDENTITY;
    page_directory[0] = (uint32_t)page_table | IDENTITY;
    cr3_write((uint32_t)page_directory);
    cr0_write(cr0_read() | CR0_PG);
}

static void measure(unsigned phase)
{
    print("begin %s\n", phases[phase].name);
    serial_flush();
    uint64_t start = tsc_read();
    phases[phase].run();
    uint64_t delta = tsc_read() - start;
    print("bench %s %u ", phases[phase].name, iterations);
    print_long(delta);
    print("\n");
}

int main(const char *command_line)
{
    bool chosen = false;

    gdt_init();
    tss_init();
    interrupt_init();
    interrupt_entry(SYSCALL_VECTOR, syscall_entry, 3);
    interrupt_handle(LEAVE_VECTOR, on_leave);
    interrupt_allow(LEAVE_VECTOR, 3);
    interrupt_handle(VECTOR_PF, on_page_fault);
    paging_on();
    iterations = option_number(command_line, "n", 100000);
    if (!iterations)
        iterations = 1;
    print("tsc_khz %u\n", tsc_khz());
    for (unsigned i = 0; i < PHASES; i++)
        chosen |= option_given(command_line, phases[i].name);
    for (unsigned i = 0; i < PHASES; i++)
        if (!chosen || option_given(command_line, phases[i].name))
            measure(i);
    return 0;
}
