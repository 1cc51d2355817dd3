/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Code of the VMI option ROM. hyperport.abi.rom puts the header, the strings and the checksum to it.
 *
 * It runs at whatever linear address the guest has mapped it, from read-only pages, with interrupts on or off, at CPL 0
 * and 1. Offsets are from `rom`. To offer one more call: its code here, and a line in `answers`.
 *
 * What each entry may change is the specification's: get_reloc EAX, ECX, EDX and flags; IRET and SYSEXIT nothing, and
 * they may use no segment but CS and SS; the port calls nothing but what the native instruction changes. */

#include <hyperport/abi.h>

        .text
        .globl _start
_start:
rom:
        .org rom + HYPERPORT_ROM_AT_INIT, 0
        jmp vmi_init
        .org rom + HYPERPORT_ROM_AT_GET_RELOC, 0
        jmp get_reloc
        .org rom + HYPERPORT_ROM_AT_GET_RELOC + 8, 0
        .word answers - rom             /* for hyperport.abi.rom */

        .balign 16
vmi_init:                               /* out: EAX 0, the guest may go on */
        xor %eax, %eax
        ret

/* in: EAX number; out: EAX linear address of the code (0 if none), EDX type. Any number has an answer. */
get_reloc:
        xor %edx, %edx
        cmp $HYPERPORT_VMI_CALLS, %eax
        jae none
        call here
here:   pop %ecx                        /* where this is in the guest's address space */
        movzbl %cs:answers - here + 2(%ecx, %eax, 4), %edx
        movzwl %cs:answers - here(%ecx, %eax, 4), %eax
        test %eax, %eax                 /* an answer without code has offset 0 */
        jz none
        lea rom - here(%ecx, %eax), %eax
        ret
none:
        xor %eax, %eax
        ret

iret_call:
        lea 4(%esp), %esp               /* the return address of the CALL */
        iret

sysexit_call:                           /* in: EDX user EIP, ECX user ESP */
        sti                             /* holds interrupts off until SYSEXIT is done */
        sysexit                         /* leaves the kernel's stack, and the return address on it */

/* The doorbells. The instruction has no effect of its own: the VMM does what the call's number says. */
#define DOORBELL(name, number, direction, size, string) \
        .balign 4; \
port_##name: \
        out %al, $number; \
        ret;

HYPERPORT_PORT_CALLS(DOORBELL)

/* What get_reloc answers, in the order of the numbers: the code's offset, the type. What is not named is NONE. */
        .macro answer number, type, code
        .org answers + 4 * \number, 0
        .word \code - rom
        .byte \type, 0
        .endm
#define PORT_ANSWER(name, number, direction, size, string) \
        answer number, HYPERPORT_VMI_RELOCATION_CALL_REL, port_##name;

        .balign 4
answers:
        answer HYPERPORT_VMI_IRET, HYPERPORT_VMI_RELOCATION_CALL_REL, iret_call
        answer HYPERPORT_VMI_SYSEXIT, HYPERPORT_VMI_RELOCATION_CALL_REL, sysexit_call
        HYPERPORT_PORT_CALLS(PORT_ANSWER)
        answer HYPERPORT_VMI_IODelay, HYPERPORT_VMI_RELOCATION_NOP, rom /* no code: offset 0 */
        .org answers + 4 * HYPERPORT_VMI_CALLS, 0
