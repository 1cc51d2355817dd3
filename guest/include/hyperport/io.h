/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Port I/O for drivers of an i386 kernel: the usual accessors, each of which the kernel can redirect at start-up.
 *
 * Every accessor is one site: an indirect call through the table hyperport_io. hyperport_io_init (start.h) fills the table
 * with the entries of what it found (the CPU itself, a VMI ROM, KVM or lguest) and then rewrites the sites (patch.h): on bare
 * hardware into the port instruction itself, else into a direct call. Before that call they work, and are native.
 *
 * The entries of the table are not C functions. They are called with the registers of the instruction that they stand for,
 * and leave every other register and all flags alone, as the instruction does (docs/abi.md):
 *   in    EDX port                         out  AL, AX or EAX; the rest of EAX is kept
 *   out   EDX port, AL, AX or EAX value
 *   ins   EDX port, EDI buffer, ECX count  out  EDI advanced, ECX 0
 *   outs  EDX port, ESI buffer, ECX count  out  ESI advanced, ECX 0
 * Only DX is the port. DF gives the direction; in C it is clear.
 *
 * C99 with GNU extensions, for 32-bit x86; freestanding. Argument order is that of PC drivers: value first, then port. */
#ifndef HYPERPORT_IO_H
#define HYPERPORT_IO_H

#include <stddef.h>
#include <stdint.h>

#ifdef HYPERPORT_IO_INLINE
#include "exitless.h"
#endif

/* The members of the table, in the order of their VMI call numbers 49 to 60, and the delay. */
enum hyperport_op {
    HYPERPORT_OP_INL,
    HYPERPORT_OP_INB,
    HYPERPORT_OP_INW,
    HYPERPORT_OP_INSL,
    HYPERPORT_OP_INSB,
    HYPERPORT_OP_INSW,
    HYPERPORT_OP_OUTL,
    HYPERPORT_OP_OUTB,
    HYPERPORT_OP_OUTW,
    HYPERPORT_OP_OUTSL,
    HYPERPORT_OP_OUTSB,
    HYPERPORT_OP_OUTSW,
    HYPERPORT_OP_IO_DELAY,
    HYPERPORT_OPS,
    HYPERPORT_PORT_OPS = HYPERPORT_OP_IO_DELAY, /* how many of them are port instructions */
};

typedef void (*hyperport_io_entry)(void);

struct hyperport_io_ops {
    union {
        struct {
            hyperport_io_entry inl, inb, inw;
            hyperport_io_entry insl, insb, insw;
            hyperport_io_entry outl, outb, outw;
            hyperport_io_entry outsl, outsb, outsw;
            hyperport_io_entry io_delay; /* no arguments; may change EAX, ECX, EDX and flags */
        };
        hyperport_io_entry entry[HYPERPORT_OPS]; /* by enum hyperport_op */
    };
};

extern struct hyperport_io_ops hyperport_io;              /* in use now */
extern struct hyperport_io_ops hyperport_io_crossing;     /* for accesses in place that need a crossing; its delay is unused */
extern const struct hyperport_io_ops hyperport_io_native; /* the instructions; the delay is a write to port 0x80 */
extern const struct hyperport_io_ops hyperport_io_kvm;    /* the same by VMCALL; the delay is native (kvm.h) */
extern const struct hyperport_io_ops hyperport_io_lguest; /* the same by INT 1Fh; the delay is native (lguest.h) */

/* Entries for io_delay: a write to port 0x80, and nothing at all. */
void hyperport_io_native_delay(void);
void hyperport_io_nop(void);

/* Text of a site: the call, filled up with NOPs to the five bytes of CALL rel32 (the assembler's "true" is -1), and its record
 * for patch.h. Operands: [entry] the member, [number] its enum hyperport_op. */
#define HYPERPORT_SITE                                                         \
    "771:\tcall *%[entry]\n"                                                   \
    "772:\t.fill -((772b - 771b) < 5) * (5 - (772b - 771b)), 1, 0x90\n"        \
    "773:\t.pushsection hyperport_sites, \"a\"\n\t"                            \
    ".balign 4\n\t"                                                            \
    ".long 771b\n\t"                                                           \
    ".byte %c[number], 773b - 771b\n\t"                                        \
    ".short 0\n\t"                                                             \
    ".popsection"

