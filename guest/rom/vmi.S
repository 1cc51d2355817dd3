/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Code of the VMI option ROM. hyperport.abi.rom puts the header, the strings and the checksum to it.
 *
 * It runs at whatever linear address the guest has mapped it, from read-only pages, with interrupts on or off, at CPL 0
 * and 1. Offsets are from `rom`. To offer one more call: its code here, and a line in `answers`.
 *
 * What each entry may change is the specification's: get_reloc EAX, ECX, EDX and flags; IRET and SYSEXIT nothing, and
 * they may use no segment but CS and SS; the port calls nothing but what the native instruction changes. */

#include <hyperport/abi.h>
#include <hyperport/stubs.h>

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

/* Port calls that look whether they need the doorbell above, for machines with --io exitless. EBP is this code's place. */
#define ENTER call 1f; 1: pop %ebp
#define THERE(place) HYPERPORT_EXITLESS_##place + HYPERPORT_EXITLESS_BASE - HYPERPORT_ROM_BASE - (1b - rom)
#define WAY(label) label - 1b(%ebp, %esi, STUB_WAY)
#define ELSE(name) jmp port_##name

        STUBS

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
