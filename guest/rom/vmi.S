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
        .word doorbells - rom
        .word exitless - rom

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

/* Port calls without a crossing, where the machine has --io exitless (docs/exitless.md describes the tables and the ring). An OUT
 * that may be posted goes into the ring, an IN of a shadowed register is read from the page; all else goes to the doorbell above.
 * No register and no flag changes but what an IN answers. So nothing is computed but by LEA, and the way is chosen by a jump that
 * a table leads: JECXZ, which needs no flags either, costs ten times as much on Unicorn's core.
 *
 * From `first` to `end` the code relies on what it has read; the last store commits. Where an interrupt, an exception or the end of
 * a run comes between, the VMM sets EIP to `restart`: the stack, EAX and EDX are there what they were at `first`.
 *
 * EBP is this code's place. What is addressed by it is in SS, so DS need not be flat. */
#define HERE(place) place - 1b
#define THERE(place) HYPERPORT_EXITLESS_##place + HYPERPORT_EXITLESS_BASE - HYPERPORT_ROM_BASE - (1b - rom)

#define BEGIN(name) \
        .balign 16; \
exitless_##name: \
        push %ebp; \
        push %ecx; \
        push %esi; \
        call 1f; \
1:      pop %ebp; \
first_##name: \
        mov %cs, %ecx; \
        movzbl %cl, %ecx; \
        movzwl THERE(LEVELS)(%ebp, %ecx, 2), %ecx; \
        mov %dh, %cl; \
        movzwl THERE(DIRECTORY)(%ebp, %ecx, 2), %ecx; \
        mov %dl, %cl                    /* the port's cell; of CPL 2 and 3 one of those that are 0 */

#define GO(ways, index) \
        movzbl HERE(ways)(%ebp, index), %esi; \
        lea (%ebp, %esi), %esi; \
        jmp *%esi

#define END(name) \
end_##name: \
        pop %esi; \
        pop %ecx; \
        pop %ebp; \
        ret; \
restart_##name: \
        pop %esi; \
        pop %ecx; \
        pop %ebp; \
        jmp port_##name

#define POST(name, size) \
        BEGIN(name); \
        movzbl THERE(POSTED) + (size >> 1) * HYPERPORT_EXITLESS_CELLS(%ebp, %ecx), %esi; \
        mov THERE(LEFT)(%ebp), %ecx; \
        lea (%ecx, %esi), %esi; \
        GO(ways_to_post, %esi); \
post_##name: \
        lea -2(%ecx), %ecx; \
        mov %edx, THERE(RING)(%ebp, %ecx, 8); \
        mov %eax, THERE(RING) + 4(%ebp, %ecx, 8); \
        movl $size, THERE(RING) + 8(%ebp, %ecx, 8); \
        mov 12(%esp), %esi;             /* the caller */ \
        mov %esi, THERE(RING) + 12(%ebp, %ecx, 8); \
        mov %ecx, THERE(LEFT)(%ebp); \
        END(name)

#define READ(name, size, answer) \
        BEGIN(name); \
        movzwl THERE(SHADOWED) + (size & ~1) * HYPERPORT_EXITLESS_CELLS(%ebp, %ecx, 2), %ecx; \
        GO(ways_to_read, %ecx); \
read_##name: \
        lea THERE(REGISTERS)(%ebp, %ecx, 8), %ebp; \
        mov (%ebp), answer; \
        mov 4(%ebp), %ecx; \
        lea 1(%ecx), %ecx;              /* it is counted */ \
        mov %ecx, 4(%ebp); \
        END(name)

        POST(OUTL, 4)
        POST(OUTB, 1)
        POST(OUTW, 2)
        READ(INL, 4, %eax)
        READ(INB, 1, %al)
        READ(INW, 2, %ax)

/* Where the stubs go on, in bytes from their first POP: all that post have one shape, all that read another. By twice the number of
 * free entries, and 1 where the port may be posted; by the number of the shadow register, 0 for none. */
