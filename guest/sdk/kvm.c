/* SPDX-License-Identifier: GPL-2.0-or-later */
/* KVM's convention: detection by CPUID, and its entries. */
#include <hyperport/kvm.h>

#include "call.h"

#define EFLAGS_ID (1u << 21) /* can be changed if there is CPUID */

CALL_TABLE(kvm, ".byte 0x0F, 0x01, 0xC1");

struct leaf {
    uint32_t eax, ebx, ecx, edx;
};

static struct leaf cpuid(uint32_t number)
{
    struct leaf leaf;
    __asm__ volatile("cpuid" : "=a"(leaf.eax), "=b"(leaf.ebx), "=c"(leaf.ecx), "=d"(leaf.edx) : "a"(number), "c"(0));
    return leaf;
}

static bool cpuid_exists(void)
{
    uint32_t before, after;
    __asm__ volatile("pushf\n\t"
                     "pushf\n\t"
                     "pop %0\n\t"
                     "mov %0, %1\n\t"
                     "xor %2, %1\n\t"
                     "push %1\n\t"
                     "popf\n\t"
                     "pushf\n\t"
                     "pop %1\n\t"
                     "popf"
                     : "=&r"(before), "=&r"(after)
                     : "i"(EFLAGS_ID));
    return (before ^ after) & EFLAGS_ID;
}

bool hyperport_kvm_detect(void)
{
    if (!cpuid_exists())
        return false;
    struct leaf kvm = cpuid(HYPERPORT_KVM_LEAF);
    if (kvm.ebx != HYPERPORT_KVM_SIGNATURE_EBX || kvm.ecx != HYPERPORT_KVM_SIGNATURE_ECX ||
        kvm.edx != HYPERPORT_KVM_SIGNATURE_EDX)
        return false;
    struct leaf own = cpuid(HYPERPORT_LEAF);
    if (own.ebx != HYPERPORT_SIGNATURE_EBX || own.ecx != HYPERPORT_SIGNATURE_ECX || own.edx != HYPERPORT_SIGNATURE_EDX)
        return false;
    struct leaf calls = cpuid(HYPERPORT_LEAF_FEATURES);
    return own.eax >= HYPERPORT_LEAF_FEATURES && calls.eax == HYPERPORT_CALL_BASE && calls.ebx == HYPERPORT_ABI_VERSION;
}

bool hyperport_kvm_delay_is_nop(void)
{
    return cpuid(HYPERPORT_KVM_LEAF).eax >= HYPERPORT_KVM_LEAF_FEATURES &&
           (cpuid(HYPERPORT_KVM_LEAF_FEATURES).eax & HYPERPORT_KVM_FEATURE_NOP_IO_DELAY);
}
