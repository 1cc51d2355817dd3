/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Runs port instructions that somebody else chose, and reports all that can be seen of each run.
 * Drives: whatever the cases name. They come in module 0: struct batch, then struct law_case after struct law_case, which
 * tests/io/law/ writes. Each is some code with the registers, segments, pages, I/O map and mode that it starts with.
 * Unit of work: one case. Its end (INT 81h, or any exception) and each event before it (a page fault that was repaired, a
 * single step) is a struct report, by REP OUTSB to RESULTS. It ends the guest with value 0.
 * Command line: vmi: the case's calls go to the VMI ROM, not to the instructions that they stand for. stubs: they go to the code
 * of module 1, struct law_stubs, which tests/io/law/stubs.py makes for any other convention.
 *
 * Linear addresses: BIG, 80 pages on 4 frames; WINDOW, 16 pages on 8 frames, each as the case wants it; CODE, two pages;
 * STACK; CALLS, twelve jumps to the calls, with the stubs and the page where they save registers. Nothing else below 1 MiB; the program itself, for ring 0 to 2, from 1 MiB on. The ROM
 * is far away, at DIRECT_MAP.
 * Between two cases all of that, the devices and the position in the stream are put back. */
#include <hyperport/vmi.h>

#include "cpu.h"
#include "guest.h"
#include "lawguest.h"
#include "segments.h"

#define LAW_MAGIC 0x3157414Cu /* "LAW1" */
#define DONE_VECTOR 0x81
#define RESULTS 0x5F0 /* a debug console for reports */
#define LOG 0x5E0     /* four debug consoles with one log */

#define BIG 0x10000u
#define BIG_PAGES 80u
#define BIG_FRAMES 4u
#define WINDOW 0x60000u
#define WINDOW_FRAMES 8u
#define CODE 0x72000u
#define CODE_PAGES 2u
#define STACK 0x76000u
#define CALLS 0xF0000u
#define CALL_BYTES 16u
#define CALL_MARK 0xCA110000u /* in place of an EIP: at the call's first instruction */
#define CALL_RETURNS 0x100u   /* and with this, at its RET */
#define DOORBELL_BYTES 4u     /* with the RET */
#define OUT_IMMEDIATE 0xE6    /* a doorbell of the ROM is OUT to the call's number, RET */
#define RET 0xC3
#define STUBS_MAGIC 0x3153414Cu /* "LAS1" */
#define STUBS (CALLS + 0x100u)
#define CALL_PAGES 2u /* the second one is SAVED, and writable */
#define KERNEL 0x100000u
#define DIRECT_MAP 0x20000000u /* physical addresses from 0 to 4 MiB once more */
#define LARGE_PAGES 16u /* of 4 MiB: kernel and module */
#define FILLER 0xCC

/* Descriptors of this program; tests/io/law/programs.py knows them too. */
#define CODE_RING1 0x31u
#define CODE16_RING0 0x38u
#define CODE16_RING1 0x41u
#define CODE16_RING3 0x4Bu
#define STACK_RING1 0x51u
#define DATA_WINDOW 0x5Bu
#define DATA_ODD 0x63u /* 5 bytes below the window */
#define DATA_BIG 0x6Bu

/* The firmware configuration device of qemu: a word selects an item at its first byte, bytes are read. */
#define FW_SELECTOR 0x510
#define FW_DATA 0x511
#define FW_DIRECTORY 0x19
#define STREAM_NAME "opt/hyperport/stream"

#define CMOS_INDEX 0x70
#define CMOS_DATA 0x71
#define CMOS_FIRST 0x40 /* plain RAM, and every byte of the tests has bit 6 set: so no index is another register */
#define CMOS_LAST 0x7F
#define SCRATCH (COM1 + 7)
#define LCR (COM1 + UART_LCR)
#define LCR_DLAB 0x83 /* the first two registers are the divisor; 8N1 */
#define LCR_DATA 0x03

static uint32_t page_directory[1024] __attribute__((aligned(4096)));
static uint32_t page_table[1024] __attribute__((aligned(4096)));
static struct {
    uint8_t big[BIG_FRAMES][PAGE_SIZE], window[WINDOW_FRAMES][PAGE_SIZE];
} frames __attribute__((aligned(4096))), pristine __attribute__((aligned(4096)));
static uint8_t code_frames[CODE_PAGES * PAGE_SIZE] __attribute__((aligned(4096)));
static uint8_t stack_frame[PAGE_SIZE] __attribute__((aligned(4096)));
static uint8_t calls_frame[CALL_PAGES * PAGE_SIZE] __attribute__((aligned(4096)));
static uint8_t ring0_case_stack[2 * PAGE_SIZE] __attribute__((aligned(4096)));

