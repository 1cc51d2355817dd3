/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a BIOS leaves for interrupts: the vector table, and handlers in the last 8 KiB below 1 MiB. boot/bios_state.py puts both into
 * the memory of a kernel that is started without firmware.
 * Handlers of the interrupt controllers keep the BIOS data area's time and end the interrupt. Of the services there are those
 * that only read this area; the others return with carry and AH=86h ("function not supported"), as INT 15h does of old.
 * Where programs know a handler's address instead of its vector, it lies there: IBM PC AT Technical Reference (1985), section 5,
 * "Compatibility"; the names of the data area's fields are of the same book. */

        .set BDA, 0x40                  /* segment */
        .set EQUIPMENT, 0x10
        .set MEMORY_KIB, 0x13
        .set TICKS, 0x6C                /* of channel 0 since midnight, two words */
        .set MIDNIGHT, 0x70             /* they began anew since somebody asked */
        .set TICKS_A_DAY, 0x1800B0

        .set MASTER, 0x20               /* 8259A command ports */
        .set SLAVE, 0xA0
        .set END_OF_INTERRUPT, 0x20
        .set READ_SERVICED, 0x0B        /* the next read of the command port tells what is in service */
        .set KEYBOARD_DATA, 0x60
        .set KEYBOARD_COMMAND, 0x64
        .set PULL_RESET, 0xFE           /* 8042: output port bit 0 low for 6 us */
        .set CMOS_INDEX, 0x70
        .set CMOS_DATA, 0x71
        .set RTC_REGISTER_C, 0x0C       /* what asked for IRQ 8; a read ends the request */
        .set FPU_BUSY, 0xF0             /* a write ends IRQ 13 */
        .set CARRY, 0x01
        .set ZERO, 0x40
        .set NOT_SUPPORTED, 0x86
        .set MODEL_AT, 0xFC

        .set SEGMENT, 0xF000
        .set FIRST, 0xE000              /* offset of what follows the vectors */
        .set VECTORS, 256 * 4

        .macro vector handler count=1
        .rept \count
        .word \handler - handlers + FIRST, SEGMENT
        .endr
        .endm
        .macro at offset
        .org VECTORS + \offset - FIRST, 0
        .endm
        .macro use_data_area
        push %ax
        mov $BDA, %ax
        mov %ax, %ds
        pop %ax
        .endm
        .macro end_of_interrupt slave=0
        mov $END_OF_INTERRUPT, %al
        .if \slave
        out %al, $SLAVE
        .endif
        out %al, $MASTER
        .endm

        .text
        .code16
        .globl _start
_start: vector nothing, 8               /* 00h: exceptions, NMI, print screen */
        vector timer
        vector keyboard
        vector master, 5                /* 0Ah: IRQ 2 to 7 */
        vector master_last
        vector nothing                  /* 10h: video */
        vector equipment
        vector memory_size
        vector service, 3               /* 13h: disk, serial line, system */
        vector keys
        vector service                  /* 17h: printer */
        vector restart, 2               /* BASIC, boot: there is nothing to start */
        vector time
        vector nothing, 2               /* 1Bh: Ctrl-Break; 1Ch: each tick */
        .long 0                         /* 1Dh: pointer to CRTC values; there are none */
        vector floppy_table
        .long 0                         /* 1Fh: pointer to a font */
        vector nothing, 0x41-0x20
        .long 0                         /* 41h: pointer to the first disk's parameters, if there is one */
        vector nothing, 0x46-0x42
        .long 0                         /* 46h: the second's */
        vector nothing, 0x70-0x47
        vector clock                    /* 70h: IRQ 8 to 15 */
        vector slave, 3
        vector mouse
        vector fpu
        vector slave
        vector slave_last
        vector nothing, 0x100-0x78

        .org VECTORS
handlers:
        at 0xE05B
restart:
        cli
        mov $PULL_RESET, %al
        out %al, $KEYBOARD_COMMAND
