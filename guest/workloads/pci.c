/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A scan of PCI configuration space.
 * Drives: configuration mechanism 1, ports 0xCF8 and 0xCFC.
 * Unit of work: one doubleword of one function of bus 0: its address out, its value in. Per function the identification; if
 * there is one, the rest of its header, too. Functions go round 0 to 255.
 * Checksum: all values. */
#include "workload.h"

#define PCI_ADDRESS 0xCF8
#define PCI_DATA 0xCFC
#define PCI_ENABLE 0x80000000u
#define PCI_FUNCTIONS 256u
#define PCI_HEADER_BYTES 64u
#define PCI_NOBODY 0xFFFFFFFFu

static uint32_t config_read(uint32_t function, uint32_t offset)
{
    outl(PCI_ENABLE | function << 8 | offset, PCI_ADDRESS);
    uint32_t value = inl(PCI_DATA);
    checksum_long(value);
    accesses += 2;
    return value;
}

static const char *prepare(const char *command_line)
{
    (void)command_line;
    outl(PCI_ENABLE, PCI_ADDRESS);
    return inl(PCI_ADDRESS) == PCI_ENABLE ? NULL : "no device: no PCI configuration mechanism 1";
}

static void run(uint32_t units)
{
    uint32_t function = 0, offset = 0;
    while (units--) {
        bool nobody = config_read(function, offset) == PCI_NOBODY && !offset;
        offset += 4;
        if (nobody || offset == PCI_HEADER_BYTES) {
            function = (function + 1) % PCI_FUNCTIONS;
            offset = 0;
        }
    }
}

const struct workload workload = {"pci", 20000, prepare, run};