static struct context suite;
static const struct law_case *current;
static struct report report;
static uint32_t pristine_sum;
static uint16_t stream_key;
static uint32_t call_entry[CALLS_COUNT];
static uint32_t rom_first, rom_end; /* linear addresses */
static const struct law_stubs *stubs;
static struct saved *const saved = (struct saved *)(calls_frame + PAGE_SIZE);

/* The calls as instructions, in the order of their numbers. */
__asm__(".pushsection .text\n"
        ".macro native text\n.balign 16\n\\text\nret\n.endm\n"
        ".balign 16\nnative_calls:\n"
        "native \"in %dx, %eax\"\nnative \"in %dx, %al\"\nnative \"in %dx, %ax\"\n"
        "native \"rep insl\"\nnative \"rep insb\"\nnative \"rep insw\"\n"
        "native \"out %eax, %dx\"\nnative \"out %al, %dx\"\nnative \"out %ax, %dx\"\n"
        "native \"rep outsl\"\nnative \"rep outsb\"\nnative \"rep outsw\"\n"
        ".popsection");
extern const uint8_t native_calls[];

/* Memory. */

static uint32_t sum_of(const void *area, size_t bytes)
{
    const uint32_t *word = area, *end = word + bytes / 4;
    uint32_t a = 0, b = 0;
    for (; word < end; word += 2) {
        a = (a ^ word[0]) * 16777619u;
        b = (b ^ word[1]) * 16777619u;
    }
    return a ^ (b << 16 | b >> 16);
}

static void copy_words(void *to, const void *from, size_t bytes)
{
    uint32_t *target = to;
    const uint32_t *source = from;
    for (; bytes; bytes -= 8, target += 2, source += 2) {
        target[0] = source[0];
        target[1] = source[1];
    }
}

static void fill_pristine(void)
{
    uint8_t *byte = (uint8_t *)&pristine;
    uint32_t state = 1;
    for (size_t i = 0; i < sizeof pristine; i++) {
        state = state * 1664525u + 1013904223u;
        byte[i] = (uint8_t)(state >> 24 | 0x40);
    }
    pristine_sum = sum_of(&pristine, sizeof pristine);
    memset(stack_frame, 0x55, sizeof stack_frame);
    memset(code_frames, FILLER, sizeof code_frames);
}

static uint32_t window_entry(uint32_t page, uint32_t bits)
{
    return (uint32_t)frames.window[page % WINDOW_FRAMES] | (bits & (PAGE_PRESENT | PAGE_WRITABLE | PAGE_USER));
}

static void fill_tables(void)
{
    const uint32_t open = PAGE_PRESENT | PAGE_WRITABLE | PAGE_USER;

    for (uint32_t page = 0; page < CODE_PAGES; page++)
        page_table[CODE / PAGE_SIZE + page] = (uint32_t)(code_frames + page * PAGE_SIZE) | open;
    page_table[STACK / PAGE_SIZE] = (uint32_t)stack_frame | open;
    page_table[CALLS / PAGE_SIZE] = (uint32_t)calls_frame | PAGE_PRESENT;
    page_table[CALLS / PAGE_SIZE + 1] = (uint32_t)saved | PAGE_PRESENT | PAGE_WRITABLE;
    for (uint32_t at = KERNEL; at < 1024 * PAGE_SIZE; at += PAGE_SIZE)
        page_table[at / PAGE_SIZE] = at | PAGE_PRESENT | PAGE_WRITABLE;
    page_directory[0] = (uint32_t)page_table | open;
    page_directory[DIRECT_MAP >> 22] = PAGE_LARGE | PAGE_PRESENT | PAGE_WRITABLE;
    for (uint32_t large = 1; large < LARGE_PAGES; large++)
        page_directory[large] = large << 22 | PAGE_LARGE | PAGE_PRESENT | PAGE_WRITABLE;
}

