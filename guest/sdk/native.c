/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The table in use, and the entries that are the instructions themselves. */
#include <hyperport/io.h>

#define NATIVE_ENTRY(name, text)                                    \
    __attribute__((naked)) static void native_entry_##name(void)    \
    {                                                               \
        __asm__(text "\n\tret");                                    \
    }

NATIVE_ENTRY(inl, "inl %dx, %eax")
NATIVE_ENTRY(inb, "inb %dx, %al")
NATIVE_ENTRY(inw, "inw %dx, %ax")
NATIVE_ENTRY(insl, "rep insl")
NATIVE_ENTRY(insb, "rep insb")
NATIVE_ENTRY(insw, "rep insw")
NATIVE_ENTRY(outl, "outl %eax, %dx")
NATIVE_ENTRY(outb, "outb %al, %dx")
NATIVE_ENTRY(outw, "outw %ax, %dx")
NATIVE_ENTRY(outsl, "rep outsl")
NATIVE_ENTRY(outsb, "rep outsb")
NATIVE_ENTRY(outsw, "rep outsw")

__attribute__((naked)) void hyperport_io_native_delay(void)
{
    __asm__("outb %al, $0x80\n\tret");
}

__attribute__((naked)) void hyperport_io_nop(void)
{
    __asm__("ret");
}

#define NATIVE_TABLE                                                                                   \
    {{{                                                                                                \
        native_entry_inl, native_entry_inb, native_entry_inw, native_entry_insl, native_entry_insb,    \
        native_entry_insw, native_entry_outl, native_entry_outb, native_entry_outw, native_entry_outsl, \
        native_entry_outsb, native_entry_outsw, hyperport_io_native_delay,                             \
    }}}

struct hyperport_io_ops hyperport_io = NATIVE_TABLE;
struct hyperport_io_ops hyperport_io_crossing = NATIVE_TABLE;
const struct hyperport_io_ops hyperport_io_native = NATIVE_TABLE;
