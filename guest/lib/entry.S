/* SPDX-License-Identifier: GPL-2.0-or-later */
/* 256 interrupt entries that all make a struct frame (guest.h), and the two halves of a context (segments.h). */

        .set KERNEL_DS, 0x10

        .text
        .balign 16
        .globl interrupt_stubs
interrupt_stubs:                        /* 16 bytes each */
        .set vector, 0
        .rept 256
        .balign 16
        /* #DF, #TS, #NP, #SS, #GP, #PF and #AC push an error code of their own */
        .if !(vector == 8 || (vector >= 10 && vector <= 14) || vector == 17)
        push $0
        .endif
        push $vector
        jmp common
        .set vector, vector + 1
        .endr

common:
        push %ds
        push %es
        push %fs
        push %gs
        pusha
        mov $KERNEL_DS, %eax
        mov %eax, %ds
        mov %eax, %es
        cld
        push %esp
        call interrupt_dispatch
        add $4, %esp
        popa
        pop %gs
        pop %fs
        pop %es
        pop %ds
        add $8, %esp                    /* vector, error code */
        iret

        .globl context_save
context_save:
        mov 4(%esp), %eax
        mov (%esp), %edx
        lea 4(%esp), %ecx
        mov %ebx, (%eax)
        mov %esi, 4(%eax)
        mov %edi, 8(%eax)
        mov %ebp, 12(%eax)
        mov %ecx, 16(%eax)
        mov %edx, 20(%eax)
        xor %eax, %eax
        ret

        .globl context_resume
context_resume:
        mov 4(%esp), %ecx
        mov (%ecx), %ebx
        mov 4(%ecx), %esi
        mov 8(%ecx), %edi
        mov 12(%ecx), %ebp
        mov 16(%ecx), %esp
        mov $1, %eax
        jmp *20(%ecx)

        .section .note.GNU-stack, "", @progbits