static void arrange_pages(void)
{
    for (uint32_t page = 0; page < BIG_PAGES; page++)
        page_table[BIG / PAGE_SIZE + page] =
            (uint32_t)frames.big[page % BIG_FRAMES] | PAGE_PRESENT | PAGE_WRITABLE | PAGE_USER;
    for (uint32_t page = 0; page < WINDOW_PAGES; page++)
        page_table[WINDOW / PAGE_SIZE + page] = window_entry(page, current->pages[page / 2] >> (page & 1) * 4);
    cr0_write((cr0_read() & ~CR0_WP) | (current->options & OPTION_WP ? CR0_WP : 0));
    cr3_write(cr3_read());
}

/* Devices. */

static void stream_find(void)
{
    static const char name[] = STREAM_NAME;
    uint8_t entry[64], count[4];

    native_outw(FW_DIRECTORY, FW_SELECTOR);
    native_insb(FW_DATA, count, sizeof count);
    for (uint32_t i = 0; i < count[3]; i++) { /* big-endian: size, key, 2 bytes of nothing, name */
        native_insb(FW_DATA, entry, sizeof entry);
        if (!memcmp(entry + 8, name, sizeof name))
            stream_key = (uint16_t)(entry[4] << 8 | entry[5]);
    }
    if (!stream_key) {
        print("lawguest: no stream " STREAM_NAME "\n");
        guest_exit(3);
    }
}

static void arrange_devices(void)
{
    if (current->options & OPTION_CMOS)
        for (uint32_t i = CMOS_FIRST; i <= CMOS_LAST; i++) {
            native_outb((uint8_t)i, CMOS_INDEX);
            native_outb((uint8_t)(i * 7 | 0x40), CMOS_DATA);
        }
    native_outb(CMOS_FIRST, CMOS_INDEX);
    native_outb(0xFF, PIC1_DATA);
    native_outb(0xFF, PIC2_DATA);
    native_outb(0x55, SCRATCH);
    native_outb(LCR_DLAB, LCR);
    native_outw(0x4241, COM1);
    native_outw(stream_key, FW_SELECTOR);
}

static void report_devices(void)
{
    report.ports = native_inb(PIC1_DATA) | (uint32_t)native_inb(PIC2_DATA) << 8 | (uint32_t)native_inb(SCRATCH) << 16;
    if (current->options & OPTION_CMOS) /* at the index that the case left */
        report.ports |= (uint32_t)native_inb(CMOS_DATA) << 24;
    report.divisor = native_inw(COM1);
    native_outb(LCR_DATA, LCR);
    report.stream = 0;
    for (uint32_t i = 0; i < 4; i++)
        report.stream = report.stream << 8 | native_inb(FW_DATA);
    report.cmos = 0;
    if (current->options & OPTION_CMOS)
        for (uint32_t i = CMOS_FIRST; i <= CMOS_LAST; i++) {
            native_outb((uint8_t)i, CMOS_INDEX);
            report.cmos = (report.cmos ^ native_inb(CMOS_DATA)) * 16777619u;
        }
    native_outb(0xFF, PIC1_DATA);
    native_outb(0xFF, PIC2_DATA);
}

/* Calls. */

static void calls_lead(bool by_stubs)
{
    for (uint32_t i = 0; i < CALLS_COUNT; i++) {
        uint8_t *slot = calls_frame + i * CALL_BYTES;
        uint32_t entry = by_stubs ? STUBS + i * STUB_BYTES : call_entry[i];
        uint32_t relative = entry - (CALLS + i * CALL_BYTES + 5);
        slot[0] = 0xE9; /* JMP rel32 */
        memcpy(slot + 1, &relative, 4);
    }
}

static void stubs_init(void)
{
    for (uint32_t i = 0; i < CALLS_COUNT; i++)
        memcpy(calls_frame + (STUBS - CALLS) + i * STUB_BYTES, stubs->call[i].code, stubs->call[i].length);
}

static void calls_init(bool by_rom)
{
    const char *reason = NULL;
    const struct hyperport_vmi_rom *rom = by_rom ? hyperport_vmi_find(DIRECT_MAP, &reason) : NULL;

    if (by_rom && (!rom || hyperport_vmi_activate(rom))) {
        print("lawguest: no VMI ROM: %s\n", reason ? reason : "it refused");
        guest_exit(4);
    }
    if (rom) {
        rom_first = (uint32_t)rom;
        rom_end = rom_first + rom->rom_length * 512u;
    }
    for (uint32_t i = 0; i < CALLS_COUNT; i++) {
        call_entry[i] = (uint32_t)native_calls + i * 16;
        if (rom)
            call_entry[i] = hyperport_vmi_relocation(rom, HYPERPORT_VMI_INL + i).eip;
    }
    calls_lead(false);
}