1:      hlt
        jmp 1b

        at 0xE82E
keys:   xor %ax, %ax                    /* none waits, and there is none to wait for */
        push %bp
        mov %sp, %bp
        orb $ZERO, 6(%bp)               /* of the caller's flags, behind BP, IP and CS */
        pop %bp
        iret

        at 0xE987
keyboard:                               /* the key is dropped: there is nobody who would ask for it */
        push %ax
        in $KEYBOARD_DATA, %al
        end_of_interrupt
        pop %ax
        iret

        at 0xEFC7
floppy_table:                           /* of a 1.44 MB drive: SPECIFY bytes, motor off, bytes 512, sectors 18, gaps, fill, head, motor */
        .byte 0xDF, 0x02, 0x25, 0x02, 18, 0x1B, 0xFF, 0x6C, 0xF6, 0x0F, 0x08

        at 0xF841
memory_size:
        push %ds
        mov $BDA, %ax
        mov %ax, %ds
        mov MEMORY_KIB, %ax
        pop %ds
        iret

        at 0xF84D
equipment:
        push %ds
        mov $BDA, %ax
        mov %ax, %ds
        mov EQUIPMENT, %ax
        pop %ds
        iret

        at 0xF859
service:
        mov $NOT_SUPPORTED, %ah
        push %bp
        mov %sp, %bp
        orb $CARRY, 6(%bp)
        pop %bp
        iret

master: push %ax
        end_of_interrupt
        pop %ax
        iret

slave:  push %ax
        end_of_interrupt slave=1
        pop %ax
        iret

/* A request that is gone when the CPU asks is answered as the controller's last, and is not in service: to end it would be to
 * end another. The second controller's has IRQ 2 in service, at the first. */
master_last:                            /* IRQ 7 */
        push %ax
        mov $READ_SERVICED, %al
        out %al, $MASTER
        in $MASTER, %al
        test %al, %al
        jns 1f
        end_of_interrupt
1:      pop %ax
        iret

slave_last:                             /* IRQ 15 */
        push %ax
        mov $READ_SERVICED, %al
        out %al, $SLAVE
        in $SLAVE, %al
        test %al, %al
        mov $END_OF_INTERRUPT, %al
        jns 1f
        out %al, $SLAVE
1:      out %al, $MASTER
        pop %ax
        iret

clock:  push %ax
        mov $RTC_REGISTER_C, %al
        out %al, $CMOS_INDEX
        in $CMOS_DATA, %al
        end_of_interrupt slave=1
        pop %ax
        iret

mouse:  push %ax                        /* the byte is dropped, or neither mouse nor keyboard would send another */
        in $KEYBOARD_DATA, %al
        end_of_interrupt slave=1
        pop %ax
        iret

fpu:    push %ax
        xor %al, %al
        out %al, $FPU_BUSY
        end_of_interrupt slave=1
        pop %ax
        int $0x02                       /* where programs for the 8087 wait for its errors */
        iret

        at 0xFE6E
time:
        test %ah, %ah
        jnz service
        push %bp
        mov %sp, %bp
        andb $~CARRY, 6(%bp)
        pop %bp
        push %ds
        use_data_area
        mov TICKS + 2, %cx
        mov TICKS, %dx
        mov MIDNIGHT, %al
        movb $0, MIDNIGHT
        pop %ds
        iret

        at 0xFEA5
timer:
        push %ds
        push %ax
        push %dx                        /* a handler of INT 1Ch may change AX, DX and DS */
        use_data_area
        incl TICKS
        cmpl $TICKS_A_DAY, TICKS
        jb 1f
        movl $0, TICKS
        movb $1, MIDNIGHT
1:      int $0x1C
        end_of_interrupt
        pop %dx
        pop %ax
        pop %ds
        iret

        at 0xFF53
nothing:
        iret

        at 0xFFF0
reset:  ljmp $SEGMENT, $restart - handlers + FIRST
        .ascii "11/26/26"
        .byte 0, MODEL_AT, 0
