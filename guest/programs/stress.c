/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Checks that interrupts at arbitrary points change nothing.
 * Drives: PIT at 5 to 20 kHz, RTC periodic at 8192 Hz, the UART's transmitter-empty interrupt (kicked by toggling its enable
 * bit, so nothing is sent); handlers on all 16 IRQs, some of which let others in; page faults, self-modifying code, ring 3.
 * Unit of work: one IRQ handled. Command line: irqs=N (100000), seed=N.
 * Ends: when N interrupts were counted; prints a line per check that failed and "stress: N irqs, E errors";
 * value 0 if E is 0, else 1. */
#include "cpu.h"
#include "guest.h"
#include "io.h"
#include "segments.h"

#define IRQ_PIT 0
#define IRQ_COM1 4
#define IRQ_RTC 8
#define PIT_SLOWEST_HZ 5000u
#define PIT_FASTEST_HZ 20000u
#define CMOS_INDEX 0x70
#define CMOS_DATA 0x71
#define RTC_A 0x0A
#define RTC_A_8192_HZ 0x23 /* 32,768 Hz time base, rate 3 */
#define RTC_B 0x0B
#define RTC_B_PERIODIC 0x40
#define RTC_C 0x0C
#define SOFTWARE_VECTOR 0x30
#define LEAVE_VECTOR 0x81
#define IDENTITY (PAGE_PRESENT | PAGE_WRITABLE | PAGE_USER)
#define WINDOW 0x800000u /* virtual; 16 pages that come and go */
#define WINDOW_PAGES 16u
#define BUFFER 256u

static uint32_t page_directory[1024] __attribute__((aligned(4096)));
static uint32_t identity_table[1024] __attribute__((aligned(4096)));
static uint32_t window_table[1024] __attribute__((aligned(4096)));
static uint8_t window_frames[WINDOW_PAGES][PAGE_SIZE] __attribute__((aligned(4096)));
static uint8_t code_page[PAGE_SIZE] __attribute__((aligned(4096)));
static uint8_t user_stack[4096] __attribute__((aligned(16)));
static uint8_t source[BUFFER], target[BUFFER];

static volatile uint32_t irqs, page_faults, software_interrupts, handler_errors;
static volatile uint32_t irq_counts[16];
static struct context kernel;
static uint32_t random_state;

static uint32_t random(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 17;
    random_state ^= random_state << 5;
    return random_state;
}

/* Fills seven registers with seed + 0 .. 6, counts 200 down in memory, returns 0 if all still hold. */
uint32_t registers_keep(uint32_t seed);
__asm__(".text\n"
        "registers_keep:\n\t"
        "push %ebx; push %esi; push %edi; push %ebp\n\t"
        "mov 20(%esp), %eax\n\t"
        "lea 1(%eax), %ebx; lea 2(%eax), %ecx; lea 3(%eax), %edx\n\t"
        "lea 4(%eax), %esi; lea 5(%eax), %edi; lea 6(%eax), %ebp\n\t"
        "push $200\n"
        "1:\tdecl (%esp)\n\t"
        "jnz 1b\n\t"
        "add $4, %esp\n\t"
        "sub %eax, %ebx; sub %eax, %ecx; sub %eax, %edx; sub %eax, %esi; sub %eax, %edi; sub %eax, %ebp\n\t"
        "sub 20(%esp), %eax\n\t"
        "xor $1, %ebx; xor $2, %ecx; xor $3, %edx; xor $4, %esi; xor $5, %edi; xor $6, %ebp\n\t"
        "or %ebx, %eax; or %ecx, %eax; or %edx, %eax; or %esi, %eax; or %edi, %eax; or %ebp, %eax\n\t"
        "pop %ebp; pop %edi; pop %esi; pop %ebx\n\t"
        "ret");

/* Interrupt handlers. irqs counts every one; those that may be interrupted themselves check their registers meanwhile. */

static void count(unsigned irq)
{
    irqs++;
    irq_counts[irq]++;
}

static void check_own_registers(uint32_t seed)
{
    if (registers_keep(seed))
        handler_errors++;
}

static void on_pit(struct frame *frame)
{
    count(IRQ_PIT);
    if (irq_counts[IRQ_PIT] % 64 == 0)
        pit_periodic(PIT_SLOWEST_HZ + frame->eip * 2654435761u % (PIT_FASTEST_HZ - PIT_SLOWEST_HZ));
    check_own_registers(frame->eip);
}

