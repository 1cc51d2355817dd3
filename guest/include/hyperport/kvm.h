/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The twelve port calls in KVM's convention: VMCALL with EAX = number, EBX, ECX, EDX = arguments, result in EAX, all other
 * registers and the flags kept. Numbers are HYPERPORT_CALL_BASE + VMI number, in a range that KVM does not use (abi.h).
 *   in    EBX port                       EAX value
 *   out   EBX port, ECX value            EAX 0
 *   ins, outs  EBX port, ECX count, EDX buffer (linear address)  EAX elements not transferred; the direction is DF's
 * An unknown number gives -HYPERPORT_KVM_ENOSYS, a call from CPL 1 to 3 -HYPERPORT_KVM_EPERM.
 * VMMCALL does the same, but hyperport_io_kvm (io.h) uses VMCALL on every CPU. */
#ifndef HYPERPORT_KVM_H
#define HYPERPORT_KVM_H

#include <stdbool.h>
#include <stdint.h>

#include "abi.h"
#include "io.h"

/* Is this KVM's convention with our calls in it? CPUID has KVM's signature at HYPERPORT_KVM_LEAF, ours at HYPERPORT_LEAF, and
 * the number base and version in EAX and EBX of HYPERPORT_LEAF_FEATURES. False on a CPU without CPUID. */
bool hyperport_kvm_detect(void);

/* hyperport_kvm_detect() was true: need slow_down_io not do anything? */
bool hyperport_kvm_delay_is_nop(void);

static inline uint32_t hyperport_kvm_call(uint32_t number, uint32_t first, uint32_t second, uint32_t third)
{
    uint32_t result;
    __asm__ volatile(".byte 0x0F, 0x01, 0xC1" /* VMCALL */
                     : "=a"(result)
                     : "0"(number), "b"(first), "c"(second), "d"(third)
                     : "memory");
    return result;
}

#endif
