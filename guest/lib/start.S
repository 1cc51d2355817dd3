/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Multiboot 1 header and entry: a stack, zeroed flags, then main(magic, info). Its return value goes to exit port 0xF4. */

        .set MAGIC, 0x1BADB002          /* Multiboot specification 0.6.96, 3.1.1 */
        .set FLAGS, 0x00000003          /* modules on page boundaries; memory sizes wanted */

        .section .multiboot, "a"
        .balign 4
        .long MAGIC, FLAGS, -(MAGIC + FLAGS)

        .text
        .globl _start
_start:
        cli
        mov $stack_top, %esp
        push $0
        popf
        push %ebx                       /* physical address of the multiboot information */
        push %eax                       /* 0x2BADB002 from a multiboot loader */
        call start_main
1:      cli
        hlt
        jmp 1b

        .bss
        .balign 16
        .skip 16384
stack_top:

        .section .note.GNU-stack, "", @progbits
