/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Entries (io.h) that post, or read a shadow register, and where that cannot be done go on to the back end's entry: for the
 * conventions that have no ROM. They run only once hyperport_exitless_init() has put them into the table. */
#include <hyperport/abi.h>
#include <hyperport/stubs.h>

#define ENTER mov hyperport_exitless, %ebp
#define THERE(place) HYPERPORT_EXITLESS_##place
#define WAY(label) label(, %esi, STUB_WAY)
#define ELSE(name) jmp *%ss:hyperport_io_crossing + 4 * (HYPERPORT_VMI_##name - HYPERPORT_VMI_INL)

        .text
        STUBS

        .macro sequence name
        .long first_\name, restart_\name
        .short end_\name - first_\name, 0
        .endm
        .section hyperport_sequences, "a"
        .balign 4
        .irp name, INL, INB, INW, OUTL, OUTB, OUTW
        sequence \name
        .endr

        .section .rodata
        .balign 4
        .globl hyperport_exitless_entries
hyperport_exitless_entries:             /* strings are one crossing anyway */
        .long exitless_INL, exitless_INB, exitless_INW, 0, 0, 0
        .long exitless_OUTL, exitless_OUTB, exitless_OUTW, 0, 0, 0

        .section .note.GNU-stack, "", @progbits