static uint32_t base_of(uint16_t selector)
{
    return selector == DATA_WINDOW ? WINDOW : selector == DATA_ODD ? WINDOW - 5 : selector == DATA_BIG ? BIG : 0;
}

static void arrange_calls(void)
{
    if (!stubs)
        return;
    saved->base_es = base_of(current->es);
    saved->base_ds = base_of(current->ds);
    calls_lead(stubs->highest_cpl >= (current->mode == RING1));
}

/* Which of the ROM's calls has been made, and is about to return? CALLS_COUNT for none. */
static uint32_t call_made(uint32_t eip)
{
    const uint8_t *code = (const uint8_t *)eip;

    if (eip < rom_first + 2 || eip >= rom_end || code[0] != RET || code[-2] != OUT_IMMEDIATE ||
        code[-1] - (uint32_t)HYPERPORT_VMI_INL >= CALLS_COUNT)
        return CALLS_COUNT;
    return code[-1] - (uint32_t)HYPERPORT_VMI_INL;
}

static uint32_t place_of(uint32_t eip)
{
    if (call_made(eip) < CALLS_COUNT)
        return CALL_MARK + CALL_RETURNS + call_made(eip);
    for (uint32_t i = 0; i < CALLS_COUNT; i++)
        if (eip - call_entry[i] < DOORBELL_BYTES)
            return CALL_MARK + (eip == call_entry[i] ? 0 : CALL_RETURNS) + i;
    for (uint32_t i = 0; stubs && i < CALLS_COUNT; i++)
        if (eip - (STUBS + i * STUB_BYTES) < STUB_BYTES || eip == stubs->call[i].fault_at)
            return CALL_MARK + i;
    return eip;
}

/* A call has faulted in a stub: what would the instruction show? */
static void show_as_instruction(const struct frame *frame)
{
    uint32_t *const field[] = {&report.eax, &report.ecx, &report.edx, &report.ebx,
                               NULL,        &report.ebp, &report.esi, &report.edi};
    const uint32_t now[] = {frame->eax, frame->ecx, frame->edx, frame->ebx, 0, frame->ebp, frame->esi, frame->edi};

    for (uint32_t i = 0; stubs && i < CALLS_COUNT; i++)
        if (frame->eip == stubs->call[i].fault_at) {
            for (uint32_t r = 0; r < 8; r++)
                if (field[r])
                    *field[r] = stubs->call[i].shown[r] == AS_SAVED ? saved->registers[r] : now[stubs->call[i].shown[r]];
            report.esp += stubs->call[i].pushed;
        }
}

/* Events. */

static void report_frame(const struct frame *frame)
{
    const uint32_t *beyond = (const uint32_t *)(frame + 1); /* of virtual-8086 mode: ES, DS, FS, GS */
    bool v86 = frame->eflags & EFLAGS_VM, ring0 = !v86 && !(frame->cs & 3);

    report.vector = frame->vector;
    report.error = frame->error;
    report.cr2 = frame->vector == VECTOR_PF ? cr2_read() : 0;
    report.dr6 = frame->vector == VECTOR_DB ? dr6_read() : 0;
    report.eip = place_of(frame->eip);
    report.cs = frame->cs & 0xFFFF;
    report.eflags = frame->eflags & ~(uint32_t)EFLAGS_RF;
    report.esp = ring0 ? (uint32_t)&frame->esp - (uint32_t)ring0_case_stack : frame->esp;
    report.ss = ring0 ? 0 : frame->ss & 0xFFFF;
    report.es = (v86 ? beyond[0] : frame->es) & 0xFFFF;
    report.ds = (v86 ? beyond[1] : frame->ds) & 0xFFFF;
    report.fs = (v86 ? beyond[2] : frame->fs) & 0xFFFF;
    report.gs = (v86 ? beyond[3] : frame->gs) & 0xFFFF;
    report.eax = frame->eax;
    report.ecx = frame->ecx;
    report.edx = frame->edx;
    report.ebx = frame->ebx;
    report.ebp = frame->ebp;
    report.esi = frame->esi;
    report.edi = frame->edi;
}

