/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A kernel in small that uses VMI as Linux 2.6.2x does, and checks all that it is promised.
 * Drives: the VMI ROM: search, activation, relocation of every call, rewritten sites for calls 29 to 34, the port calls through
 * the SDK; against the test device at port 0x340 if there is one, else the diagnostic port. Paging is on, the ROM is used by its
 * alias at 0xC0000000, string buffers lie on scattered pages, and a 1 kHz timer returns by the ROM's IRET meanwhile.
 * Every port call is compared with the instruction: all registers, flags, memory, what the device saw.
 * Command line: vmi=disable_io_ops; ops=kvm or ops=lguest: no VMI, the same checks on the calls of that convention; with self
 * the guest answers those calls itself, and not more than half of a string each time, so that no VMM is needed for them.
 * Unit of work: one check. Ends: with "vmiguest: N checks, F failures", value 0 if F is 0, else 1. A ROM that is refused or
 * missing gives "vmi: refused: REASON", and everything is checked natively. */
#include <hyperport/kvm.h>
#include <hyperport/lguest.h>
#include <hyperport/start.h>

#include "cpu.h"
#include "guest.h"
#include "segments.h"

#define DIRECT_MAP 0xC0000000u
#define WINDOW 0xF8000000u
#define WINDOW_PAGES 4u
#define WINDOW_BYTES (WINDOW_PAGES * PAGE_SIZE)
#define MAPPED (PAGE_PRESENT | PAGE_WRITABLE | PAGE_USER)
#define BAD_NUMBERS 6u

#define PIT_CONTROL 0x43
#define TIMER_HZ 1000u
#define POST_PORT 0x80
#define CMOS_INDEX 0x70
#define CMOS_DATA 0x71
#define CMOS_FREE 0x55
#define TEST_DEVICE 0x340
#define TEST_CONTROL (TEST_DEVICE + 4)
#define TEST_START 2166136261u /* its checksum after seeding */
#define SEED 0x12345678u

#define VECTOR_UD 6
#define VMCALL_BYTES 3
#define IRET_VECTOR 0x40
#define LEAVE_VECTOR 0x81
#define CPUID_SEP (1u << 11)
#define ARITHMETIC_FLAGS 0x8D5u /* CF PF AF ZF SF OF */
#define COMPARED_FLAGS (ARITHMETIC_FLAGS | EFLAGS_IF | EFLAGS_DF)

static uint32_t page_directory[1024] __attribute__((aligned(4096)));
static uint32_t low_table[1024] __attribute__((aligned(4096)));
static uint32_t window_table[1024] __attribute__((aligned(4096)));
static uint8_t frames[2 * WINDOW_PAGES][PAGE_SIZE] __attribute__((aligned(4096)));
static uint8_t reference[WINDOW_BYTES];
static uint8_t user_stack[4096] __attribute__((aligned(16)));
static uint8_t *const window = (uint8_t *)WINDOW;

static unsigned checks, failures;
static bool have_device;
static struct context kernel;
static struct frame user_frame;
volatile uint32_t timer_ticks;

static bool check(bool good, const char *what, uint32_t got, uint32_t expected)
{
    checks++;
    if (!good && failures++ < 20)
        print("vmiguest: %s: got %x, expected %x\n", what, got, expected);
    return good;
}

static bool check_equal(const char *what, uint32_t got, uint32_t expected)
{
    return check(got == expected, what, got, expected);
}

/* Assembly: one entry called with all registers set, and the sites for calls 29 to 34. */

struct registers {
    uint32_t eax, ebx, ecx, edx, esi, edi, ebp, eflags;
};

