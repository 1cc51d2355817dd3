/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Control registers, flags, the time stamp counter and CPUID. Bits are named as in the SDM, vol. 3, chapter 2. */
#ifndef HYPERPORT_GUEST_CPU_H
#define HYPERPORT_GUEST_CPU_H

#include <stdint.h>

enum {
    EFLAGS_CF = 1 << 0,
    EFLAGS_TF = 1 << 8,
    EFLAGS_IF = 1 << 9,
    EFLAGS_DF = 1 << 10,
    EFLAGS_IOPL3 = 3 << 12,
    EFLAGS_NT = 1 << 14,
    EFLAGS_RF = 1 << 16,
    EFLAGS_VM = 1 << 17,
    EFLAGS_AC = 1 << 18,
    EFLAGS_ID = 1 << 21,
};

#define CR0_MP (1u << 1)
#define CR0_EM (1u << 2)
#define CR0_TS (1u << 3)
#define CR0_NE (1u << 5)
#define CR0_WP (1u << 16)
#define CR0_PG (1u << 31)

#define CR4_TSD (1u << 2)
#define CR4_DE (1u << 3)
#define CR4_PSE (1u << 4)
#define CR4_PAE (1u << 5)

#define MSR_SYSENTER_CS 0x174u
#define MSR_SYSENTER_ESP 0x175u
#define MSR_SYSENTER_EIP 0x176u
#define MSR_EFER 0xC0000080u
#define EFER_NXE (1u << 11)

#define PAGE_SIZE 4096u
#define PAGE_PRESENT 0x01u
#define DR6_HITS 0xFu /* B0 to B3 */
#define DR7_GLOBAL_0 (1u << 1)
#define DR7_IO_0 (2u << 16)
#define DR7_LENGTH_0_SHIFT 18
#define PAGE_WRITABLE 0x02u
#define PAGE_USER 0x04u
#define PAGE_ACCESSED 0x20u
#define PAGE_DIRTY 0x40u
#define PAGE_LARGE 0x80u

#define CONTROL_REGISTER(name)                                           \
    static inline uint32_t name##_read(void)                             \
    {                                                                    \
        uint32_t value;                                                  \
        __asm__ volatile("mov %%" #name ", %0" : "=r"(value));           \
        return value;                                                    \
    }                                                                    \
    static inline void name##_write(uint32_t value)                      \
    {                                                                    \
        __asm__ volatile("mov %0, %%" #name : : "r"(value) : "memory");  \
    }

CONTROL_REGISTER(cr0)
CONTROL_REGISTER(cr2)
CONTROL_REGISTER(cr3)
CONTROL_REGISTER(cr4)
CONTROL_REGISTER(dr0)
CONTROL_REGISTER(dr6)
CONTROL_REGISTER(dr7)

static inline uint32_t eflags_read(void)
{
    uint32_t value;
    __asm__ volatile("pushf; pop %0" : "=r"(value));
    return value;
}

static inline void interrupts_on(void)
{
    __asm__ volatile("sti" : : : "memory");
}

static inline void interrupts_off(void)
{
    __asm__ volatile("cli" : : : "memory");
}

/* Sleeps with interrupts on until one came; returns with interrupts off. No interrupt can slip in before the HLT. */
static inline void wait_for_interrupt(void)
{
    __asm__ volatile("sti; hlt; cli" : : : "memory");
}

static inline void page_invalidate(const volatile void *address)
{
    __asm__ volatile("invlpg (%0)" : : "r"(address) : "memory");
}

static inline uint64_t tsc_read(void)
{
    uint64_t value;
    __asm__ volatile("rdtsc" : "=A"(value) : : "memory");
    return value;
}

static inline uint64_t msr_read(uint32_t number)
{
    uint64_t value;
    __asm__ volatile("rdmsr" : "=A"(value) : "c"(number));
    return value;
}

static inline void msr_write(uint32_t number, uint64_t value)
{
    __asm__ volatile("wrmsr" : : "c"(number), "A"(value) : "memory");
}

struct cpuid {
    uint32_t eax, ebx, ecx, edx;
};

static inline struct cpuid cpuid(uint32_t leaf)
{
    struct cpuid result;
    __asm__ volatile("cpuid" : "=a"(result.eax), "=b"(result.ebx), "=c"(result.ecx), "=d"(result.edx) : "a"(leaf), "c"(0));
    return result;
}

/* value / divisor, where the quotient is known to fit in 32 bits (the CPU raises #DE if not). */
static inline uint32_t divide_64_32(uint64_t value, uint32_t divisor)
{
    uint32_t quotient, rest;
    __asm__("divl %4" : "=a"(quotient), "=d"(rest) : "a"((uint32_t)value), "d"((uint32_t)(value >> 32)), "rm"(divisor) : "cc");
    return quotient;
}

static inline uint64_t divide_64(uint64_t value, uint32_t divisor)
{
    uint32_t high = (uint32_t)(value >> 32);
    uint32_t low = divide_64_32((uint64_t)(high % divisor) << 32 | (uint32_t)value, divisor);
    return (uint64_t)(high / divisor) << 32 | low;
}

#endif
