/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Every way a guest can end, one by one: the word on the command line says which.
 *   exit N       exit port with value N           halt      CLI, HLT: halted for ever
 *   poweroff     ACPI soft-off as qemu wires it   hang      a jump to itself, interrupts off
 *   reset8042    keyboard controller, pulse       panic     the lines of a Linux panic, then HLT for ever
 *   resetcf9     reset control register           badtr     INT from ring 3 while TR is not a usable TSS
 *   reset92      port 92h                         nulltr    the same after LTR of a null selector
 *   triple       INT with an empty IDT            callgate_badtr  CALL through a gate from ring 3, no usable TSS
 * The three bad TR cases make qemu abort itself under TCG. Under KVM they are an internal error, but nulltr is a #GP: value 127.
 * Drives: the named port. Unit of work: one end. Ends: as said; value 2 for an unknown word, 3 if the guest survives. */
#include "cpu.h"
#include "guest.h"
#include "io.h"
#include "segments.h"

#define POWEROFF_PORT 0x604
#define POWEROFF_SLP_EN 0x2000
#define I8042_COMMAND 0x64
#define I8042_PULSE_RESET 0xFE
#define RESET_CONTROL 0xCF9
#define RESET_CONTROL_SYSTEM 0x02
#define RESET_CONTROL_GO 0x04
#define PORT_92 0x92
#define PORT_92_FAST_RESET 0x01

#define UNKNOWN_WORD 2
#define SURVIVED 3
#define SURVIVE_WAIT_US 50000

static uint8_t user_stack[4096] __attribute__((aligned(16)));

static void do_reset8042(void)
{
    outb(I8042_PULSE_RESET, I8042_COMMAND);
}

static void do_resetcf9(void)
{
    outb(RESET_CONTROL_SYSTEM, RESET_CONTROL);
    outb(RESET_CONTROL_SYSTEM | RESET_CONTROL_GO, RESET_CONTROL);
}

static void do_reset92(void)
{
    outb((uint8_t)(inb(PORT_92) & ~PORT_92_FAST_RESET), PORT_92);
    outb(inb(PORT_92) | PORT_92_FAST_RESET, PORT_92);
}

static void do_triple(void)
{
    static const uint8_t empty[6];
    __asm__ volatile("lidt %0; int3" : : "m"(empty));
}

static void do_halt(void)
{
    for (;;)
        __asm__ volatile("cli; hlt");
}

static void do_poweroff(void)
{
    outw(POWEROFF_SLP_EN, POWEROFF_PORT);
}

static void do_hang(void)
{
    __asm__ volatile("cli\n1:\tjmp 1b");
}

static void do_panic(void)
{
    print("Kernel panic - not syncing: test\n---[ end Kernel panic - not syncing: test ]---\n");
    serial_flush();
    do_halt();
}

__attribute__((naked)) static void user_int(void)
{
    __asm__("int $0x80\n1:\tjmp 1b");
}

__attribute__((naked)) static void user_call_gate(void)
{
    __asm__("lcall %0, $0\n1:\tjmp 1b" : : "i"(FREE_SELECTOR | 3));
}

static void from_user(void (*code)(void))
{
    gdt_init();
    interrupt_init();
    interrupt_allow(0x80, 3);
    gdt_set_call_gate(FREE_SELECTOR, KERNEL_CS, do_halt, ACCESS_PRESENT | ACCESS_DPL(3u) | ACCESS_CALL_GATE);
    user_enter(code, user_stack + sizeof user_stack, 0);
}

static void do_badtr(void)
{
    from_user(user_int);
}

static void do_nulltr(void)
{
    gdt_init();
    interrupt_init();
    __asm__ volatile("ltr %w0" : : "r"(0));
    from_user(user_int);
}

static void do_callgate_badtr(void)
{
    from_user(user_call_gate);
}

static const struct {
    const char *word;
    void (*run)(void);
} outcomes[] = {
    {"reset8042", do_reset8042},
    {"resetcf9", do_resetcf9},
    {"reset92", do_reset92},
    {"triple", do_triple},
    {"halt", do_halt},
    {"poweroff", do_poweroff},
    {"hang", do_hang},
    {"panic", do_panic},
    {"badtr", do_badtr},
    {"nulltr", do_nulltr},
    {"callgate_badtr", do_callgate_badtr},
};

int main(const char *command_line)
{
    const char *number = option_after(command_line, "exit");
    if (number)
        return (int)number_parse(number);
    for (unsigned i = 0; i < sizeof outcomes / sizeof outcomes[0]; i++) {
        if (!option_given(command_line, outcomes[i].word))
            continue;
        print("outcome: %s\n", outcomes[i].word);
        serial_flush();
        outcomes[i].run();
        pit_wait_us(SURVIVE_WAIT_US); /* a reset may take effect a little later */
        print("outcome: %s did nothing\n", outcomes[i].word);
        return SURVIVED;
    }
    print("outcome: no known word in \"%s\"\n", command_line);
    return UNKNOWN_WORD;
}
