/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A Multiboot kernel by load addresses that goes to real mode and lives there on what firmware has left.
 * Drives: vectors, BIOS data area, PICs and timer as they are at the entry, told on debugcon (port 0xE9) in hexadecimal; then
 * INT 08h by the timer from HLT, which calls INT 1Ch and counts at 40h:6Ch; INT 11h and 12h.
 * Unit of work: one tick. Ends: exit port, value 0; 1 if the count at 40h:6Ch is not that of the calls of INT 1Ch. */

        .set MAGIC, 0x1BADB002          /* Multiboot specification 0.6.96, 3.1.1 */
        .set FLAGS, 0x00010000          /* addresses are in the header */
        .set DEBUGCON, 0xE9
        .set EXIT_PORT, 0xF4
        .set CODE16, 0x08
        .set DATA16, 0x10
        .set IVT_1C, 0x1C * 4
        .set IVT_DISK, 0x41 * 4
        .set DISK_BYTES, 16
        .set HANDLERS, 0xF000           /* segment */
        .set BDA, 0x400
        .set BDA_TICKS, 0x46C
        .set TICKS, 3
        .set READ_BACK_0, 0xE2          /* 8254: latch the status of channel 0 */

        .text
        .code32
        .globl _start
_start:
        jmp entry
        .balign 4
header: .long MAGIC, FLAGS, -(MAGIC + FLAGS)
        .long header, _start, end, end, entry

entry:  cli
        lgdt gdt_pointer
        lidt idt_pointer
        ljmp $CODE16, $leave

        .code16
leave:  mov $DATA16, %ax
        mov %ax, %ds
        mov %ax, %es
        mov %ax, %ss
        mov %cr0, %eax
        and $0x7FFFFFFE, %eax
        mov %eax, %cr0
        ljmp $0, $1f
1:      xor %ax, %ax
        mov %ax, %ds
        mov %ax, %es
        mov %ax, %ss
        mov $0x7000, %sp
        cld

        in $0x21, %al
        mov %al, state
        in $0xA1, %al
        mov %al, state + 1
        mov $READ_BACK_0, %al
        out %al, $0x43
        in $0x40, %al
        mov %al, state + 2
        in $0x61, %al
        mov %al, state + 3

        mov $text_vectors, %si
        xor %bx, %bx
        mov $BDA, %cx
        call tell
        mov $text_area, %si
        mov $BDA, %bx
        mov $0x100, %cx
        call tell
        mov $text_state, %si
        mov $state, %bx
        mov $4, %cx
        call tell

        lds IVT_DISK, %si               /* hda's parameters, if the vector points to some and not to a handler */
        mov %ds, %ax
        test %ax, %ax
        jz 2f
        cmp $HANDLERS, %ax
        je 2f
        mov $disk, %di
        mov $DISK_BYTES, %cx
        rep movsb
2:      xor %ax, %ax
        mov %ax, %ds
        mov $text_disk, %si
        mov $disk, %bx
        mov $DISK_BYTES, %cx
        call tell

        int $0x11
        mov %ax, services
        int $0x12
        mov %ax, services + 2
        mov $text_services, %si
        mov $services, %bx
        mov $4, %cx
        call tell

        movl $on_int1c, IVT_1C
        mov BDA_TICKS, %ebp
1:      sti
        hlt
        cli
        cmpb $TICKS, ticks
        jb 1b
        mov BDA_TICKS, %eax
        sub %ebp, %eax
        mov $text_ticks, %si
        mov $ticks, %bx
        mov $1, %cx
        cmpb %al, ticks
        sete %dl
        call tell
        mov %dl, %al
        xor $1, %al
        out %al, $EXIT_PORT
1:      hlt
        jmp 1b

/* in: SI, a word; BX, CX: so many bytes from there, in hexadecimal behind it. Keeps DX and BP. */
tell:   lodsb
        test %al, %al
        jz 1f
        out %al, $DEBUGCON
        jmp tell
1:      mov (%bx), %al
        shr $4, %al
        call digit
        mov (%bx), %al
        and $15, %al
        call digit
        inc %bx
        loop 1b
        mov $'\n', %al
        out %al, $DEBUGCON
        ret

digit:  cmp $10, %al
        jb 1f
        add $'a' - '0' - 10, %al
1:      add $'0', %al
        out %al, $DEBUGCON
        ret

on_int1c:
        incb %cs:ticks
        iret

        .balign 8
gdt:    .quad 0
        .quad 0x00009A000000FFFF        /* 16-bit code, 64 KiB */
        .quad 0x000092000000FFFF        /* 16-bit data, 64 KiB */
gdt_pointer:
        .word . - gdt - 1
        .long gdt
idt_pointer:
        .word 0x3FF
        .long 0
text_vectors:
        .asciz "vectors "
text_area:
        .asciz "area "
text_state:                             /* masks of the PICs, status of channel 0, port 61h */
        .asciz "chips "
text_disk:
        .asciz "disk "
text_services:
        .asciz "services "
text_ticks:
        .asciz "ticks "
ticks:  .byte 0
        .balign 2
services:
        .word 0, 0
state:  .fill 4, 1, 0
disk:   .fill DISK_BYTES, 1, 0
end:

        .section .note.GNU-stack, "", @progbits