/* Loads registers and flags, calls entry, stores them back. Returns by how many bytes the entry left ESP wrong. */
uint32_t call_with(struct registers *registers, hyperport_io_entry entry);
__asm__(".text\n"
        "call_with:\n\t"
        "push %ebx; push %esi; push %edi; push %ebp; pushf\n\t"
        "mov 24(%esp), %ebp\n\t"
        "mov 28(%esp), %eax\n\t"
        "mov %ebp, call_registers; mov %eax, call_entry; mov %esp, call_stack\n\t"
        "mov (%ebp), %eax; mov 4(%ebp), %ebx; mov 8(%ebp), %ecx; mov 12(%ebp), %edx; mov 16(%ebp), %esi; mov 20(%ebp), %edi\n\t"
        "push 28(%ebp)\n\t"
        "mov 24(%ebp), %ebp\n\t"
        "popf\n\t"
        "call *call_entry\n\t"
        "pushf; push %ebp\n\t"
        "cld\n\t"
        "mov call_registers, %ebp\n\t"
        "mov %eax, (%ebp); mov %ebx, 4(%ebp); mov %ecx, 8(%ebp); mov %edx, 12(%ebp); mov %esi, 16(%ebp); mov %edi, 20(%ebp)\n\t"
        "pop 24(%ebp); pop 28(%ebp)\n\t"
        "mov %esp, %eax\n\t"
        "mov call_stack, %esp\n\t"
        "sub %esp, %eax\n\t"
        "popf; pop %ebp; pop %edi; pop %esi; pop %ebx\n\t"
        "ret\n"
        ".local call_registers, call_entry, call_stack\n"
        ".comm call_registers, 4, 4\n"
        ".comm call_entry, 4, 4\n"
        ".comm call_stack, 4, 4\n");

/* As in Linux: 29 to 32 are native code with room, 33 and 34 jump through pointers that nobody may follow. */
#define SITE_BYTES 7u
#define SITE_ROOM(name) ".fill 7 - (. - " name "), 1, 0x90\n\t"
extern uint8_t site_enable[], site_disable[], site_get_mask[], site_set_mask[], site_iret[], site_sysexit[];
__attribute__((used)) static void poison_reached(void);
__attribute__((used)) static void (*const poison)(void) = poison_reached;
void timer_entry(void);
void int_iret(void);
void sysexit_start(void);
__asm__(".text\n"
        "site_enable:\n\tsti\n\t" SITE_ROOM("site_enable") "ret\n"
        "site_disable:\n\tcli\n\t" SITE_ROOM("site_disable") "ret\n"
        "site_get_mask:\n\tpushf; pop %eax\n\t" SITE_ROOM("site_get_mask") "ret\n"
        "site_set_mask:\n\tpush %eax; popf\n\t" SITE_ROOM("site_set_mask") "ret\n"
        "timer_entry:\n\t"              /* only CS and SS hold what the kernel wants */
        "incl %ss:timer_ticks\n\t"
        "push %eax\n\t"
        "mov $0x20, %al\n\t"
        "out %al, $0x20\n\t"
        "pop %eax\n"
        "site_iret:\n\tjmp *%cs:poison\n"
        "int_iret:\n\tint $0x40\n\tret\n"
        "sysexit_start:\n\t"
        "mov $sysexit_landing, %edx\n\t"
        "mov $0xBFFF0000, %ecx\n\t"
        "mov $0x11111111, %eax; mov $0x22222222, %ebx; mov $0x33333333, %esi; mov $0x44444444, %edi; mov $0x55555555, %ebp\n"
        "site_sysexit:\n\tjmp *%cs:poison\n"
        "sysexit_landing:\n\tint $0x81\n");

static void poison_reached(void)
{
    print("vmiguest: a call without which no kernel can live was not offered\n");
    guest_exit(1);
}

static const struct site {
    uint32_t number;
    uint8_t *code;
    uint8_t native_bytes, native[3];
} sites[] = {
    {HYPERPORT_VMI_EnableInterrupts, site_enable, 1, {0xFB}},
    {HYPERPORT_VMI_DisableInterrupts, site_disable, 1, {0xFA}},
    {HYPERPORT_VMI_GetInterruptMask, site_get_mask, 2, {0x9C, 0x58}},
    {HYPERPORT_VMI_SetInterruptMask, site_set_mask, 2, {0x50, 0x9D}},
    {HYPERPORT_VMI_IRET, site_iret, 1, {0xCF}},
    {HYPERPORT_VMI_SYSEXIT, site_sysexit, 3, {0xFB, 0x0F, 0x35}}, /* STI, SYSEXIT */
};
#define SITES (sizeof sites / sizeof sites[0])