/* A single step to a place in the ROM where a call has begun and is not made yet: the instruction has no such place. */
static bool within_call(const struct frame *frame)
{
    if (frame->vector != VECTOR_DB || dr6_read() & DR6_HITS || frame->eip < rom_first || frame->eip >= rom_end)
        return false;
    for (uint32_t i = 0; i < CALLS_COUNT; i++)
        if (frame->eip == call_entry[i])
            return false;
    return call_made(frame->eip) == CALLS_COUNT;
}

/* Can the case go on after this event? */
static bool repaired(void)
{
    uint32_t page = report.cr2 / PAGE_SIZE;

    if (report.event >= current->events)
        return false;
    if (report.vector == VECTOR_DB)
        return true;
    if (report.vector != VECTOR_PF)
        return false;
    if (page - WINDOW / PAGE_SIZE >= WINDOW_PAGES || !(current->options & OPTION_REPAIR))
        return false;
    page_table[page] |= PAGE_PRESENT | PAGE_WRITABLE | PAGE_USER;
    page_invalidate((const void *)(page * PAGE_SIZE));
    return true;
}

static void on_event(struct frame *frame)
{
    bool shown = !within_call(frame);

    if (shown) {
        report_frame(frame);
        show_as_instruction(frame);
    }
    if (frame->vector == VECTOR_DB)
        __asm__ volatile("mov %0, %%dr6" : : "r"(0));
    if (!shown)
        return;
    if (!repaired())
        context_resume(&suite);
    report.event++;
    native_outsb(RESULTS, &report, sizeof report);
}

/* Cases. */

__attribute__((noreturn)) static void enter(const struct frame *image)
{
    __asm__ volatile("mov %0, %%esp; popa; pop %%gs; pop %%fs; pop %%es; pop %%ds; add $8, %%esp; iret" : : "r"(image)
                     : "memory");
    __builtin_unreachable();
}

static void start(void)
{
    static const uint16_t code[] = {KERNEL_CS, CODE_RING1, USER_CS, CODE16_RING0, CODE16_RING1, CODE16_RING3};
    static const uint16_t stack[] = {KERNEL_DS, STACK_RING1, USER_DS, KERNEL_DS, STACK_RING1, 0};
    static struct {
        struct frame frame;
        uint32_t es, ds, fs, gs;
    } image;
    const struct law_case *c = current;
    struct frame *frame = &image.frame;
    bool v86 = c->mode == V86;

    if (c->mode == RING0 || c->mode == RING0_16) /* IRET to the same ring leaves ESP behind the frame's three words */
        frame = (struct frame *)(ring0_case_stack + sizeof ring0_case_stack - 64 - offsetof(struct frame, esp));
    frame->eax = c->eax;
    frame->ecx = c->ecx;
    frame->edx = c->edx;
    frame->ebx = c->ebx;
    frame->ebp = c->ebp;
    frame->esi = c->esi;
    frame->edi = c->edi;
    frame->gs = v86 ? KERNEL_DS : c->gs;
    frame->fs = v86 ? KERNEL_DS : c->fs;
    frame->es = v86 ? KERNEL_DS : c->es;
    frame->ds = v86 ? KERNEL_DS : c->ds;
    frame->eip = (c->mode < RING0_16 ? CODE : 0) + c->code_offset;
    frame->cs = v86 ? CODE >> 4 : code[c->mode];
    frame->eflags = (c->eflags & ~(uint32_t)(EFLAGS_IF | EFLAGS_VM)) | 2 | (v86 ? EFLAGS_VM : 0);
    if (frame == &image.frame) {
        frame->esp = v86 ? 0x100 : STACK + 0xF80;
        frame->ss = v86 || !stack[c->mode] ? c->ss : stack[c->mode];
        image.es = c->es;
        image.ds = c->ds;
        image.fs = c->fs;
        image.gs = c->gs;
    }
    if (c->breakpoint) {
        dr0_write(c->breakpoint_port);
        dr7_write(DR7_GLOBAL_0 | DR7_IO_0 | (uint32_t)(c->breakpoint - 1) << DR7_LENGTH_0_SHIFT);
    }
    enter(frame);
}

static void allow_ports(bool allowed)
{
    for (uint32_t i = 0; i < 4; i++)
        for (uint32_t port = current->allowed[i].first, left = current->allowed[i].count; left; left--, port++) {
            uint8_t *byte = &tss.iomap[port >> 3], bit = (uint8_t)(1u << (port & 7));
            if (port >> 3 < sizeof tss.iomap)
                *byte = allowed ? *byte & (uint8_t)~bit : *byte | bit;
        }
}

