/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A boot sector that reads and writes the floppies in drives A and B by the BIOS, twice.
 * Drives: INT 13h with as many sectors as a cylinder has in one call, over both heads; media of all formats; a change of
 * the floppy in A. Unit of work: one floppy, told on debugcon (port 0xE9) as its drive's letter and a sum of all sectors.
 * Each floppy names its format at 1F8h of its first sector: last cylinder, last head, sectors; then a number of its own.
 * Writes this sector as the second one of the last track. Ends: exit port, value 0, after a second floppy in A. */

        .set DEBUGCON, 0xE9
        .set EXIT_PORT, 0xF4
        .set BUFFER, 0x1000             /* a segment: no read crosses 64 KiB, which DMA cannot */
        .set FORMAT, 0x1F8              /* in a floppy's first sector */
        .set NUMBER, 0x1FB
        .set READ, 0x02                 /* INT 13h, AH */
        .set WRITE, 0x03

        .set drive, 0x7E00              /* what changes lies behind this sector, which is written as it is */
        .set rounds, 0x7E01
        .set cylinder, 0x7E02
        .set numbers, 0x7E0C            /* of the floppies in A and B */
        .set format, 0x7E04
        .set sum, 0x7E08

        .text
        .code16
        .globl _start
_start:
        ljmp $0, $1f
1:      xor %ax, %ax
        mov %ax, %ds
        mov %ax, %ss
        mov $_start, %sp
        cld
        movw $0, drive                  /* and rounds */
both:   call floppy
        xorb $1, drive                  /* B, or A again */
        jnz both

        cmpb $0, rounds
        jne end
        incb rounds
1:      call first_sector               /* until another floppy is in A */
        mov %es:NUMBER, %al
        cmp %al, numbers
        je 1b
        jmp both
end:    xor %al, %al
        out %al, $EXIT_PORT
        jmp end

floppy: call first_sector
        mov %es:FORMAT, %eax
        mov %eax, format
        mov %es:NUMBER, %al
        movzbw drive, %bx
        mov %al, numbers(%bx)
        movl $0, sum
        movb $0, cylinder
cylinders:
        mov format + 1, %al             /* heads */
        inc %al
        mulb format + 2
        mov cylinder, %ch
        mov $1, %cl
        xor %dh, %dh
        call read
        movzbw %al, %cx
        shl $7, %cx                     /* doublewords of so many sectors */
        xor %si, %si
        mov sum, %ebx
1:      lodsl %es:(%si), %eax
        add %eax, %ebx
        rol $1, %ebx
        loop 1b
        mov %ebx, sum
        incb cylinder
        mov cylinder, %al
        cmp format, %al
        jbe cylinders

        push %ds
        pop %es
        mov $_start, %bx
        mov format, %ch
        mov $2, %cl
        mov format + 1, %dh
        mov $WRITE << 8 | 1, %ax
        call again

        mov $'A', %al
        add drive, %al
        out %al, $DEBUGCON
        mov $8, %cx
digit:  roll $4, sum
        mov sum, %al
        and $0x0F, %al
        cmp $10, %al
        sbb $0x69, %al                  /* and DAS: the hexadecimal digit */
        das
        out %al, $DEBUGCON
        loop digit
        mov $'\n', %al
        out %al, $DEBUGCON
        ret

/* The first sector of the drive, in BUFFER. */
first_sector:
        mov $1, %cx
        xor %dh, %dh
        mov $1, %al
/* AL sectors from CH, DH, CL on, to ES:0. Keeps AL. */
read:   push $BUFFER
        pop %es
        xor %bx, %bx
        mov $READ, %ah
again:  mov drive, %dl
        push %ax
        int $0x13
        pop %ax
        jnc 1f
        push %ax                        /* another floppy may be there: let the BIOS look at it */
        xor %ah, %ah
        int $0x13
        pop %ax
        jmp again
1:      ret

        .org FORMAT
        .byte 0, 0, 0, 0                /* whoever makes the image fills them in */
        .org 510
        .word 0xAA55