static void site_fill(const struct site *site, const uint8_t *code, unsigned count)
{
    memset(site->code, 0x90, SITE_BYTES);
    memcpy(site->code, code, count);
}

static void sites_native(void)
{
    for (unsigned i = 0; i < SITES; i++)
        site_fill(&sites[i], sites[i].native, sites[i].native_bytes);
}

static void sites_patch(const struct hyperport_vmi_rom *rom)
{
    for (const struct site *site = sites; site < sites + SITES; site++) {
        struct hyperport_vmi_relocation call = hyperport_vmi_relocation(rom, site->number);
        if (call.type == HYPERPORT_VMI_RELOCATION_CALL_REL)
            hyperport_patch_branch(site->code, SITE_BYTES, HYPERPORT_CALL_REL32, call.eip);
        else if (call.type == HYPERPORT_VMI_RELOCATION_JUMP_REL)
            hyperport_patch_branch(site->code, SITE_BYTES, HYPERPORT_JMP_REL32, call.eip);
        else if (call.type == HYPERPORT_VMI_RELOCATION_NOP)
            site_fill(site, NULL, 0);
    }
}

/* The machine. */

static void paging_on(void)
{
    for (uint32_t page = 0; page < 1024; page++)
        low_table[page] = page * PAGE_SIZE | MAPPED;
    /* every other frame, last first: no two neighbours are neighbours */
    for (uint32_t page = 0; page < WINDOW_PAGES; page++)
        window_table[page] = (uint32_t)frames[2 * (WINDOW_PAGES - 1 - page)] | MAPPED;
    page_directory[0] = page_directory[DIRECT_MAP >> 22] = (uint32_t)low_table | MAPPED;
    page_directory[WINDOW >> 22] = (uint32_t)window_table | MAPPED;
    cr3_write((uint32_t)page_directory);
    cr0_write(cr0_read() | CR0_PG);
}

static void on_leave(struct frame *frame)
{
    user_frame = *frame;
    context_resume(&kernel);
}

static void start(void)
{
    gdt_init();
    tss_init();
    interrupt_init();
    pic_init();
    paging_on();
    interrupt_entry(IRET_VECTOR, (void (*)(void))site_iret, 3);
    interrupt_handle(LEAVE_VECTOR, on_leave);
    interrupt_allow(LEAVE_VECTOR, 3);
    native_outl(SEED, TEST_CONTROL);
    have_device = native_inl(TEST_CONTROL) == TEST_START;
    print("vmiguest: test device %s\n", have_device ? "present" : "absent");
}

/* VMI, in the order in which a kernel goes about it. */

static uint8_t rom_sum(const struct hyperport_vmi_rom *rom)
{
    uint8_t sum = 0;
    for (uint32_t i = 0; i < rom->rom_length * 512u; i++)
        sum = (uint8_t)(sum + ((const uint8_t *)rom)[i]);
    return sum;
}