static void on_rtc(struct frame *frame)
{
    count(IRQ_RTC);
    outb(RTC_C, CMOS_INDEX);
    (void)inb(CMOS_DATA);
    interrupts_on();
    check_own_registers(frame->eip);
}

static void on_com1(struct frame *frame)
{
    count(IRQ_COM1);
    (void)inb(COM1 + UART_IIR);
    interrupts_on();
    check_own_registers(frame->eip);
}

static void on_other(struct frame *frame)
{
    count(frame->vector - IRQ_BASE);
}

static void on_software(struct frame *frame)
{
    (void)frame;
    software_interrupts++;
}

static void on_leave(struct frame *frame)
{
    (void)frame;
    context_resume(&kernel);
}

static void on_page_fault(struct frame *frame)
{
    uint32_t page = (cr2_read() - WINDOW) / PAGE_SIZE;
    if (page >= WINDOW_PAGES) {
        print("stress: page fault at %08x, eip %08x\n", cr2_read(), frame->eip);
        guest_exit(1);
    }
    page_faults++;
    window_table[page] |= PAGE_PRESENT;
    interrupts_on();
    check_own_registers(frame->eip);
    interrupts_off();
}

/* Checks: each returns 0 if all is well. */

static uint32_t check_registers(void)
{
    return registers_keep(random());
}

static uint32_t check_read_modify_write(void)
{
    static struct {
        uint32_t low, high;
    } sum;
    static uint64_t expected;
    uint32_t step = random(), old = step;

    for (unsigned i = 0; i < 32; i++) {
        __asm__ volatile("addl %2, %0\n\tadcl $0, %1" : "+m"(sum.low), "+m"(sum.high) : "r"(step) : "cc");
        expected += step;
    }
    __asm__ volatile("notl %0\n\troll $7, %0\n\tlock notl %0\n\trorl $7, %0" : "+m"(sum.low) : : "cc");
    __asm__ volatile("lock xaddl %1, %0\n\tlock subl %2, %0" : "+m"(sum.high), "+&r"(old) : "r"(step) : "cc");
    return ((uint32_t)expected ^ sum.low) | ((uint32_t)(expected >> 32) ^ sum.high) | (old ^ sum.high);
}

static uint32_t check_flags(void)
{
    uint32_t a = random(), b = random(), wrong = 0;
    for (unsigned i = 0; i < 16; i++, a += b) {
        uint8_t below, less, equal;
        __asm__ volatile("cmp %4, %3\n\tjmp 1f\n1:\tnop\n\tsetb %0\n\tjmp 2f\n2:\tsetl %1\n\tlea 1f, %%ecx\n\tjmp *%%ecx\n"
                         "1:\tsete %2"
                         : "=&q"(below), "=&q"(less), "=&q"(equal)
                         : "r"(a), "m"(b)
                         : "ecx", "cc");
        wrong |= (below != (a < b)) | (less != ((int32_t)a < (int32_t)b)) | (equal != (a == b));
    }
    return wrong;
}

__attribute__((noinline)) static uint32_t descend(uint32_t depth, uint32_t value)
{
    volatile uint32_t here = value ^ depth;
    uint32_t below = depth ? descend(depth - 1, value * 5 + 1) : 0;
    return here ^ value ^ depth ? 1 : below;
}

static uint32_t check_calls(void)
{
    return descend(24, random());
}

static uint32_t check_push_pop(void)
{
    uint32_t value = random(), first, second, moved;
    __asm__ volatile("mov %%esp, %2\n\t"
                     "push %3\n\t"
                     "pushw $0x1234\n\tpushw %w3\n\t"
                     "pusha\n\tpopa\n\t"
                     "pop %0\n\tpop %1\n\t"
                     "sub %%esp, %2"
                     : "=&r"(first), "=&r"(second), "=&r"(moved)
                     : "r"(value)
                     : "cc", "memory");
    return (first ^ (0x12340000u | (value & 0xFFFF))) | (second ^ value) | moved;
}