#define HYPERPORT_SITE_OPERANDS(member, op) [entry] "m"(hyperport_io.member), [number] "i"(HYPERPORT_OP_##op)

/* Waits as long as old hardware needs between two accesses. */
static inline void slow_down_io(void)
{
    __asm__ volatile(HYPERPORT_SITE : : HYPERPORT_SITE_OPERANDS(io_delay, IO_DELAY) : "eax", "ecx", "edx", "memory");
}

/* One access of the accessors, in their variables: by the site, or in place (exitless.h), with a site of hyperport_io_crossing. */
#ifdef HYPERPORT_IO_INLINE
#define HYPERPORT_CROSSING_OPERANDS(member, op) \
    [entry] "m"(hyperport_io_crossing.member), [number] "i"(HYPERPORT_OPS + HYPERPORT_OP_##op)
#define HYPERPORT_CONSTANT(sequence) HYPERPORT_INLINE(sequence, "%c[port]", "mov %[port], %%edx\n\t" HYPERPORT_SITE)
#define HYPERPORT_OUT(suffix, SUFFIX, bytes)                                                                 \
    uint32_t hyperport_cell, hyperport_head;                                                                 \
    if (__builtin_constant_p(port))                                                                          \
        __asm__ volatile(HYPERPORT_CONSTANT(HYPERPORT_POST_CONSTANT(bytes))                                  \
                         : [cell] "=&r"(hyperport_cell), [head] "=&d"(hyperport_head)                        \
                         : HYPERPORT_CROSSING_OPERANDS(out##suffix, OUT##SUFFIX), "a"(value), [port] "i"(port) \
                         : "memory", "cc");                                                                  \
    else                                                                                                     \
        __asm__ volatile(HYPERPORT_INLINE(HYPERPORT_POST_DX(bytes), "0", HYPERPORT_SITE)                     \
                         : [cell] "=&q"(hyperport_cell), [head] "=&r"(hyperport_head)                        \
                         : HYPERPORT_CROSSING_OPERANDS(out##suffix, OUT##SUFFIX), "a"(value), "d"((uint32_t)port) \
                         : "memory", "cc")
#define HYPERPORT_IN(suffix, SUFFIX, bytes)                                                                  \
    uint32_t hyperport_cell;                                                                                 \
    if (bytes == 1 && __builtin_constant_p(port))                                                            \
        __asm__ volatile(HYPERPORT_CONSTANT(HYPERPORT_READ_BYTE)                                             \
                         : "=a"(value)                                                                       \
                         : HYPERPORT_CROSSING_OPERANDS(in##suffix, IN##SUFFIX), [port] "i"(port)             \
                         : "edx", "memory", "cc");                                                           \
    else                                                                                                     \
        __asm__ volatile(HYPERPORT_INLINE(HYPERPORT_READ_DX(bytes), "0", HYPERPORT_SITE)                     \
                         : "=a"(value), [cell] "=&q"(hyperport_cell)                                         \
                         : HYPERPORT_CROSSING_OPERANDS(in##suffix, IN##SUFFIX), "d"((uint32_t)port)          \
                         : "memory", "cc")
#else
#define HYPERPORT_OUT(suffix, SUFFIX, bytes)                                                                 \
    __asm__ volatile(HYPERPORT_SITE                                                                          \
                     :                                                                                       \
                     : HYPERPORT_SITE_OPERANDS(out##suffix, OUT##SUFFIX), "a"(value), "d"((uint32_t)port)    \
                     : "memory")
#define HYPERPORT_IN(suffix, SUFFIX, bytes)                                                                  \
    __asm__ volatile(HYPERPORT_SITE                                                                          \
                     : "=a"(value)                                                                           \
                     : HYPERPORT_SITE_OPERANDS(in##suffix, IN##SUFFIX), "d"((uint32_t)port)                  \
                     : "memory")
#endif

/* For each width:
 *   native_*        always the instruction, whatever the table says
 *   *_local         through the table
 *   *               the same: _local is only different on machines whose ports lie on several nodes
 *   *_p, *_local_p  followed by slow_down_io
 * The memory clobber keeps memory that a device looks at in order with the access. */
#define HYPERPORT_ACCESSORS(suffix, SUFFIX, type, bytes)                                                     \
    static inline void native_out##suffix(type value, uint16_t port)                                         \
    {                                                                                                        \
        __asm__ volatile("out" #suffix " %0, %1" : : "a"(value), "Nd"(port) : "memory");                     \
    }                                                                                                        \
    static inline type native_in##suffix(uint16_t port)                                                      \
    {                                                                                                        \
        type value;                                                                                          \
        __asm__ volatile("in" #suffix " %1, %0" : "=a"(value) : "Nd"(port) : "memory");                      \
        return value;                                                                                        \
    }                                                                                                        \
    static inline void native_outs##suffix(uint16_t port, const void *buffer, size_t count)                  \
    {                                                                                                        \
        __asm__ volatile("rep outs" #suffix : "+S"(buffer), "+c"(count) : "d"(port) : "memory");             \
    }                                                                                                        \
    static inline void native_ins##suffix(uint16_t port, void *buffer, size_t count)                         \
    {                                                                                                        \
        __asm__ volatile("rep ins" #suffix : "+D"(buffer), "+c"(count) : "d"(port) : "memory");              \
    }                                                                                                        \
    static inline void out##suffix##_local(type value, uint16_t port)                                    \
    {                                                                                                    \
        HYPERPORT_OUT(suffix, SUFFIX, bytes);                                                            \
    }                                                                                                    \
    static inline type in##suffix##_local(uint16_t port)                                                 \
    {                                                                                                    \
        uint32_t value;                                                                                  \
        HYPERPORT_IN(suffix, SUFFIX, bytes);                                                             \
        return (type)value;                                                                              \
    }                                                                                                    \
    static inline void out##suffix(type value, uint16_t port)                                                \
    {                                                                                                        \
        out##suffix##_local(value, port);                                                                    \
    }                                                                                                        \
    static inline type in##suffix(uint16_t port)                                                             \
    {                                                                                                        \
        return in##suffix##_local(port);                                                                     \
    }                                                                                                        \
    static inline void out##suffix##_local_p(type value, uint16_t port)                                      \
    {                                                                                                        \
        out##suffix##_local(value, port);                                                                    \
        slow_down_io();                                                                                      \
    }                                                                                                        \
    static inline type in##suffix##_local_p(uint16_t port)                                                   \
    {                                                                                                        \
        type value = in##suffix##_local(port);                                                               \
        slow_down_io();                                                                                      \
        return value;                                                                                        \
    }                                                                                                        \
    static inline void out##suffix##_p(type value, uint16_t port)                                            \
    {                                                                                                        \
        out##suffix##_local_p(value, port);                                                                  \
    }                                                                                                        \
    static inline type in##suffix##_p(uint16_t port)                                                         \
    {                                                                                                        \
        return in##suffix##_local_p(port);                                                                   \
    }                                                                                                        \
    static inline void outs##suffix(uint16_t port, const void *buffer, size_t count)                         \
    {                                                                                                        \
        __asm__ volatile(HYPERPORT_SITE                                                                      \
                         : "+S"(buffer), "+c"(count)                                                         \
                         : HYPERPORT_SITE_OPERANDS(outs##suffix, OUTS##SUFFIX), "d"((uint32_t)port)          \
                         : "memory");                                                                        \
    }                                                                                                        \
    static inline void ins##suffix(uint16_t port, void *buffer, size_t count)                                \
    {                                                                                                        \
        __asm__ volatile(HYPERPORT_SITE                                                                      \
                         : "+D"(buffer), "+c"(count)                                                         \
                         : HYPERPORT_SITE_OPERANDS(ins##suffix, INS##SUFFIX), "d"((uint32_t)port)            \
                         : "memory");                                                                        \
    }

HYPERPORT_ACCESSORS(b, B, uint8_t, 1)
HYPERPORT_ACCESSORS(w, W, uint16_t, 2)
HYPERPORT_ACCESSORS(l, L, uint32_t, 4)

#undef HYPERPORT_ACCESSORS

#endif