static void relocate(const struct hyperport_vmi_rom *rom, uint32_t number)
{
    static const char *const names[] = {"none", "call_rel", "jump_rel", "nop"};
    struct hyperport_vmi_relocation call = hyperport_vmi_relocation(rom, number);
    struct hyperport_vmi_relocation again = hyperport_vmi_relocation(rom, number);

    check(call.eip == again.eip && call.type == again.type, "second answer of get_reloc", again.eip, call.eip);
    if (!check(call.type <= HYPERPORT_VMI_RELOCATION_NOP, "relocation type", call.type, HYPERPORT_VMI_RELOCATION_NOP))
        return;
    if (number >= HYPERPORT_VMI_CALLS)
        check_equal("relocation type of an unknown call", call.type, HYPERPORT_VMI_RELOCATION_NONE);
    if (call.type == HYPERPORT_VMI_RELOCATION_NONE)
        return;
    print("vmi: call %u %s", number, names[call.type]);
    if (call.type != HYPERPORT_VMI_RELOCATION_NOP) {
        uint32_t offset = call.eip - (uint32_t)rom;
        print(" +%x", offset);
        check(offset < rom->rom_length * 512u, "relocation target's place in the ROM", offset, rom->rom_length * 512u);
    }
    print("\n");
}

static void relocate_all(const struct hyperport_vmi_rom *rom)
{
    static const uint32_t beyond[BAD_NUMBERS] = {74, 75, 255, 256, 0x7FFFFFFF, 0xFFFFFFFF};
    for (uint32_t number = 0; number < HYPERPORT_VMI_CALLS; number++)
        relocate(rom, number);
    for (unsigned i = 0; i < BAD_NUMBERS; i++)
        relocate(rom, beyond[i]);
}

static const struct hyperport_vmi_rom *vmi_start(void)
{
    const char *reason;
    const struct hyperport_vmi_rom *rom = hyperport_vmi_find(DIRECT_MAP, &reason);
    if (!rom) {
        print("vmi: refused: %s\n", reason);
        return NULL;
    }
    print("vmi: ROM at %x, %u bytes, API %u.%u, virtual top %x, %s vendor\n", (uint32_t)rom - DIRECT_MAP,
          rom->rom_length * 512u, rom->api_major, rom->api_minor, rom->virtual_top,
          hyperport_vmi_vendor_known(rom) ? "known" : "unknown");
    check_equal("sum of the ROM's bytes", rom_sum(rom), 0);
    if (hyperport_vmi_activate(rom)) {
        print("vmi: refused: init failed\n");
        return NULL;
    }
    uint16_t cs;
    __asm__ volatile("mov %%cs, %0" : "=r"(cs));
    print("vmi: active, kernel at CPL %u\n", cs & 3);
    relocate_all(rom);
    sites_patch(rom);
    return rom;
}

/* The VMM's part in KVM's and lguest's convention, played in the guest. */
static void on_call(struct frame *frame)
{
    unsigned op = frame->eax - HYPERPORT_CALL(HYPERPORT_VMI_INL);
    if (op >= HYPERPORT_PORT_OPS) {
        print("vmiguest: call %x is not one of the twelve\n", frame->eax);
        guest_exit(1);
    }
    hyperport_io_entry entry = hyperport_io_native.entry[op];
    uint32_t value = frame->ecx, count = (frame->ecx + 1) / 2, source = frame->edx, destination = frame->edx;
    __asm__ volatile("push %%ebx\n\t"
                     "popf\n\t"
                     "call *%[entry]\n\t"
                     "cld"
                     : "+a"(value), "+c"(count), "+S"(source), "+D"(destination)
                     : "d"(frame->ebx), "b"(frame->eflags & EFLAGS_DF), [entry] "m"(entry)
                     : "memory", "cc");
    bool string = (op >= HYPERPORT_OP_INSL && op <= HYPERPORT_OP_INSW) || op >= HYPERPORT_OP_OUTSL;
    frame->eax = string ? frame->ecx / 2 : value;
    if (frame->vector == VECTOR_UD)
        frame->eip += VMCALL_BYTES;
}

static void io_self(enum hyperport_backend backend)
{
    bool kvm = backend == HYPERPORT_KVM;
    interrupt_handle(kvm ? VECTOR_UD : HYPERPORT_LGUEST_VECTOR, on_call);
    hyperport_io = kvm ? hyperport_io_kvm : hyperport_io_lguest;
    struct hyperport_patch_result patch = hyperport_patch_all();
    print("vmiguest: ops %s by itself, %u of %u sites rewritten\n", hyperport_backend_name(backend), patch.patched, patch.sites);
}