ways_to_post:
        .byte restart_OUTL - first_OUTL + 1, restart_OUTL - first_OUTL + 1
        .rept HYPERPORT_EXITLESS_ENTRIES
        .byte restart_OUTL - first_OUTL + 1, post_OUTL - first_OUTL + 1
        .endr
ways_to_read:
        .byte restart_INL - first_INL + 1
        .fill HYPERPORT_EXITLESS_REGISTER_COUNT - 1, 1, read_INL - first_INL + 1
        .if (post_OUTB - first_OUTB) - (post_OUTL - first_OUTL) || (post_OUTW - first_OUTW) - (post_OUTL - first_OUTL)
        .error "stubs that post differ"
        .endif

/* All other calls. The kernel runs at CPL 0, so most are the instruction that they stand for. Unless it says otherwise they
 * are C functions with up to three arguments in EAX, EDX and ECX, further ones on the stack, and the result in EAX or
 * EDX:EAX; EAX, ECX, EDX and the arithmetic flags may change. `stack` is the first argument on the stack. */
#define STACK 4(%esp)

cpuid_call:                             /* the registers of the instruction */
        cpuid
        ret

set_gdt:                                /* EAX: limit and base, 6 bytes */
        lgdt (%eax)
        ret
set_idt:
        lidt (%eax)
        ret
get_gdt:
        sgdt (%eax)
        ret
get_idt:
        sidt (%eax)
        ret
set_ldt:                                /* EAX: selector */
        lldt %ax
        ret
set_tr:
        ltr %ax
        ret
get_tr:
        str %eax
        ret

write_entry:                            /* EAX: table; EDX: index; ECX, stack: the descriptor, low word and high */
        lea (%eax, %edx, 8), %eax
        mov STACK, %edx
        mov %ecx, (%eax)
        mov %edx, 4(%eax)
        ret

/* EDX: ESP0. EAX is not looked at: the specification has a TSS there, Linux a selector. The TSS is that of TR. */
update_kernel_stack:
        str %eax
        and $0xFFF8, %eax
        jz 1f
        sub $8, %esp
        sgdt 2(%esp)
        add 4(%esp), %eax               /* its descriptor */
        add $8, %esp
        movzbl 7(%eax), %ecx            /* base: bytes 7, 4, 3, 2 (SDM vol. 3, 7.2.2) */
        shl $8, %ecx
        mov 4(%eax), %cl
        shl $16, %ecx
        mov 2(%eax), %cx
        mov %edx, 4(%ecx)
1:      ret

        .irp number, 0, 2, 3, 4
set_cr\number:
        mov %eax, %cr\number
        ret
get_cr\number:
        mov %cr\number, %eax
        ret
        .endr

wbinvd_call:
        wbinvd
        ret

set_dr:                                 /* EAX: number; EDX: value */
        .irp number, 0, 1, 2, 3, 4, 5, 6, 7
        cmp $\number, %eax
        jne 1f
        mov %edx, %db\number
        ret
1:
        .endr
        ret
get_dr:                                 /* EAX: number */
        .irp number, 0, 1, 2, 3, 4, 5, 6, 7
        cmp $\number, %eax
        jne 1f
        mov %db\number, %eax
        ret
1:
        .endr
        ret

rdtsc_call:
        rdtsc
        ret

clts_call:
        clts
        ret

enable_interrupts:                      /* 29 to 32: only CS and SS are valid, and every register but EAX of 31 is kept */
        sti
        ret
disable_interrupts:
        cli
        ret
get_interrupt_mask:
        pushf
        pop %eax
        ret
set_interrupt_mask:
        test $0x200, %eax               /* EFLAGS.IF */
        jz disable_interrupts
        sti
        ret

halt:
        sti                             /* holds interrupts off until HLT has begun */
        hlt
        ret

set_pxe:                                /* EAX: entry; EDX: its place; ECX: flags, which nothing here depends on */
        mov %eax, (%edx)
        ret