static uint32_t touched(uint32_t first, uint32_t count)
{
    uint32_t bits = 0;
    for (uint32_t page = first / PAGE_SIZE; count; page++, count--)
        bits = bits * 5 + (page_table[page] >> 5 & 3);
    return bits;
}

static void run(const struct law_case *c, uint32_t index)
{
    char mark[16] = "\n#case ";

    current = c;
    memset(&report, 0, sizeof report);
    report.index = index;
    memcpy(code_frames + c->code_offset, c->code, c->code_length);
    arrange_pages();
    arrange_devices();
    arrange_calls();
    allow_ports(true);
    tss.iomap_base = c->iomap_base;
    tss_load(c->tss_limit);
    for (uint32_t i = 0; i < 8; i++)
        mark[7 + i] = "0123456789abcdef"[index >> (28 - 4 * i) & 15];
    mark[15] = '\n';
    native_outsb(LOG, mark, sizeof mark);
    if (!context_save(&suite))
        start();
    dr7_write(0);
    dr0_write(0); /* no EIP of a program: B0 may be set where nothing is enabled (SDM vol. 3, 17.2.3) */
    allow_ports(false);
    report.event = 0;
    report.touched = touched(WINDOW, WINDOW_PAGES);
    report.touched_big = touched(BIG, BIG_PAGES);
    report_devices();
    report.memory = sum_of(&frames, sizeof frames);
    native_outsb(RESULTS, &report, sizeof report);
    if (report.memory != pristine_sum)
        copy_words(&frames, &pristine, sizeof frames);
    memset(code_frames + c->code_offset, FILLER, c->code_length);
}

static void descriptors_init(void)
{
    const uint32_t data = ACCESS_PRESENT | ACCESS_DPL(3u) | ACCESS_DATA, code = ACCESS_PRESENT | ACCESS_CODE;

    gdt_set_flat(CODE_RING1, code | ACCESS_DPL(1u));
    gdt_set_flat(STACK_RING1, ACCESS_PRESENT | ACCESS_DPL(1u) | ACCESS_DATA);
    /* 4 GiB each, since qemu does not check limits. */
    gdt_set_pages(CODE16_RING0, CODE, 0xFFFFF, code);
    gdt_set_pages(CODE16_RING1, CODE, 0xFFFFF, code | ACCESS_DPL(1u));
    gdt_set_pages(CODE16_RING3, CODE, 0xFFFFF, code | ACCESS_DPL(3u));
    gdt_set_pages(DATA_WINDOW, WINDOW, 0xFFFFF, data);
    gdt_set_pages(DATA_ODD, WINDOW - 5, 0xFFFFF, data);
    gdt_set_pages(DATA_BIG, BIG, 0xFFFFF, data);
}

int main(const char *command_line)
{
    /* Read now, with the modules: what the loader says lies below 1 MiB. */
    bool by_rom = option_given(command_line, "vmi"), by_stubs = option_given(command_line, "stubs");
    size_t size = 0;
    const struct batch *batch = module_find(0, &size);

    if (!batch || size < sizeof *batch || batch->magic != LAW_MAGIC || batch->case_size != sizeof(struct law_case) ||
        (size - sizeof *batch) / sizeof(struct law_case) < batch->count) {
        print("lawguest: module 0 is no batch of cases\n");
        return 2;
    }
    if (by_stubs) {
        stubs = module_find(1, &size);
        if (!stubs || size < sizeof *stubs || stubs->magic != STUBS_MAGIC) {
            print("lawguest: module 1 is no stubs\n");
            return 5;
        }
    }
    gdt_init();
    descriptors_init();
    tss_init();
    interrupt_init();
    pic_init();
    for (unsigned vector = 0; vector < IRQ_BASE; vector++)
        interrupt_handle(vector, on_event);
    interrupt_handle(DONE_VECTOR, on_event);
    interrupt_allow(DONE_VECTOR, 3);
    fill_pristine();
    copy_words(&frames, &pristine, sizeof frames);
    fill_tables();
    cr4_write(CR4_PSE | CR4_DE);
    cr3_write((uint32_t)page_directory);
    cr0_write(cr0_read() | CR0_PG | CR0_NE);
    calls_init(by_rom);
    if (stubs)
        stubs_init();
    stream_find();
    const struct law_case *c = (const struct law_case *)(batch + 1);
    for (uint32_t i = 0; i < batch->count; i++)
        run(c + i, i);
    return 0;
}