static bool io_start(const char *command_line)
{
    struct hyperport_io_config config = {.backend = HYPERPORT_VMI, .hardware_subarch = HYPERPORT_LGUEST_SUBARCH};
    if (!hyperport_io_options(command_line, &config))
        return false;
    sites_native();
    if (config.backend == HYPERPORT_KVM || config.backend == HYPERPORT_LGUEST) {
        if (option_given(command_line, "self")) {
            io_self(config.backend);
            return true;
        }
        struct hyperport_io_result io = hyperport_io_init(&config);
        print("vmiguest: ops %s, %u taken\n", hyperport_backend_name(io.backend), io.taken);
        return check(!io.reason, "the back end asked for", io.backend, config.backend);
    }
    const struct hyperport_vmi_rom *rom = vmi_start();
    if (!rom)
        return true;
    unsigned taken = hyperport_vmi_fill(rom, &hyperport_io, config.disable_io_ops);
    struct hyperport_patch_result patch = hyperport_patch_all();
    print("vmi: %u port calls taken%s, %u of %u sites rewritten\n", taken, config.disable_io_ops ? " (disable_io_ops)" : "",
          patch.patched, patch.sites);
    if (config.disable_io_ops)
        check_equal("native ops", (uint32_t)memcmp(hyperport_io.entry, hyperport_io_native.entry,
                                                   HYPERPORT_PORT_OPS * sizeof(hyperport_io_entry)), 0);
    return true;
}

/* Checks: processor state. */

static void fill_registers(struct registers *registers, uint32_t eflags)
{
    *registers = (struct registers){0xA1A2A3A4, 0xB1B2B3B4, 0xC1C2C3C4, 0xD1D2D3D4, 0x51525354, 0x61626364, 0x71727374, eflags};
}

/* Runs entry with input and compares all registers with expected, flags where asked. */
static void check_call(const char *what, struct registers input, hyperport_io_entry entry, const struct registers *expected,
                       uint32_t flags)
{
    check_equal(what, call_with(&input, entry), 0);
    const uint32_t *got = &input.eax, *want = &expected->eax;
    for (unsigned i = 0; i < 7; i++)
        check_equal(what, got[i], want[i]);
    check_equal(what, input.eflags & flags, expected->eflags & flags);
}

static void check_interrupt_calls(void)
{
    for (uint32_t before = 0; before <= EFLAGS_IF; before += EFLAGS_IF) {
        struct registers input, expected;
        fill_registers(&input, before);
        expected = input;
        expected.eflags = EFLAGS_IF;
        check_call("EnableInterrupts", input, (hyperport_io_entry)site_enable, &expected, EFLAGS_IF);
        expected.eflags = 0;
        check_call("DisableInterrupts", input, (hyperport_io_entry)site_disable, &expected, EFLAGS_IF);
        for (uint32_t mask = 0; mask <= EFLAGS_IF; mask += EFLAGS_IF) {
            expected = input;
            expected.eax = input.eax = mask;
            expected.eflags = mask;
            check_call("SetInterruptMask", input, (hyperport_io_entry)site_set_mask, &expected, EFLAGS_IF);
        }
        fill_registers(&input, before);
        call_with(&input, (hyperport_io_entry)site_get_mask);
        check_equal("GetInterruptMask", input.eax & EFLAGS_IF, before);
        check_equal("GetInterruptMask, ECX", input.ecx, 0xC1C2C3C4);
    }
}

__attribute__((naked)) static void user_iret(void)
{
    __asm__("mov $0x0A0B0C0D, %eax; mov $0x1B, %ebx; mov $0x1C, %ecx; mov $0x1D, %edx; mov $0x1E, %esi; mov $0x1F, %edi\n\t"
            "mov $0x20, %ebp\n\t"
            "stc\n\t"
            "int $0x40\n\t"
            "int $0x81");
}

