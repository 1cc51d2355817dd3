/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The guest's side of VMI, API 3.0: the option ROM, its two entry points, and its port calls.
 *
 * The order is: find, activate (once, interrupts off), then ask for as many relocations as wanted. */
#ifndef HYPERPORT_VMI_H
#define HYPERPORT_VMI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "abi.h"
#include "io.h"

/* The first 144 bytes. Offsets are from the ROM's start. */
struct hyperport_vmi_rom {
    uint16_t rom_signature;
    uint8_t rom_length; /* in 512 bytes */
    uint8_t rom_entry[4];
    uint8_t pad0;
    uint32_t vmi_signature; /* "cVmi" */
    uint8_t api_minor;
    uint8_t api_major;
    uint8_t jump_slots;
    uint8_t reserved1;
    uint32_t virtual_top; /* the kernel must stay below this address; 0: nothing is reserved */
    uint16_t reserved2;
    uint16_t licence_offset; /* of a string */
    uint16_t pci_offset;     /* of a struct hyperport_vmi_pci; never 0 */
    uint16_t pnp_offset;     /* 0: none */
    uint32_t pad3;
    uint8_t reserved3[96];
    uint8_t init[8];           /* code */
    uint8_t get_relocation[8]; /* code */
} __attribute__((packed));

struct hyperport_vmi_pci {
    uint8_t signature[4]; /* "PCIR" */
    uint16_t vendor, device;
    uint16_t vpd_offset;
    uint16_t length;
    uint8_t revision;
    uint8_t class_code[3];
    uint16_t image_length;
    uint8_t rom_minor, rom_major;
    uint8_t code_type;
    uint8_t last_image;
    uint16_t reserved;
} __attribute__((packed));

/* How a call is to be made: HYPERPORT_VMI_RELOCATION_NONE natively, for the ROM does not offer it; _CALL_REL by CALL eip,
 * _JUMP_REL by JMP eip; _NOP not at all. */
struct hyperport_vmi_relocation {
    uint32_t eip; /* a virtual address, in the alias by which the ROM was asked */
    uint8_t type;
};

/* Looks for a ROM that this header can use: signatures, API major 3, a PCI header, licence GPL or GPL v2.
 * direct_map is the virtual address of physical address 0, through which C0000h to DFFFFh can be read and executed.
 * Returns null if there is none, and then *reason says why, naming the last ROM that was refused. */
const struct hyperport_vmi_rom *hyperport_vmi_find(uintptr_t direct_map, const char **reason);

/* Is the ROM's PCI header the one that VMware registered? If not, the ROM can be used all the same. */
bool hyperport_vmi_vendor_known(const struct hyperport_vmi_rom *rom);

/* Calls the ROM's init. Interrupts off, flat segments. 0: VMI is on. Else the guest must stay native.
 * The hypervisor may change CPL in here: read the privilege level from CS again. */
static inline uint32_t hyperport_vmi_activate(const struct hyperport_vmi_rom *rom)
{
    uint32_t status;
    __asm__ volatile("call *%1" : "=a"(status) : "r"(rom->init) : "ecx", "edx", "cc", "memory");
    return status;
}

/* Any number may be asked for; one that the ROM does not know is NONE. */
static inline struct hyperport_vmi_relocation hyperport_vmi_relocation(const struct hyperport_vmi_rom *rom, uint32_t number)
{
    uint32_t eip, type;
    __asm__ volatile("call *%2"
                     : "=a"(eip), "=d"(type)
                     : "r"(rom->get_relocation), "0"(number)
                     : "ecx", "cc", "memory");
    return (struct hyperport_vmi_relocation){eip, (uint8_t)type};
}

/* Puts the port calls that the ROM offers as CALL_REL into ops, IODelay also as NOP, and leaves the other members as they are.
 * disable_io_ops: none of the twelve, only the delay. Returns how many of the twelve were taken. */
unsigned hyperport_vmi_fill(const struct hyperport_vmi_rom *rom, struct hyperport_io_ops *ops, bool disable_io_ops);

/* The calls by hand, for code that keeps stub addresses of its own. stub: the eip of a CALL_REL relocation. Each says exactly
 * what the call changes; EBX, EBP and the flags never do. */
#define HYPERPORT_STUB_CALLS(suffix, type)                                                                                   \
    static inline void hyperport_vmi_out##suffix(hyperport_io_entry stub, type value, uint16_t port)                        \
    {                                                                                                                       \
        __asm__ volatile("call *%0" : : "r"(stub), "a"(value), "d"((uint32_t)port) : "memory");                             \
    }                                                                                                                       \
    static inline type hyperport_vmi_in##suffix(hyperport_io_entry stub, uint16_t port)                                     \
    {                                                                                                                       \
        type value;                                                                                                         \
        __asm__ volatile("call *%1" : "=a"(value) : "r"(stub), "d"((uint32_t)port) : "memory");                             \
        return value;                                                                                                       \
    }                                                                                                                       \
    static inline void hyperport_vmi_outs##suffix(hyperport_io_entry stub, uint16_t port, const void *buffer, size_t count) \
    {                                                                                                                       \
        __asm__ volatile("call *%2" : "+S"(buffer), "+c"(count) : "r"(stub), "d"((uint32_t)port) : "memory");               \
    }                                                                                                                       \
    static inline void hyperport_vmi_ins##suffix(hyperport_io_entry stub, uint16_t port, void *buffer, size_t count)        \
    {                                                                                                                       \
        __asm__ volatile("call *%2" : "+D"(buffer), "+c"(count) : "r"(stub), "d"((uint32_t)port) : "memory");               \
    }

HYPERPORT_STUB_CALLS(b, uint8_t)
HYPERPORT_STUB_CALLS(w, uint16_t)
HYPERPORT_STUB_CALLS(l, uint32_t)

#undef HYPERPORT_STUB_CALLS

#endif