static uint32_t check_strings(void)
{
    uint32_t length = random() % (BUFFER - 8) + 1, wrong = 0, value = random(), left = BUFFER;
    const uint8_t *from = source;
    uint8_t *to = target;

    memset(source, (int)value, BUFFER);
    memset(target, (int)~value, BUFFER);
    source[length] = (uint8_t)~value;
    memcpy(target, source, length + 1);
    wrong |= memcmp(source, target, length + 1) != 0;
    __asm__ volatile("repe scasb" : "+D"(to), "+c"(left) : "a"(value) : "cc", "memory");
    wrong |= to != target + length + 1 || left != BUFFER - length - 1;
    from += BUFFER - 4;
    to = target + BUFFER - 4;
    left = BUFFER / 4;
    __asm__ volatile("std\n\trep movsl\n\tcld" : "+D"(to), "+S"(from), "+c"(left) : : "memory");
    wrong |= left != 0 || (uintptr_t)to != (uintptr_t)target - 4 || (uintptr_t)from != (uintptr_t)source - 4;
    from = source;
    to = target;
    left = BUFFER;
    __asm__ volatile("repe cmpsb" : "+D"(to), "+S"(from), "+c"(left) : : "cc", "memory");
    return wrong | left;
}

static uint32_t check_interrupt_flag(void)
{
    uint32_t inside, outside, restored, before, after;

    __asm__ volatile("pushf\n\tcli\n\tpushf\n\tpop %0\n\tpopf\n\tpushf\n\tpop %1"
                     : "=&r"(inside), "=&r"(outside)
                     :
                     : "cc", "memory");
    interrupts_off();
    before = irqs;
    (void)registers_keep(before);
    for (unsigned i = 0; i < 16; i++)
        __asm__ volatile("sti\n\tcli" : : : "memory"); /* STI holds interrupts off for one instruction more */
    after = irqs;
    interrupts_on();
    restored = eflags_read();
    return (inside & EFLAGS_IF) | (~outside & EFLAGS_IF) | (~restored & EFLAGS_IF) | (before ^ after);
}

static uint32_t check_x87(void)
{
    uint32_t value = random() % 40000, sum = 0; /* the square fits in FISTP's 31 bits */
    __asm__ volatile("fninit\n\t"
                     "fildl %1\n\tfildl %1\n\tfmul %%st(1), %%st\n\tfaddp\n\t"
                     "fistpl %0"
                     : "=m"(sum)
                     : "m"(value)
                     : "memory");
    return sum ^ (value * value + value);
}

static uint32_t check_own_code(void)
{
    static const uint8_t ahead[] = {
        0xC7, 0x05, 0, 0, 0, 0, 0, 0, 0, 0, /* movl $value, immediate of the next instruction */
        0xB8, 0, 0, 0, 0,                   /* movl $0, %eax */
        0xC3,
    };
    uint32_t value = random(), where = value % (PAGE_SIZE - sizeof ahead), wrong;
    uint8_t *code = code_page + where;
    uint32_t patched = (uint32_t)code + 11;

    memcpy(code, ahead, sizeof ahead);
    memcpy(code + 2, &patched, 4);
    memcpy(code + 6, &value, 4);
    wrong = ((uint32_t(*)(void))code)() ^ value;
    value = ~value;
    memcpy(code + 11, &value, 4);
    return wrong | (((uint32_t(*)(void))(code + 10))() ^ value);
}

static uint32_t check_page_faults(void)
{
    uint32_t page = random() % (WINDOW_PAGES - 1), value = random(), left = sizeof value, faults, read;
    const uint8_t *from;
    uint8_t *to = target;
    uint8_t *edge = (uint8_t *)WINDOW + page * PAGE_SIZE + PAGE_SIZE - 2;

    for (uint32_t i = page; i < page + 2; i++) {
        window_table[i] &= ~PAGE_PRESENT;
        page_invalidate((uint8_t *)WINDOW + i * PAGE_SIZE);
    }
    faults = page_faults;
    *(volatile uint32_t *)edge = value; /* two faults */
    window_table[page + 1] &= ~PAGE_PRESENT;
    page_invalidate(edge + 2);
    from = edge;
    __asm__ volatile("rep movsb" : "+c"(left), "+S"(from), "+D"(to) : : "memory"); /* one, in the middle */
    memcpy(&read, target, sizeof read);
    return (read ^ value) | left | ((page_faults - faults) ^ 3);
}

static uint32_t check_software_interrupt(void)
{
    uint32_t before = software_interrupts, a = random(), b = a, flags;
    __asm__ volatile("stc\n\tint %3\n\tsbb %1, %1" : "+r"(b), "=r"(flags) : "r"(a), "i"(SOFTWARE_VECTOR) : "cc", "memory");
    return (a ^ b) | ~flags | ((software_interrupts - before) ^ 1);
}

static uint32_t user_result;