static void check_iret(void)
{
    static const uint32_t flags[] = {0, ARITHMETIC_FLAGS, EFLAGS_IF, EFLAGS_DF | ARITHMETIC_FLAGS};
    for (unsigned i = 0; i < sizeof flags / sizeof flags[0]; i++) {
        struct registers input;
        fill_registers(&input, flags[i]);
        check_call("IRET in the kernel", input, int_iret, &input, COMPARED_FLAGS);
    }
    if (!context_save(&kernel))
        user_enter(user_iret, user_stack + sizeof user_stack, EFLAGS_IF);
    check_equal("CS after IRET to the user", user_frame.cs, USER_CS);
    check_equal("SS after IRET to the user", user_frame.ss & 0xFFFF, USER_DS);
    check_equal("ESP after IRET to the user", user_frame.esp, (uint32_t)user_stack + sizeof user_stack);
    check_equal("flags after IRET to the user", user_frame.eflags & (EFLAGS_CF | EFLAGS_IF), EFLAGS_CF | EFLAGS_IF);
    check_equal("EAX after IRET to the user", user_frame.eax, 0x0A0B0C0D);
    check_equal("EBP after IRET to the user", user_frame.ebp, 0x20);
}

static void check_sysexit(void)
{
    if (!(cpuid(1).edx & CPUID_SEP)) {
        print("vmiguest: no SYSEXIT on this CPU\n");
        return;
    }
    msr_write(MSR_SYSENTER_CS, KERNEL_CS);
    if (!context_save(&kernel))
        sysexit_start();
    check_equal("CS after SYSEXIT", user_frame.cs, USER_CS);
    check_equal("SS after SYSEXIT", user_frame.ss & 0xFFFF, USER_DS);
    check_equal("ESP after SYSEXIT", user_frame.esp, 0xBFFF0000);
    check_equal("IF after SYSEXIT", user_frame.eflags & EFLAGS_IF, EFLAGS_IF);
    check_equal("EAX after SYSEXIT", user_frame.eax, 0x11111111);
    check_equal("EBX after SYSEXIT", user_frame.ebx, 0x22222222);
    check_equal("ESI after SYSEXIT", user_frame.esi, 0x33333333);
    check_equal("EDI after SYSEXIT", user_frame.edi, 0x44444444);
    check_equal("EBP after SYSEXIT", user_frame.ebp, 0x55555555);
}

/* Checks: the port calls against the instructions. */

static const struct form {
    const char *name;
    uint8_t size;
    bool out, string;
} forms[HYPERPORT_PORT_OPS] = {
#define FORM(name, number, out, size, string) {#name, size, out, string},
    HYPERPORT_PORT_CALLS(FORM)
#undef FORM
};

struct device_view {
    uint32_t written, next;
};

static void port_prepare(void)
{
    for (uint32_t i = 0; i < WINDOW_BYTES; i++)
        window[i] = (uint8_t)(i * 167 + (i >> 8));
    if (have_device)
        native_outl(SEED, TEST_CONTROL);
    else
        native_outb(0x5A, POST_PORT);
}

static struct device_view port_view(void)
{
    if (!have_device)
        return (struct device_view){native_inb(POST_PORT), 0};
    return (struct device_view){native_inl(TEST_CONTROL), native_inl(TEST_DEVICE)};
}

/* One call of op with input, once by the instruction and once by what is in use. */
static void check_port_call(unsigned op, struct registers input)
{
    const struct form *form = &forms[op];
    struct registers native = input, expected = input;
    uint32_t moved = input.ecx * form->size;

    port_prepare();
    call_with(&native, hyperport_io_native.entry[op]);
    struct device_view native_view = port_view();
    memcpy(reference, window, WINDOW_BYTES);
    if (form->string) {
        moved = input.eflags & EFLAGS_DF ? 0u - moved : moved;
        *(form->out ? &expected.esi : &expected.edi) += moved;
        expected.ecx = 0;
    } else if (!form->out) {
        uint32_t kept = form->size == 4 ? 0 : ~0u << 8 * form->size;
        expected.eax = (input.eax & kept) | (native.eax & ~kept);
    }
    port_prepare();
    check_call(form->name, input, hyperport_io.entry[op], &expected, COMPARED_FLAGS);
    struct device_view view = port_view();
    check_equal(form->name, view.written, native_view.written);
    check_equal(form->name, view.next, native_view.next);
    check_equal(form->name, memcmp(window, reference, WINDOW_BYTES) != 0, 0);
}