set_pxe_long:                           /* EDX:EAX: entry; ECX: its place */
        testb $1, (%ecx)                /* present: then the CPU may look at it meanwhile */
        jnz 1f
        mov %edx, 4(%ecx)
        mov %eax, (%ecx)
        ret
1:      push %ebx
        push %esi
        mov %ecx, %esi
        mov %eax, %ebx
        mov %edx, %ecx
        mov (%esi), %eax
        mov 4(%esi), %edx
2:      lock cmpxchg8b (%esi)
        jnz 2b
        pop %esi
        pop %ebx
        ret

inval_page:                             /* EAX: linear address */
        invlpg (%eax)
        ret

flush_tlb:                              /* EAX: bit 1: global pages, too */
        test $2, %al
        jz 1f
        mov %cr4, %eax
        test $0x80, %al                 /* CR4.PGE */
        jz 1f
        mov %eax, %edx
        and $~0x80, %eax
        mov %eax, %cr4
        mov %edx, %cr4
        ret
1:      mov %cr3, %eax
        mov %eax, %cr3
        ret

set_iopl_mask:                          /* EAX: IOPL at its place in EFLAGS */
        and $0x3000, %eax
        pushf
        andl $~0x3000, (%esp)
        or %eax, (%esp)
        popf
        ret

get_cycle_frequency:                    /* EDX:EAX: Hz */
frequency_bell:
        out %al, $HYPERPORT_VMI_GetCycleFrequency
        ret

get_cycle_counter:                      /* EAX: which; EDX:EAX: cycles */
        test %eax, %eax
        jnz 1f
        rdtsc                           /* real cycles are those of the TSC */
        ret
1:      push %ebx
        push %eax
        rdtsc                           /* the VMM makes the others of it */
        mov %eax, %ecx
        mov %edx, %ebx
        pop %eax
counter_bell:
        out %al, $HYPERPORT_VMI_GetCycleCounter
        pop %ebx
        ret

set_alarm:                              /* EAX: flags; ECX:EDX: expiry in cycles; stack: period, low word first */
        push %ebx
        push %esi
        push %edi
        mov %eax, %edi
        mov %edx, %ebx
        rdtsc
        sub %eax, %ebx                  /* ECX:EBX: how far away */
        sbb %edx, %ecx
        mov %edi, %eax
        mov %ebx, %edx
        mov 16(%esp), %ebx
        mov 20(%esp), %esi
alarm_bell:
        out %al, $HYPERPORT_VMI_SetAlarm
        pop %edi
        pop %esi
        pop %ebx
        ret

cancel_alarm:                           /* EAX: flags; result: 1 if an alarm was set */
cancel_bell:
        out %al, $HYPERPORT_VMI_CancelAlarm
        ret

get_wallclock_time:                     /* EDX:EAX: ns since 1970 */
wallclock_bell:
        out %al, $HYPERPORT_VMI_GetWallclockTime
        ret

wallclock_updated:                      /* EAX: whether it was set meanwhile, which it is not */
        xor %eax, %eax
        ret

/* Where the doorbells of these calls are, for hyperport.abi.rom: offset and number. */
        .macro bell number, place
        .word \place - rom
        .byte \number, 0
        .endm
        .balign 4
doorbells:
        bell HYPERPORT_VMI_GetCycleFrequency, frequency_bell
        bell HYPERPORT_VMI_GetCycleCounter, counter_bell
        bell HYPERPORT_VMI_SetAlarm, alarm_bell
        bell HYPERPORT_VMI_CancelAlarm, cancel_bell
        bell HYPERPORT_VMI_GetWallclockTime, wallclock_bell
        .word 0, 0

        .macro stub name, number
        .word exitless_\name - rom, first_\name - rom, end_\name - rom, restart_\name - rom
        .byte \number, 0, 0, 0
        .endm