static void user_main(void)
{
    uint32_t wrong = 0;
    for (unsigned i = 0; i < 4; i++)
        wrong |= check_registers() | check_read_modify_write() | check_strings() | check_calls();
    user_result = wrong;
    __asm__ volatile("int %0" : : "i"(LEAVE_VECTOR));
}

static uint32_t check_ring3(void)
{
    user_result = 1;
    if (!context_save(&kernel))
        user_enter(user_main, user_stack + sizeof user_stack - 4, EFLAGS_IF);
    interrupts_on();
    return user_result;
}

static uint32_t check_transmitter(void)
{
    uint32_t before = irq_counts[IRQ_COM1];
    outb(0, COM1 + UART_IER);
    outb(UART_IER_TRANSMIT, COM1 + UART_IER);
    for (unsigned i = 0; i < 1000 && irq_counts[IRQ_COM1] == before; i++)
        (void)registers_keep(i);
    return irq_counts[IRQ_COM1] == before;
}

static struct {
    const char *name;
    uint32_t (*run)(void);
    uint32_t errors;
} checks[] = {
    {"registers", check_registers, 0},
    {"read-modify-write", check_read_modify_write, 0},
    {"flags", check_flags, 0},
    {"calls", check_calls, 0},
    {"push and pop", check_push_pop, 0},
    {"strings", check_strings, 0},
    {"interrupt flag", check_interrupt_flag, 0},
    {"x87", check_x87, 0},
    {"own code", check_own_code, 0},
    {"page faults", check_page_faults, 0},
    {"software interrupt", check_software_interrupt, 0},
    {"ring 3", check_ring3, 0},
    {"transmitter", check_transmitter, 0},
};

#define CHECKS (sizeof checks / sizeof checks[0])

static void paging_on(void)
{
    for (uint32_t page = 0; page < 1024; page++)
        identity_table[page] = page * PAGE_SIZE | IDENTITY;
    for (uint32_t page = 0; page < WINDOW_PAGES; page++)
        window_table[page] = (uint32_t)window_frames[page] | IDENTITY;
    page_directory[0] = (uint32_t)identity_table | IDENTITY;
    page_directory[WINDOW >> 22] = (uint32_t)window_table | IDENTITY;
    cr3_write((uint32_t)page_directory);
    cr0_write(cr0_read() | CR0_PG);
}

static void sources_on(void)
{
    for (unsigned irq = 0; irq < 16; irq++)
        if (irq != 2)
            irq_handle(irq, on_other);
    irq_handle(IRQ_PIT, on_pit);
    irq_handle(IRQ_RTC, on_rtc);
    irq_handle(IRQ_COM1, on_com1);
    pit_periodic(PIT_SLOWEST_HZ);
    outb(RTC_A, CMOS_INDEX);
    outb(RTC_A_8192_HZ, CMOS_DATA);
    outb(RTC_B, CMOS_INDEX);
    outb(inb(CMOS_DATA) | RTC_B_PERIODIC, CMOS_DATA);
    outb(RTC_C, CMOS_INDEX);
    (void)inb(CMOS_DATA);
}

int main(const char *command_line)
{
    uint32_t wanted = option_number(command_line, "irqs", 100000), errors = 0;

    random_state = option_number(command_line, "seed", 20070606) | 1;
    gdt_init();
    tss_init();
    interrupt_init();
    pic_init();
    interrupt_handle(VECTOR_PF, on_page_fault);
    interrupt_handle(SOFTWARE_VECTOR, on_software);
    interrupt_handle(LEAVE_VECTOR, on_leave);
    interrupt_allow(LEAVE_VECTOR, 3);
    paging_on();
    sources_on();
    interrupts_on();
    while (irqs < wanted) {
        unsigned i = random() % CHECKS;
        checks[i].errors += checks[i].run() != 0;
    }
    interrupts_off();
    outb(0, COM1 + UART_IER);
    for (unsigned i = 0; i < CHECKS; i++) {
        errors += checks[i].errors;
        if (checks[i].errors)
            print("stress: %s: %u errors\n", checks[i].name, checks[i].errors);
    }
    errors += handler_errors;
    if (handler_errors)
        print("stress: registers in handlers: %u errors\n", handler_errors);
    print("stress: pit %u, rtc %u, uart %u irqs; %u page faults\n", irq_counts[IRQ_PIT], irq_counts[IRQ_RTC],
          irq_counts[IRQ_COM1], page_faults);
    print("stress: %u irqs, %u errors\n", irqs, errors);
    return errors != 0;
}