static void check_port_calls(unsigned op)
{
    static const uint32_t counts[] = {0, 1, 3, 256, 1500};
    /* whole elements, an element across two pages, a page's last byte */
    static const uint32_t places[] = {0, PAGE_SIZE - 2, 2 * PAGE_SIZE - 1};
    const struct form *form = &forms[op];
    uint32_t port = have_device ? TEST_DEVICE : POST_PORT;
    struct registers input;

    for (unsigned mode = 0; mode < 8; mode++) {
        uint32_t flags = (mode & 1 ? EFLAGS_IF : 0) | (mode & 2 ? EFLAGS_DF : 0) | (mode & 4 ? ARITHMETIC_FLAGS : 0);
        fill_registers(&input, flags);
        input.edx = 0xABCD0000 | port;
        if (!form->string) {
            check_port_call(op, input);
            continue;
        }
        for (unsigned i = 0; i < sizeof counts / sizeof counts[0]; i++)
            for (unsigned j = 0; j < sizeof places / sizeof places[0]; j++) {
                uint32_t first = WINDOW + places[j];
                if (counts[i] && flags & EFLAGS_DF)
                    first += (counts[i] - 1) * form->size;
                input.ecx = counts[i];
                *(form->out ? &input.esi : &input.edi) = first;
                check_port_call(op, input);
            }
    }
}

/* The same by the sites that the compiler made. */
static void check_accessors(void)
{
    uint16_t words[8], expected[8];

    for (unsigned value = 0; value < 256; value += 51) {
        outb_p(CMOS_FREE, CMOS_INDEX);
        outb_p((uint8_t)value, CMOS_DATA);
        outb(CMOS_FREE, CMOS_INDEX);
        check_equal("outb_p and inb_p", inb_p(CMOS_DATA), value);
        check_equal("inb_local", inb_local(CMOS_DATA), native_inb(CMOS_DATA));
    }
    if (!have_device)
        return;
    outl(SEED, TEST_CONTROL);
    native_insw(TEST_DEVICE, expected, 8);
    uint16_t word = native_inw(TEST_DEVICE);
    outl_local_p(SEED, TEST_CONTROL);
    insw(TEST_DEVICE, words, 8);
    check_equal("insw", memcmp(words, expected, sizeof words) != 0, 0);
    check_equal("inw", inw(TEST_DEVICE), word);
    native_outsw(TEST_DEVICE, words, 8);
    native_outw(word, TEST_DEVICE);
    uint32_t sum = native_inl(TEST_CONTROL);
    outl(SEED, TEST_CONTROL);
    outsw(TEST_DEVICE, words, 8);
    outw(word, TEST_DEVICE);
    check_equal("outsw and outw", inl(TEST_CONTROL), sum);
}

int main(const char *command_line)
{
    start();
    if (!io_start(command_line)) {
        print("vmiguest: cannot run as asked: %s\n", command_line);
        return 1;
    }
    check_interrupt_calls();
    interrupt_entry(IRQ_BASE, timer_entry, 0);
    pit_periodic(TIMER_HZ);
    pic_unmask(0);
    check_iret();
    check_sysexit();
    for (unsigned op = 0; op < HYPERPORT_PORT_OPS; op++)
        check_port_calls(op);
    check_accessors();
    while (timer_ticks < 10)
        wait_for_interrupt();
    print("vmiguest: %u checks, %u failures\n", checks, failures);
    return failures != 0;
}