exitless:
        stub INL, HYPERPORT_VMI_INL
        stub INB, HYPERPORT_VMI_INB
        stub INW, HYPERPORT_VMI_INW
        stub OUTL, HYPERPORT_VMI_OUTL
        stub OUTB, HYPERPORT_VMI_OUTB
        stub OUTW, HYPERPORT_VMI_OUTW
        .fill 12, 1, 0

/* What get_reloc answers, in the order of the numbers: the code's offset, the type. What is not named is NONE. */
        .macro answer number, type, code
        .org answers + 4 * \number, 0
        .word \code - rom
        .byte \type, 0
        .endm
#define PORT_ANSWER(name, number, direction, size, string) \
        answer number, HYPERPORT_VMI_RELOCATION_CALL_REL, port_##name;

#define OFFERS(call, code) answer HYPERPORT_VMI_##call, HYPERPORT_VMI_RELOCATION_CALL_REL, code
/* A machine without page tables of its own, without a second CPU and whose ports are quick has nothing to do: no code, offset 0. */
#define NEEDLESS(call) answer HYPERPORT_VMI_##call, HYPERPORT_VMI_RELOCATION_NOP, rom

        .balign 4
answers:
        OFFERS(CPUID, cpuid_call)
        OFFERS(SetGDT, set_gdt)
        OFFERS(SetLDT, set_ldt)
        OFFERS(SetIDT, set_idt)
        OFFERS(SetTR, set_tr)
        OFFERS(GetGDT, get_gdt)
        OFFERS(GetIDT, get_idt)
        OFFERS(GetTR, get_tr)
        OFFERS(WriteGDTEntry, write_entry)
        OFFERS(WriteLDTEntry, write_entry)
        OFFERS(WriteIDTEntry, write_entry)
        OFFERS(UpdateKernelStack, update_kernel_stack)
        OFFERS(SetCR0, set_cr0)
        OFFERS(SetCR2, set_cr2)
        OFFERS(SetCR3, set_cr3)
        OFFERS(SetCR4, set_cr4)
        OFFERS(GetCR0, get_cr0)
        OFFERS(GetCR2, get_cr2)
        OFFERS(GetCR3, get_cr3)
        OFFERS(GetCR4, get_cr4)
        OFFERS(WBINVD, wbinvd_call)
        OFFERS(SetDR, set_dr)
        OFFERS(GetDR, get_dr)
        OFFERS(RDTSC, rdtsc_call)
        OFFERS(CLTS, clts_call)
        OFFERS(EnableInterrupts, enable_interrupts)
        OFFERS(DisableInterrupts, disable_interrupts)
        OFFERS(GetInterruptMask, get_interrupt_mask)
        OFFERS(SetInterruptMask, set_interrupt_mask)
        OFFERS(IRET, iret_call)
        OFFERS(SYSEXIT, sysexit_call)
        OFFERS(Halt, halt)
        OFFERS(SetPxE, set_pxe)
        OFFERS(SetPxELong, set_pxe_long)
        NEEDLESS(UpdatePxE)
        NEEDLESS(UpdatePxELong)
        NEEDLESS(AllocatePage)
        NEEDLESS(ReleasePage)
        OFFERS(InvalPage, inval_page)
        OFFERS(FlushTLB, flush_tlb)
        NEEDLESS(SetLinearMapping)
        HYPERPORT_PORT_CALLS(PORT_ANSWER)
        OFFERS(SetIOPLMask, set_iopl_mask)
        NEEDLESS(SetInitialAPState)
        NEEDLESS(IODelay)
        OFFERS(GetCycleFrequency, get_cycle_frequency)
        OFFERS(GetCycleCounter, get_cycle_counter)
        OFFERS(SetAlarm, set_alarm)
        OFFERS(CancelAlarm, cancel_alarm)
        OFFERS(GetWallclockTime, get_wallclock_time)
        OFFERS(WallclockUpdated, wallclock_updated)
        NEEDLESS(SetLazyMode)
        .org answers + 4 * HYPERPORT_VMI_CALLS, 0
