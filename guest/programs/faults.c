/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the CPU reports when code does what it must not. The output is the same, byte for byte, on every correct i386 CPU or
 * emulator with PSE, PAE and NX (qemu: -cpu qemu32,+nx).
 * Drives: exceptions and their frames from ring 3, ring 0 and virtual-8086 mode, under 32-bit and PAE page tables.
 * Unit of work: one case: a few instructions and the line
 *   NAME: #VECTOR err=ERROR eip=+OFFSET [cr2=ADDRESS] fl=EFLAGS [what the case shows besides]
 * A case that faults nowhere ends in INT 81h and prints "done eip=... fl=...". Ends: value 0, after "faults: N cases".
 *
 * Left out because qemu's TCG (7.2) differs from hardware there: segment limits, alignment (#AC), unknown MSRs, unmasked SSE
 * exceptions, ICEBP (F1), LOCK before a MOV, a pending x87 error at the next x87 instruction other than FWAIT, the vector for
 * a stack segment that is not present on the way to another ring (#TS and #NP for #SS), EFLAGS after a fault inside REPE CMPS,
 * W/R for a read-modify-write of an absent page. RF in the saved flags is masked. */
#include "cpu.h"
#include "guest.h"
#include "segments.h"

#define DONE_VECTOR 0x81
#define CLOSED_VECTOR 0x30 /* its gate has DPL 0 */
#define SHOWN_FLAGS 0x00067FD5u /* all of the 32-bit flags but RF, the virtual-interrupt bits, ID and bit 1 */

/* Test pages from 8 MiB on. A string constant each, for use in the cases' assembly. */
#define WINDOW 0x00800000u
#define GAP "0x00800000"        /* not present */
#define READ_ONLY "0x00801000"  /* user, not writable */
#define SUPERVISOR "0x00802000" /* writable, not user */
#define OPEN "0x00803000"       /* user, writable; the page after it is not present */
#define OPEN_END 0x00804000u
#define NO_EXEC "0x00805000"    /* as OPEN; under PAE with the NX bit */
#define FRESH "0x00806000"      /* as OPEN; accessed and dirty bits clear at the start of each case */
#define FRESH_PAGE 6
#define TAIL_CODE "0x00803fff"  /* the last byte of OPEN: the first byte of an instruction of five */
#define LARGE_USER "0x01000000"
#define LARGE_READ_ONLY "0x01400000"
#define LARGE_SUPERVISOR "0x01800000"
#define LARGE_FRAME 0x01000000u
#define V86_SEGMENT 0x800u
#define V86_ADDRESS 0x8000u

/* Descriptors of the suite's own. */
#define CODE_EXEC_ONLY "0x33"  /* ring 3, not readable */
#define DATA_ABSENT "0x3b"     /* ring 3, not present */
#define DATA_READ_ONLY "0x43"  /* ring 3 */
#define CODE_ABSENT "0x4b"     /* ring 3, not present */
#define CODE_RING1 0x51u
#define GATE_TO_RING1 "0x5b"   /* call gate, DPL 3 */
#define GATE_TO_RING0 "0x63"   /* call gate, DPL 3 */
#define GATE_CLOSED "0x68"     /* call gate, DPL 0 */
#define GATE_ABSENT "0x73"     /* call gate, DPL 3, not present */
#define STACK_RING1 0x79u
#define BEYOND_GDT "0x403"

static uint32_t page_directory[1024] __attribute__((aligned(4096)));
static uint32_t identity_table[1024] __attribute__((aligned(4096)));
static uint32_t window_table[1024] __attribute__((aligned(4096)));
static uint64_t pae_pointers[4] __attribute__((aligned(32)));
static uint64_t pae_directory[512] __attribute__((aligned(4096)));
static uint64_t pae_identity[2][512] __attribute__((aligned(4096)));
static uint64_t pae_window[512] __attribute__((aligned(4096)));
static uint8_t window_frames[16][PAGE_SIZE] __attribute__((aligned(4096)));
static uint8_t user_stack[PAGE_SIZE] __attribute__((aligned(4096)));
static uint8_t kernel_stack[PAGE_SIZE] __attribute__((aligned(4096)));

static struct context suite;
static struct frame caught;
static uint32_t caught_cr2, caught_dr6;
static uint32_t start_flags; /* EFLAGS in which the case begins */
extern const uint8_t gate_target[];

enum mode { USER, KERNEL, V86 };
enum shown {
    STRING = 1,    /* ESI, EDI relative to the page edge, ECX */
    STACK = 2,     /* ESP relative to the stack's top */
    MEMORY = 4,    /* the four bytes before the page edge */
    PTE = 8,       /* accessed and dirty bits of FRESH */
    REGISTER = 16, /* EAX */
    STEP = 32,     /* single-step bit of DR6 */
    CODE_SEGMENT = 64, /* CS */
};

/* Set-up of single cases. Everything they touch is put back by arrange(). */

static void with_tf(void) { start_flags |= EFLAGS_TF; }
static void with_ts(void) { cr0_write(cr0_read() | CR0_TS | CR0_MP); }
static void with_em(void) { cr0_write(cr0_read() | CR0_EM); }
static void with_wp(void) { cr0_write(cr0_read() | CR0_WP); }
static void with_tsd(void) { cr4_write(cr4_read() | CR4_TSD); }
static void with_iopl3(void) { start_flags |= EFLAGS_IOPL3; }
static void with_port_80(void) { tss_allow_port(0x80); }
static void with_port_ff(void) { tss_allow_port(0xFF); }
static void with_ports_fe_101(void)
{
    for (uint16_t port = 0xFE; port <= 0x101; port++)
        tss_allow_port(port);
}
static void with_short_map(void)
{
    tss_allow_port(0x80);
    tss_load(offsetof(struct tss, iomap) + 0x80 / 8); /* the byte after port 0x80's is cut off */
}
static void with_no_map(void)
{
    tss_allow_port(0x80);
    tss.iomap_base = sizeof tss;
}
static void with_no_gp_gate(void) { interrupt_present(VECTOR_GP, false); }
static void with_no_pf_gate(void) { interrupt_present(VECTOR_PF, false); }
static void with_absent_gate(void)
{
    interrupt_allow(CLOSED_VECTOR, 3);
    interrupt_present(CLOSED_VECTOR, false);
}
static void with_bad_ring1_stack(void) { tss.ss1 = KERNEL_DS; }
static void with_sysenter(void)
{
    msr_write(MSR_SYSENTER_CS, KERNEL_CS);
    msr_write(MSR_SYSENTER_ESP, (uint32_t)kernel_stack + sizeof kernel_stack);
    msr_write(MSR_SYSENTER_EIP, (uint32_t)gate_target);
}
static void with_bad_link(void) { tss.link = 0x400; }

/* Every case: X(name, mode, set-up or 0, what to show besides, assembly). */
#define CASES(X)                                                                                                            \
    /* port permission */                                                                                                   \
    X(in_denied, USER, 0, 0, "stc; in $0x80, %al")                                                                          \
    X(out_denied, USER, 0, 0, "std; out %al, $0x80")                                                                        \
    X(in_dx_denied, USER, 0, 0, "mov $0x3fd, %edx; in (%dx), %eax")                                                         \
    X(out_allowed_by_iopl, USER, with_iopl3, 0, "out %al, $0x80")                                                           \
    X(out_allowed_by_map, USER, with_port_80, 0, "out %al, $0x80")                                                          \
    X(outw_neighbour_denied, USER, with_port_80, 0, "out %ax, $0x80")                                                       \
    X(out_straddles_denied, USER, with_port_ff, 0, "mov $0xff, %edx; out %ax, (%dx)")                                       \
    X(out_straddles_allowed, USER, with_ports_fe_101, 0, "mov $0xfe, %edx; out %eax, (%dx)")                                \
    X(out_map_cut_short, USER, with_short_map, 0, "out %al, $0x80")                                                         \
    X(out_no_map, USER, with_no_map, 0, "out %al, $0x80")                                                                   \
    X(insb_denied, USER, 0, STRING, "mov $0x80, %edx; mov $" OPEN ", %edi; mov $4, %ecx; rep insb")                         \
    X(outsb_denied, USER, 0, STRING, "mov $0x80, %edx; mov $" OPEN ", %esi; mov $4, %ecx; rep outsb")                       \
    X(out_ring0, KERNEL, 0, 0, "out %al, $0x80")                                                                            \
    /* software interrupts and traps */                                                                                     \
    X(int_closed_gate, USER, 0, 0, "int $0x30")                                                                             \
    X(int_absent_gate, USER, with_absent_gate, 0, "int $0x30")                                                              \
    X(int3, USER, 0, 0, "int3")                                                                                             \
    X(int_3, USER, 0, 0, ".byte 0xcd, 3")                                                                                   \
    X(into_taken, USER, 0, 0, "mov $0x7fffffff, %eax; inc %eax; into")                                                      \
    X(into_not_taken, USER, 0, 0, "xor %eax, %eax; into")                                                                   \
    X(bound_out, USER, 0, 0, "mov $5, %eax; bound %eax, bounds")                                                            \
    X(bound_in, USER, 0, 0, "mov $2, %eax; bound %eax, bounds")                                                             \
    X(ud2, USER, 0, 0, "stc; ud2")                                                                                          \
    X(ud2_ring0, KERNEL, 0, 0, "ud2")                                                                                       \
    X(div_by_zero, USER, 0, 0, "xor %ecx, %ecx; mov $7, %eax; stc; div %ecx")                                               \
    X(div_overflow, USER, 0, REGISTER, "mov $1, %ecx; mov $2, %edx; mov $7, %eax; cmp %eax, %eax; div %ecx")                \
    X(idiv_overflow, USER, 0, 0, "mov $0x80000000, %eax; cdq; mov $-1, %ecx; stc; idiv %ecx")                               \
    X(aam_zero, USER, 0, 0, "xor %eax, %eax; .byte 0xd4, 0")                                                                \
    X(single_step, USER, with_tf, STEP, "nop; nop")                                                                         \
    X(single_step_popf, USER, 0, STEP, "pushf; orl $0x100, (%esp); popf; nop; nop")                                         \
    X(single_step_pop_ss, KERNEL, 0, STEP, "push %ss; pushf; orl $0x100, (%esp); popf; pop %ss; nop; nop")                  \
    X(single_step_branch, USER, with_tf, STEP, "jmp 1f; nop; nop; 1: nop")                                                  \
    X(single_step_rep, USER, 0, STEP | STRING, "mov $" OPEN ", %esi; mov $3, %ecx; pushf; orb $1, 1(%esp); popf; rep lodsb")\
    X(int_clears_tf, USER, with_tf, 0, "int $0x81")                                                                         \
    /* privileged instructions */                                                                                           \
    X(hlt, USER, 0, 0, "hlt")                                                                                               \
    X(cli, USER, 0, 0, "cli")                                                                                               \
    X(sti, USER, 0, 0, "sti")                                                                                               \
    X(cli_iopl3, USER, with_iopl3, 0, "cli")                                                                                \
    X(popf_keeps_if_iopl, USER, 0, 0, "push $0x3001; popf")                                                                 \
    X(popf_changes_if, USER, with_iopl3, 0, "push $1; popf")                                                                \
    X(mov_to_cr0, USER, 0, 0, "mov %eax, %cr0")                                                                             \
    X(mov_from_cr3, USER, 0, 0, "mov %cr3, %eax")                                                                           \
    X(mov_to_dr7, USER, 0, 0, "mov %eax, %dr7")                                                                             \
    X(clts, USER, 0, 0, "clts")                                                                                             \
    X(lmsw, USER, 0, 0, "lmsw %ax")                                                                                         \
    X(lgdt, USER, 0, 0, "lgdt bounds")                                                                                      \
    X(lidt, USER, 0, 0, "lidt bounds")                                                                                      \
    X(lldt, USER, 0, 0, "xor %eax, %eax; lldt %ax")                                                                         \
    X(ltr, USER, 0, 0, "mov $0x28, %eax; ltr %ax")                                                                          \
    X(ltr_busy, KERNEL, 0, 0, "mov $0x28, %eax; ltr %ax")                                                                   \
    X(ltr_code, KERNEL, 0, 0, "mov $0x08, %eax; ltr %ax")                                                                   \
    X(lldt_data, KERNEL, 0, 0, "mov $0x10, %eax; lldt %ax")                                                                 \
    X(invd, USER, 0, 0, "invd")                                                                                             \
    X(wbinvd, USER, 0, 0, "wbinvd")                                                                                         \
    X(invlpg, USER, 0, 0, "invlpg bounds")                                                                                  \
    X(rdmsr, USER, 0, 0, "mov $0x174, %ecx; rdmsr")                                                                         \
    X(wrmsr, USER, 0, 0, "mov $0x174, %ecx; wrmsr")                                                                         \
    X(rdtsc_denied, USER, with_tsd, 0, "rdtsc")                                                                             \
    X(sysenter_no_cs, USER, 0, 0, "sysenter")                                                                               \
    X(sysenter, USER, with_sysenter, CODE_SEGMENT, "sysenter")                                                              \
    X(sysexit_user, USER, with_sysenter, 0, "sysexit")                                                                      \
    X(sysexit_no_cs, KERNEL, 0, 0, "sysexit")                                                                               \
    X(sysexit, KERNEL, with_sysenter, CODE_SEGMENT, "mov $1f, %edx; mov %esp, %ecx; sysexit; nop; 1: ud2")                  \
    X(lock_register, USER, 0, 0, ".byte 0xf0, 0x40")                                                                        \
    X(mov_to_cs, USER, 0, 0, ".byte 0x8e, 0xc8")                                                                            \
    X(lea_register, USER, 0, 0, ".byte 0x8d, 0xc0")                                                                         \
    X(opcode_too_long, USER, 0, 0, ".fill 15, 1, 0x66; nop")                                                                \
    /* x87 */                                                                                                               \
    X(x87_ts, USER, with_ts, 0, "fld1")                                                                                     \
    X(x87_ts_fwait, USER, with_ts, 0, "fwait")                                                                              \
    X(x87_em, USER, with_em, 0, "fninit")                                                                                   \
    X(x87_zero_divide, USER, 0, 0, "fninit; push $0x37b; fldcw (%esp); fldz; fld1; fdivp; nop; fwait")                      \
    X(x87_masked, USER, 0, 0, "fninit; fldz; fld1; fdivp; fwait")                                                           \
    X(x87_no_wait, USER, 0, 0, "fninit; push $0x37e; fldcw (%esp); fldz; fldz; fdivp; fnstsw %ax; fnclex; fwait")           \
    /* pages */                                                                                                             \
    X(read_null, USER, 0, 0, "xor %eax, %eax; stc; mov (%eax), %ecx")                                                       \
    X(read_unmapped, USER, 0, 0, "mov " GAP ", %eax")                                                                       \
    X(write_unmapped, USER, 0, 0, "mov %eax, 4+" GAP)                                                                       \
    X(write_read_only, USER, 0, 0, "std; mov %al, " READ_ONLY)                                                              \
    X(read_read_only, USER, 0, 0, "mov " READ_ONLY ", %al")                                                                 \
    X(read_supervisor, USER, 0, 0, "mov " SUPERVISOR ", %al")                                                               \
    X(write_supervisor, USER, 0, 0, "mov %al, " SUPERVISOR)                                                                 \
    X(no_directory_entry, USER, 0, 0, "mov 0xc0000000, %al")                                                                \
    X(jump_null, USER, 0, 0, "xor %eax, %eax; jmp *%eax")                                                                   \
    X(jump_unmapped, USER, 0, 0, "mov $" GAP ", %eax; jmp *%eax")                                                           \
    X(jump_supervisor, USER, 0, 0, "mov $" SUPERVISOR ", %eax; jmp *%eax")                                                  \
    X(code_runs_into_gap, USER, 0, 0, "movb $0xb8, " TAIL_CODE "; mov $" TAIL_CODE ", %eax; jmp *%eax")                     \
    X(ring0_reads_unmapped, KERNEL, 0, 0, "mov " GAP ", %eax")                                                              \
    X(ring0_jumps_unmapped, KERNEL, 0, 0, "mov $" GAP ", %eax; jmp *%eax")                                                  \
    X(ring0_writes_read_only, KERNEL, 0, 0, "mov %al, " READ_ONLY)                                                          \
    X(ring0_writes_with_wp, KERNEL, with_wp, 0, "mov %al, " READ_ONLY)                                                      \
    X(add_read_only, USER, 0, 0, "stc; adcl $1, " READ_ONLY)                                                                \
    X(cmpxchg_unequal, USER, 0, 0, "mov $1, %eax; cmpxchg %ecx, " READ_ONLY)                                                \
    X(xchg_read_only, USER, 0, REGISTER, "mov $0x55, %eax; xchg %eax, " READ_ONLY)                                          \
    X(store_crosses, USER, 0, MEMORY, "mov $0x11223344, %eax; mov %eax, 0x00803ffe")                                        \
    X(load_crosses, USER, 0, REGISTER, "mov $0x77, %eax; mov 0x00803ffd, %eax")                                             \
    X(accessed, USER, 0, PTE, "mov " FRESH ", %al; ud2")                                                                    \
    X(dirty, USER, 0, PTE, "mov %al, " FRESH "; ud2")                                                                       \
    X(untouched, USER, 0, PTE, "ud2")                                                                                       \
    /* instructions that fault half-way */                                                                                  \
    X(movsb_source, USER, 0, STRING, "mov $0x00803ff9, %esi; mov $" OPEN ", %edi; mov $16, %ecx; rep movsb")                \
    X(movsb_target, USER, 0, STRING, "mov $" OPEN ", %esi; mov $0x00803ff9, %edi; mov $16, %ecx; rep movsb")                \
    X(movsb_backward, USER, 0, STRING, "std; mov $" OPEN "+9, %edi; mov $0x00803002, %esi; mov $16, %ecx; rep movsb")       \
    X(stosl_edge, USER, 0, STRING | MEMORY, "mov $0x99999999, %eax; mov $0x00803ff6, %edi; mov $8, %cl; rep stosl")         \
    X(lodsw_edge, USER, 0, STRING, "mov $0x00803ffb, %esi; mov $8, %ecx; rep lodsw")                                        \
    X(scasb_edge, USER, 0, STRING, "xor %eax, %eax; mov $0x00803ffc, %edi; mov $9, %ecx; repe scasb")                       \
    X(cmpsb_edge, USER, 0, STRING, "mov $0x00803ffc, %esi; mov $" OPEN ", %edi; mov $9, %cl; cmp %al, %al; repe cmpsb")     \
    X(movsl_single, USER, 0, STRING, "mov $" OPEN ", %esi; mov $" GAP ", %edi; mov $5, %ecx; movsl")                        \
    X(insb_edge, USER, with_iopl3, STRING, "mov $0x84, %edx; mov $0x00803ffd, %edi; mov $9, %ecx; rep insb")                \
    X(outsb_edge, USER, with_iopl3, STRING, "mov $0x80, %edx; mov $0x00803ffd, %esi; mov $9, %ecx; rep outsb")              \
    X(outsw_edge, USER, with_iopl3, STRING, "mov $0x80, %edx; mov $0x00803ffb, %esi; mov $9, %ecx; rep outsw")              \
    X(insl_read_only, USER, with_iopl3, STRING, "mov $0x84, %edx; mov $" READ_ONLY ", %edi; mov $3, %ecx; insl")            \
    X(insb_ring0_edge, KERNEL, 0, STRING, "mov $0x84, %edx; mov $0x00803ffd, %edi; mov $9, %ecx; rep insb")                 \
    X(push_unmapped, USER, 0, 0, "mov $0x00801000, %esp; push %eax; nop")                                                   \
    X(push_esp_kept, USER, 0, STACK, "push %eax; pushl " GAP)                                                               \
    X(pop_to_unmapped, USER, 0, STACK, "push %eax; popl " GAP)                                                              \
    X(pop_memory_kept, USER, 0, STACK, "push %eax; push %eax; popl " READ_ONLY)                                             \
    X(call_unmapped, USER, 0, STACK, "call *" GAP)                                                                          \
    X(call_to_unmapped, USER, 0, STACK, "mov $" GAP ", %eax; call *%eax")                                                   \
    X(ret_to_unmapped, USER, 0, STACK, "push $" GAP "; ret")                                                                \
    X(enter_unmapped, USER, 0, 0, "mov $0x00801000, %esp; mov $5, %ebp; enter $8, $0")                                      \
    X(leave_unmapped, USER, 0, STACK, "mov $" GAP ", %ebp; leave")                                                          \
    X(xlat_unmapped, USER, 0, 0, "mov $" GAP ", %ebx; mov $9, %al; xlat")                                                   \
    /* segments */                                                                                                          \
    X(ds_beyond, USER, 0, 0, "mov $" BEYOND_GDT ", %eax; mov %eax, %ds")                                                    \
    X(ds_kernel, USER, 0, 0, "mov $0x10, %eax; mov %eax, %ds")                                                              \
    X(ds_system, USER, 0, 0, "mov $0x2b, %eax; mov %eax, %es")                                                              \
    X(ds_absent, USER, 0, 0, "mov $" DATA_ABSENT ", %eax; mov %eax, %ds")                                                   \
    X(ds_exec_only, USER, 0, 0, "mov $" CODE_EXEC_ONLY ", %eax; mov %eax, %fs")                                             \
    X(ds_no_ldt, USER, 0, 0, "mov $0x0f, %eax; mov %eax, %gs")                                                              \
    X(ds_null_use, USER, 0, 0, "xor %eax, %eax; mov %eax, %gs; ud2")                                                        \
    X(ss_null, USER, 0, 0, "xor %eax, %eax; mov %eax, %ss")                                                                 \
    X(ss_absent, USER, 0, 0, "mov $" DATA_ABSENT ", %eax; mov %eax, %ss")                                                   \
    X(ss_read_only, USER, 0, 0, "mov $" DATA_READ_ONLY ", %eax; mov %eax, %ss")                                             \
    X(ss_wrong_ring, KERNEL, 0, 0, "mov $0x23, %eax; mov %eax, %ss")                                                        \
    X(pop_ds_bad, USER, 0, STACK, "push $" BEYOND_GDT "; pop %ds")                                                          \
    X(ljmp_beyond, USER, 0, 0, "ljmp $" BEYOND_GDT ", $0")                                                                  \
    X(ljmp_null, USER, 0, 0, "ljmp $0, $0")                                                                                 \
    X(ljmp_data, USER, 0, 0, "ljmp $0x23, $0")                                                                              \
    X(ljmp_kernel, USER, 0, 0, "ljmp $0x08, $0")                                                                            \
    X(ljmp_absent, USER, 0, 0, "ljmp $" CODE_ABSENT ", $0")                                                                 \
    X(lcall_gate, USER, 0, CODE_SEGMENT, "lcall $" GATE_TO_RING0 ", $0")                                                    \
    X(lcall_gate_ring1, USER, 0, CODE_SEGMENT, "lcall $" GATE_TO_RING1 ", $0")                                              \
    X(lcall_closed_gate, USER, 0, 0, "lcall $" GATE_CLOSED ", $0")                                                          \
    X(lcall_absent_gate, USER, 0, 0, "lcall $" GATE_ABSENT ", $0")                                                          \
    X(lcall_bad_stack, USER, with_bad_ring1_stack, STACK, "lcall $" GATE_TO_RING1 ", $0")                                   \
    X(lret_null, USER, 0, STACK, "push $0; push $0; lret")                                                                  \
    X(lret_kernel, USER, 0, STACK, "push $0x08; push $0; lret")                                                             \
    X(lret_absent, USER, 0, STACK, "push $" CODE_ABSENT "; push $0; lret")                                                  \
    X(iret_kernel, USER, 0, STACK, "pushf; push $0x08; push $0; iret")                                                      \
    X(iret_null, USER, 0, STACK, "pushf; push $0; push $0; iret")                                                           \
    X(iret_same_ring, USER, 0, CODE_SEGMENT, "pushf; push %cs; push $1f; iret; nop; 1: ud2")                                \
    X(iret_data, KERNEL, 0, 0, "pushf; push $0x10; push $0; iret")                                                          \
    X(iret_bad_stack, KERNEL, 0, 0, "push $0x10; push $0; pushf; push $0x1b; push $0; iret")                                \
    X(iret_nested_bad_link, KERNEL, with_bad_link, 0, "pushf; orl $0x4000, (%esp); popf; iret")                             \
    X(lar_allowed, USER, 0, REGISTER, "mov $0x23, %ecx; lar %ecx, %eax; setz %cl; and $0xf0ff00, %eax; ud2")                \
    X(lar_denied, USER, 0, REGISTER, "mov $0x10, %ecx; lar %ecx, %eax; ud2")                                                \
    X(arpl, USER, 0, REGISTER, "mov $0x10, %eax; mov $3, %ecx; arpl %cx, %ax; ud2")                                         \
    /* faults while a fault is delivered */                                                                                 \
    X(double_fault_gp, USER, with_no_gp_gate, 0, "hlt")                                                                     \
    X(double_fault_pf, USER, with_no_pf_gate, 0, "mov " GAP ", %eax")                                                       \
    X(double_fault_ring0, KERNEL, with_no_gp_gate, 0, "mov $" BEYOND_GDT ", %eax; mov %eax, %ds")                           \
    /* virtual-8086 mode */                                                                                                 \
    X(v86_cli, V86, 0, 0, "cli")                                                                                            \
    X(v86_pushf, V86, 0, 0, "pushf")                                                                                        \
    X(v86_int, V86, 0, 0, "int $0x21")                                                                                      \
    X(v86_int_iopl3, V86, with_iopl3, 0, "stc; int $0x81")                                                                  \
    X(v86_int3, V86, with_iopl3, 0, "nop; int3")                                                                            \
    X(v86_in, V86, with_iopl3, 0, "in $0x80, %al")                                                                          \
    X(v86_out_allowed, V86, with_port_80, 0, "out %al, $0x80; hlt")                                                         \
    X(v86_ud, V86, 0, 0, ".byte 0x63, 0xc0")                                                                                \
    X(v86_segments, V86, 0, REGISTER, "movw $0x1234, %ax; movw %ax, %ds; xorw %ax, %ax; movw %ds, %ax; hlt")                \
    X(v86_page, V86, 0, 0, "xorw %bx, %bx; movw %bx, %ds; movb (%bx), %al")

#define LARGE_CASES(X)                                                                                                      \
    X(large_user, USER, 0, 0, "mov %al, 0x1234+" LARGE_USER)                                                                \
    X(large_read_only, USER, 0, 0, "mov %al, 0x1234+" LARGE_READ_ONLY)                                                      \
    X(large_supervisor, USER, 0, 0, "mov 0x3ffffc+" LARGE_SUPERVISOR ", %eax")                                              \
    X(large_ring0_with_wp, KERNEL, with_wp, 0, "mov %al, 0x1234+" LARGE_READ_ONLY)                                          \
    X(large_crosses_out, USER, 0, REGISTER, "mov $3, %eax; mov 0x013ffffe, %eax; mov 0x017ffffe, %eax")

#define PAE_CASES(X)                                                                                                        \
    X(pae_read_unmapped, USER, 0, 0, "mov " GAP ", %eax")                                                                   \
    X(pae_write_read_only, USER, 0, 0, "mov %al, " READ_ONLY)                                                               \
    X(pae_jump_supervisor, USER, 0, 0, "mov $" SUPERVISOR ", %eax; jmp *%eax")                                              \
    X(pae_jump_unmapped, USER, 0, 0, "mov $" GAP ", %eax; jmp *%eax")                                                       \
    X(pae_read_no_exec, USER, 0, 0, "mov " NO_EXEC ", %eax")                                                                \
    X(pae_jump_no_exec, USER, 0, 0, "mov $" NO_EXEC ", %eax; jmp *%eax")                                                    \
    X(pae_ring0_jump_no_exec, KERNEL, 0, 0, "mov $" NO_EXEC ", %eax; jmp *%eax")                                            \
    X(pae_no_pointer, USER, 0, 0, "mov 0xc0000000, %eax")                                                                   \
    X(pae_large_user, USER, 0, 0, "mov %al, 0x1234+" LARGE_USER)                                                            \
    X(pae_large_read_only, USER, 0, 0, "mov %al, 0x1234+" LARGE_READ_ONLY)                                                  \
    X(pae_dirty, USER, 0, PTE, "mov %al, " FRESH "; ud2")                                                                   \
    X(pae_store_crosses, USER, 0, MEMORY, "mov $0x11223344, %eax; mov %eax, 0x00803ffe")

/* The cases' code: each between code_NAME and end_NAME, ended by INT 81h. Local labels 1 and 2 are free for them. */
#define CODE_SIZE_USER "32"
#define CODE_SIZE_KERNEL "32"
#define CODE_SIZE_V86 "16"
#define CODE(name, mode, setup, shown, text)                                                                                \
    __asm__(".pushsection .text.cases\n.code" CODE_SIZE_##mode "\ncode_" #name ": " text "\nint $0x81\nend_" #name          \
            ":\n.code32\n.popsection");                                                                                     \
    extern const uint8_t code_##name[], end_##name[];
CASES(CODE)
LARGE_CASES(CODE)
PAE_CASES(CODE)

/* Where gates and SYSENTER lead: straight out, with the code segment to show for it. */
__asm__(".pushsection .text.cases\n"
        "bounds: .long 1, 3\n"
        ".globl gate_target\n"
        "gate_target: ud2\n"
        ".popsection");

struct fault_case {
    const char *name;
    const uint8_t *code, *end;
    void (*setup)(void);
    enum mode mode;
    uint32_t shown;
};

#define ROW(name, mode, setup, shown, text) {#name, code_##name, end_##name, setup, mode, shown},
static const struct fault_case cases[] = {CASES(ROW)};
static const struct fault_case large_cases[] = {LARGE_CASES(ROW)};
static const struct fault_case pae_cases[] = {PAE_CASES(ROW)};

/* Page tables. */

static uint32_t window_flags(uint32_t page)
{
    switch (page) {
    case 0:
    case 4:
        return 0;
    case 1:
        return PAGE_PRESENT | PAGE_USER;
    case 2:
        return PAGE_PRESENT | PAGE_WRITABLE;
    default:
        return PAGE_PRESENT | PAGE_WRITABLE | PAGE_USER;
    }
}

static uint32_t large_flags(uint32_t index)
{
    static const uint32_t flags[] = {PAGE_WRITABLE | PAGE_USER, PAGE_USER, PAGE_WRITABLE};
    return PAGE_PRESENT | PAGE_LARGE | flags[index];
}

static void fill_windows(void)
{
    const uint64_t no_execute = 1ull << 63;
    for (uint32_t page = 0; page < 16; page++) {
        uint32_t entry = (uint32_t)window_frames[page] | window_flags(page);
        window_table[page] = entry;
        pae_window[page] = entry | (page == 5 ? no_execute : 0);
    }
}

static void fill_tables(void)
{
    const uint32_t open = PAGE_PRESENT | PAGE_WRITABLE | PAGE_USER;

    for (uint32_t page = 1; page < 1024; page++) { /* page 0 stays out: null pointers */
        identity_table[page] = page * PAGE_SIZE | open;
        pae_identity[page / 512][page % 512] = page * PAGE_SIZE | open;
    }
    page_directory[0] = (uint32_t)identity_table | open;
    page_directory[WINDOW >> 22] = (uint32_t)window_table | open;
    pae_directory[0] = (uint32_t)pae_identity[0] | open;
    pae_directory[1] = (uint32_t)pae_identity[1] | open;
    pae_directory[WINDOW >> 21] = (uint32_t)pae_window | open;
    for (uint32_t i = 0; i < 3; i++) {
        uint32_t at = LARGE_FRAME + (i << 22);
        page_directory[at >> 22] = LARGE_FRAME | large_flags(i);
        pae_directory[at >> 21] = LARGE_FRAME | large_flags(i);
    }
    pae_pointers[0] = (uint32_t)pae_directory | PAGE_PRESENT;
    fill_windows();
}

/* One case. */

static void on_fault(struct frame *frame)
{
    caught = *frame;
    caught_cr2 = cr2_read();
    caught_dr6 = dr6_read();
    context_resume(&suite);
}

/* The state that every case starts from. */
static void arrange(void)
{
    cr0_write((cr0_read() | CR0_NE) & ~(CR0_TS | CR0_EM | CR0_WP | CR0_MP));
    cr4_write(cr4_read() & ~CR4_TSD);
    __asm__ volatile("fninit; mov %0, %%dr6" : : "r"(0));
    memset(window_frames, 0, sizeof window_frames);
    memset(user_stack, 0, sizeof user_stack);
    fill_windows();
    cr3_write(cr3_read());
    tss.link = 0;
    tss.ss1 = STACK_RING1;
    tss.esp1 = (uint32_t)kernel_stack + sizeof kernel_stack;
    tss_init();
    interrupt_present(VECTOR_GP, true);
    interrupt_present(VECTOR_PF, true);
    interrupt_present(CLOSED_VECTOR, true);
    interrupt_allow(CLOSED_VECTOR, 0);
    msr_write(MSR_SYSENTER_CS, 0);
    start_flags = EFLAGS_IF;
}

__attribute__((noreturn)) static void ring0_enter(const void *eip)
{
    __asm__ volatile("mov %1, %%esp\n\tpush %2\n\tpush %%cs\n\tpush %0\n\t" REGISTERS_CLEAR "iret"
                     :
                     : "r"(eip), "r"(kernel_stack + sizeof kernel_stack), "r"(start_flags)
                     : "memory");
    __builtin_unreachable();
}

__attribute__((noreturn)) static void v86_enter(const struct fault_case *test)
{
    memcpy((void *)V86_ADDRESS, test->code, (size_t)(test->end - test->code));
    __asm__ volatile("push %0\n\tpush %0\n\tpush %0\n\tpush %0\n\t" /* GS, FS, DS, ES */
                     "push %0\n\tpush $0x1000\n\t"                  /* SS:SP */
                     "push %1\n\tpush %0\n\tpush $0\n\t" REGISTERS_CLEAR "iret"
                     :
                     : "r"(V86_SEGMENT), "r"(start_flags | EFLAGS_VM)
                     : "memory");
    __builtin_unreachable();
}

static void enter(const struct fault_case *test)
{
    switch (test->mode) {
    case USER:
        user_enter(test->code, user_stack + sizeof user_stack, start_flags);
    case KERNEL:
        ring0_enter(test->code);
    case V86:
        v86_enter(test);
    }
}

static int edge_distance(uint32_t address)
{
    return address - (OPEN_END - 2 * PAGE_SIZE) <= 3 * PAGE_SIZE ? (int)(address - OPEN_END) : 0;
}

static void show_place(const struct fault_case *test)
{
    uint32_t start = test->mode == V86 ? 0 : (uint32_t)test->code;
    if (caught.eip - start <= (uint32_t)(test->end - test->code))
        print(" eip=+%u", caught.eip - start);
    else if (caught.eip == (uint32_t)gate_target)
        print(" eip=gate");
    else
        print(" eip=%x", caught.eip);
}

static void show_besides(const struct fault_case *test)
{
    uint32_t top = (uint32_t)user_stack + sizeof user_stack;

    if (test->shown & STRING)
        print(" si=%d di=%d cx=%u", edge_distance(caught.esi), edge_distance(caught.edi), caught.ecx);
    if (test->shown & STACK)
        print(" sp=%d", (int)(caught.esp - top));
    if (test->shown & MEMORY)
        print(" mem=%08x", *(const uint32_t *)(window_frames[3] + PAGE_SIZE - 4));
    if (test->shown & PTE)
        print(" pte=%02x", (cr4_read() & CR4_PAE ? (uint32_t)pae_window[FRESH_PAGE] : window_table[FRESH_PAGE]) &
                               (PAGE_ACCESSED | PAGE_DIRTY));
    if (test->shown & REGISTER)
        print(" ax=%x", caught.eax);
    if (test->shown & STEP)
        print(" bs=%u", caught_dr6 >> 14 & 1);
    if (test->shown & CODE_SEGMENT)
        print(" cs=%02x", caught.cs & 0xFFFF);
}

static void run(const struct fault_case *test)
{
    arrange();
    if (test->setup)
        test->setup();
    if (!context_save(&suite))
        enter(test);
    if (caught.vector == DONE_VECTOR)
        print("%s: done", test->name);
    else
        print("%s: #%u err=%x", test->name, caught.vector, caught.error);
    show_place(test);
    if (caught.vector == VECTOR_PF)
        print(" cr2=%x", caught_cr2);
    print(" fl=%x", caught.eflags & SHOWN_FLAGS);
    show_besides(test);
    print("\n");
}

static unsigned run_all(const struct fault_case *tests, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        run(&tests[i]);
    return count;
}

#define RUN_ALL(tests) run_all(tests, sizeof(tests) / sizeof(tests)[0])

static void paging_on(uint32_t cr3, uint32_t cr4)
{
    cr0_write(cr0_read() & ~CR0_PG);
    cr4_write(cr4);
    cr3_write(cr3);
    cr0_write(cr0_read() | CR0_PG);
}

static void descriptors_init(void)
{
    const uint32_t user = ACCESS_PRESENT | ACCESS_DPL(3u);
    gdt_set_flat(0x33, user | ACCESS_EXEC_ONLY);
    gdt_set_flat(0x3B, ACCESS_DPL(3u) | ACCESS_DATA);
    gdt_set_flat(0x43, user | ACCESS_DATA_RO);
    gdt_set_flat(0x4B, ACCESS_DPL(3u) | ACCESS_CODE);
    gdt_set_flat(STACK_RING1, ACCESS_PRESENT | ACCESS_DPL(1u) | ACCESS_DATA);
    gdt_set_flat(CODE_RING1, ACCESS_PRESENT | ACCESS_DPL(1u) | ACCESS_CODE);
    gdt_set_call_gate(0x5B, CODE_RING1, (void (*)(void))gate_target, user | ACCESS_CALL_GATE);
    gdt_set_call_gate(0x63, KERNEL_CS, (void (*)(void))gate_target, user | ACCESS_CALL_GATE);
    gdt_set_call_gate(0x68, KERNEL_CS, (void (*)(void))gate_target, ACCESS_PRESENT | ACCESS_CALL_GATE);
    gdt_set_call_gate(0x73, KERNEL_CS, (void (*)(void))gate_target, ACCESS_DPL(3u) | ACCESS_CALL_GATE);
}

int main(const char *command_line)
{
    const uint32_t cpuid_nx = 1u << 20;
    unsigned count;

    (void)command_line;
    gdt_init();
    descriptors_init();
    tss_init();
    interrupt_init();
    pic_init();
    for (unsigned vector = 0; vector < IRQ_BASE; vector++)
        interrupt_handle(vector, on_fault);
    interrupt_handle(CLOSED_VECTOR, on_fault);
    interrupt_handle(DONE_VECTOR, on_fault);
    interrupt_allow(DONE_VECTOR, 3);
    interrupt_allow(3, 3); /* #BP and #OF: INT3 and INTO check the gate like INT n */
    interrupt_allow(4, 3);
    fill_tables();
    paging_on((uint32_t)page_directory, CR4_PSE);
    count = RUN_ALL(cases) + RUN_ALL(large_cases);
    if (cpuid(0x80000000).eax < 0x80000001 || !(cpuid(0x80000001).edx & cpuid_nx)) {
        print("faults: %u cases, no NX in CPUID\n", count);
        return 0;
    }
    msr_write(MSR_EFER, msr_read(MSR_EFER) | EFER_NXE);
    paging_on((uint32_t)pae_pointers, CR4_PAE);
    count += RUN_ALL(pae_cases);
    print("faults: %u cases\n", count);
    return 0;
}
