/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A boot sector that loads what is in the sectors behind it to 1 MiB, and enters it as a multiboot loader does: for Bochs, which
 * loads no kernels. bench/peers.py writes entry, command line and number of sectors at the end of it. */
    .code16
    .globl _start
_start:
    ljmp $0, $1f
1:  xor %ax, %ax
    mov %ax, %ds
    mov %ax, %es
    mov %ax, %ss
    mov $0x7C00, %sp
    mov %dl, drive
    inb $0x92, %al
    or $2, %al
    outb %al, $0x92
    lgdt gdt_pointer
    mov %cr0, %eax          /* unreal mode, to copy above 1 MiB */
    or $1, %al
    mov %eax, %cr0
    mov $0x10, %bx
    mov %bx, %es
    and $0xFE, %al
    mov %eax, %cr0
    mov $0x100000, %edi
next:
    mov $packet, %si
    mov $0x42, %ah
    mov drive, %dl
    int $0x13
    jc failed
    cli
    mov %cr0, %eax          /* the BIOS may have loaded ES */
    or $1, %al
    mov %eax, %cr0
    mov $0x10, %bx
    mov %bx, %es
    and $0xFE, %al
    mov %eax, %cr0
    mov $0x8000, %esi
    mov $128, %ecx
    cld
    rep addr32 movsl
    sti
    incl lba
    decw sectors
    jnz next
    cli
    mov %cr0, %eax
    or $1, %al
    mov %eax, %cr0
    ljmp $0x08, $protected
failed:
    cli
    hlt
    jmp failed
    .code32
protected:
    mov $0x10, %ax
    mov %ax, %ds
    mov %ax, %es
    mov %ax, %ss
    mov %ax, %fs
    mov %ax, %gs
    mov $0x90000, %esp
    mov $0x2BADB002, %eax   /* multiboot's magic */
    mov $info, %ebx
    mov command_line, %ecx
    mov %ecx, 16(%ebx)
    jmp *entry
    .balign 4
packet:
    .byte 16, 0
    .word 1, 0x8000, 0
lba:
    .long 1, 0
gdt:
    .quad 0, 0x00CF9B000000FFFF, 0x00CF93000000FFFF
gdt_pointer:
    .word . - gdt - 1
    .long gdt
info:                       /* flags: memory sizes, command line */
    .long 1 | 4, 640, 31 << 10, 0
    .long 0, 0, 0           /* the first is the command line */
drive:
    .byte 0
    .org 500                /* what bench/peers.py writes */
entry:
    .long 0
command_line:
    .long 0
sectors:
    .word 0
    .org 510
    .word 0xAA55
