/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Entries (io.h) made of a call with EAX = number, EBX = port, ECX = value or count, EDX = buffer and the result in EAX.
 * Everything that the port instruction would not change is put back, flags included. */
#ifndef HYPERPORT_SDK_CALL_H
#define HYPERPORT_SDK_CALL_H

#include <hyperport/abi.h>
#include <hyperport/io.h>

#define CALL_NUMBER(name) [number] "i"(HYPERPORT_CALL(HYPERPORT_VMI_##name))

/* load: moves the value from EAX to ECX */
#define CALL_OUT(prefix, name, NAME, load, call)                 \
    __attribute__((naked)) static void prefix##_##name(void)     \
    {                                                            \
        __asm__("push %%eax\n\t"                                 \
                "push %%ebx\n\t"                                 \
                "push %%ecx\n\t" load "\n\t"                     \
                "movzwl %%dx, %%ebx\n\t"                         \
                "mov %[number], %%eax\n\t" call "\n\t"           \
                "pop %%ecx\n\t"                                  \
                "pop %%ebx\n\t"                                  \
                "pop %%eax\n\t"                                  \
                "ret"                                            \
                :                                                \
                : CALL_NUMBER(NAME));                            \
    }

/* merge: puts the result in EAX into the saved EAX on top of the stack */
#define CALL_IN(prefix, name, NAME, merge, call)                 \
    __attribute__((naked)) static void prefix##_##name(void)     \
    {                                                            \
        __asm__("push %%ebx\n\t"                                 \
                "push %%eax\n\t"                                 \
                "movzwl %%dx, %%ebx\n\t"                         \
                "mov %[number], %%eax\n\t" call "\n\t" merge "\n\t" \
                "pop %%eax\n\t"                                  \
                "pop %%ebx\n\t"                                  \
                "ret"                                            \
                :                                                \
                : CALL_NUMBER(NAME));                            \
    }

/* The result is how many elements are left. They are left to the instruction, which meets what stopped the call (a page
 * fault, as a rule) as the CPU does. A result above the count is an error: nothing was transferred. */
#define CALL_STRING(prefix, name, NAME, pointer, shift, call)    \
    __attribute__((naked)) static void prefix##_##name(void)     \
    {                                                            \
        __asm__("push %%eax\n\t"                                 \
                "push %%ebx\n\t"                                 \
                "push %%edx\n\t"                                 \
                "movzwl %%dx, %%ebx\n\t"                         \
                "mov " pointer ", %%edx\n\t"                     \
                "mov %[number], %%eax\n\t" call "\n\t"           \
                "pushf\n\t"                                      \
                "cmp %%ecx, %%eax\n\t"                           \
                "jbe 1f\n\t"                                     \
                "mov %%ecx, %%eax\n"                             \
                "1:\txchg %%eax, %%ecx\n\t"                      \
                "sub %%ecx, %%eax\n\t"                           \
                "shl $" #shift ", %%eax\n\t"                     \
                "testb $4, 1(%%esp)\n\t" /* DF, bit 10 */        \
                "jz 2f\n\t"                                      \
                "neg %%eax\n"                                    \
                "2:\tadd %%eax, " pointer "\n\t"                 \
                "popf\n\t"                                       \
                "pop %%edx\n\t"                                  \
                "pop %%ebx\n\t"                                  \
                "pop %%eax\n\t"                                  \
                "jecxz 3f\n\t"                                   \
                "rep " #name "\n"                                \
                "3:\tret"                                        \
                :                                                \
                : CALL_NUMBER(NAME));                            \
    }

/* The twelve entries and their table hyperport_io_PREFIX. call: text of the calling instruction. */
#define CALL_TABLE(prefix, call)                                                                                     \
    CALL_IN(prefix, inl, INL, "mov %%eax, (%%esp)", call)                                                            \
    CALL_IN(prefix, inb, INB, "mov %%al, (%%esp)", call)                                                             \
    CALL_IN(prefix, inw, INW, "mov %%ax, (%%esp)", call)                                                             \
    CALL_OUT(prefix, outl, OUTL, "mov %%eax, %%ecx", call)                                                           \
    CALL_OUT(prefix, outb, OUTB, "movzbl %%al, %%ecx", call)                                                         \
    CALL_OUT(prefix, outw, OUTW, "movzwl %%ax, %%ecx", call)                                                         \
    CALL_STRING(prefix, insl, INSL, "%%edi", 2, call)                                                                \
    CALL_STRING(prefix, insb, INSB, "%%edi", 0, call)                                                                \
    CALL_STRING(prefix, insw, INSW, "%%edi", 1, call)                                                                \
    CALL_STRING(prefix, outsl, OUTSL, "%%esi", 2, call)                                                              \
    CALL_STRING(prefix, outsb, OUTSB, "%%esi", 0, call)                                                              \
    CALL_STRING(prefix, outsw, OUTSW, "%%esi", 1, call)                                                              \
    const struct hyperport_io_ops hyperport_io_##prefix = {{{                                                        \
        prefix##_inl, prefix##_inb, prefix##_inw, prefix##_insl, prefix##_insb, prefix##_insw,                       \
        prefix##_outl, prefix##_outb, prefix##_outw, prefix##_outsl, prefix##_outsb, prefix##_outsw,                 \
        hyperport_io_native_delay,                                                                                   \
    }}}

#endif
