/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The twelve port calls in lguest's convention: INT 1Fh. Registers, numbers and results are those of kvm.h.
 * A kernel knows that it is lguest's guest from the Linux boot header. */
#ifndef HYPERPORT_LGUEST_H
#define HYPERPORT_LGUEST_H

#include <stdbool.h>
#include <stdint.h>

#include "abi.h"
#include "io.h"

/* The field hardware_subarch of the Linux boot parameters (protocol 2.07): HYPERPORT_LGUEST_SUBARCH for lguest's guests, 0 on a
 * PC. boot_parameters: what the loader left at ESI. */
static inline uint32_t hyperport_hardware_subarch(const void *boot_parameters)
{
    return *(const uint32_t *)((const uint8_t *)boot_parameters + HYPERPORT_LGUEST_SUBARCH_AT);
}

static inline uint32_t hyperport_lguest_call(uint32_t number, uint32_t first, uint32_t second, uint32_t third)
{
    uint32_t result;
    __asm__ volatile("int %1"
                     : "=a"(result)
                     : "i"(HYPERPORT_LGUEST_VECTOR), "0"(number), "b"(first), "c"(second), "d"(third)
                     : "memory");
    return result;
}

#endif
