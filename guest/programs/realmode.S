/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A flat 16-bit image for 0000:7C00, which is also a boot sector.
 * Drives: delivery through the real-mode vector table (INT 60h, IRQ 0 at 100 Hz from HLT), real mode -> protected mode with
 * a store above 1 MiB -> real mode -> another interrupt. Unit of work: one round, told on debugcon (port 0xE9).
 * Ends: exit port, value 0; 1 if the store was lost. */

        .set DEBUGCON, 0xE9
        .set EXIT_PORT, 0xF4
        .set IVT_IRQ0, 8 * 4            /* the PIC's vector base of the PC's BIOS is 8 */
        .set IVT_60, 0x60 * 4
        .set PIT_100HZ, 11932
        .set TICKS, 5
        .set CODE32, 0x08
        .set DATA32, 0x10
        .set CODE16, 0x18
        .set DATA16, 0x20
        .set FAR_BYTE, 0x123450         /* outside real mode's reach, and not an alias of anything here with A20 off */

        .text
        .code16
        .globl _start
_start:
        cli
        ljmp $0, $1f
1:      xor %ax, %ax
        mov %ax, %ds
        mov %ax, %es
        mov %ax, %ss
        mov $0x7000, %sp
        cld

        mov $on_int60, %eax             /* segment 0 in the upper half */
        mov %eax, IVT_60
        mov $on_irq0, %eax
        mov %eax, IVT_IRQ0
        mov $text_real, %si
        int $0x60

        mov $0x11, %al                  /* 8259A: ICW1 to ICW4, vectors 8 and 0x70, all but IRQ 0 masked */
        out %al, $0x20
        out %al, $0xA0
        mov $0x08, %al
        out %al, $0x21
        mov $0x70, %al
        out %al, $0xA1
        mov $0x04, %al
        out %al, $0x21
        mov $0x02, %al
        out %al, $0xA1
        mov $0x01, %al
        out %al, $0x21
        out %al, $0xA1
        mov $0xFE, %al
        out %al, $0x21
        mov $0xFF, %al
        out %al, $0xA1
        mov $0x34, %al                  /* 8254: channel 0, both bytes, mode 2 */
        out %al, $0x43
        mov $PIT_100HZ & 0xFF, %al
        out %al, $0x40
        mov $PIT_100HZ >> 8, %al
        out %al, $0x40
1:      sti
        hlt
        cli
        cmpb $TICKS, ticks
        jb 1b
        mov $0xFF, %al
        out %al, $0x21
        mov $text_irq, %si
        int $0x60

        in $0x92, %al                   /* A20 on; bit 0 would reset */
        or $2, %al
        and $0xFE, %al
        out %al, $0x92
        lgdt gdt_pointer
        mov %cr0, %eax
        or $1, %al
        mov %eax, %cr0
        ljmp $CODE32, $protected

        .code32
protected:
        mov $DATA32, %eax
        mov %eax, %ds
        mov %eax, %es
        mov %eax, %ss
        movb $0x5A, FAR_BYTE
        movb FAR_BYTE, %bl
        mov $text_protected, %esi
1:      lodsb
        test %al, %al
        jz 2f
        out %al, $DEBUGCON
        jmp 1b
2:      ljmp $CODE16, $leave

        .code16
leave:  mov $DATA16, %ax
        mov %ax, %ds
        mov %ax, %es
        mov %ax, %ss
        mov %cr0, %eax
        and $0xFE, %al
        mov %eax, %cr0
        ljmp $0, $1f
1:      xor %ax, %ax
        mov %ax, %ds
        mov %ax, %es
        mov %ax, %ss
        mov $text_again, %si
        int $0x60
        xor %al, %al
        cmp $0x5A, %bl
        je 1f
        inc %al
1:      out %al, $EXIT_PORT
2:      cli
        hlt
        jmp 2b

on_int60:                               /* writes the string at DS:SI */
        push %ax
1:      lodsb
        test %al, %al
        jz 2f
        out %al, $DEBUGCON
        jmp 1b
2:      pop %ax
        iret

on_irq0:
        push %ax
        incb ticks
        mov $0x20, %al
        out %al, $0x20
        pop %ax
        iret

        .balign 8
gdt:    .quad 0
        .quad 0x00CF9A000000FFFF        /* 32-bit code, 4 GiB */
        .quad 0x00CF92000000FFFF        /* 32-bit data, 4 GiB */
        .quad 0x00009A000000FFFF        /* 16-bit code, 64 KiB */
        .quad 0x000092000000FFFF        /* 16-bit data, 64 KiB */
gdt_pointer:
        .word . - gdt - 1
        .long gdt
ticks:  .byte 0
text_real:
        .asciz "real mode: int 60h\n"
text_irq:
        .asciz "real mode: irq 0\n"
text_protected:
        .asciz "protected mode\n"
text_again:
        .asciz "real mode again\n"

        .org 510
        .word 0xAA55

        .section .note.GNU-stack, "", @progbits
