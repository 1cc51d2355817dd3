/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Finding a VMI ROM, and what it offers. */
#include <hyperport/vmi.h>

static bool licence_accepted(const char *text)
{
    static const char gpl[] = "GPL", v2[] = " v2";
    unsigned at = 0;
    for (; gpl[at]; at++)
        if (text[at] != gpl[at])
            return false;
    if (!text[at])
        return true;
    text += at;
    for (at = 0; at < sizeof v2; at++)
        if (text[at] != v2[at])
            return false;
    return true;
}

/* Why this ROM cannot be used, or null. */
static const char *refusal(const struct hyperport_vmi_rom *rom)
{
    if (rom->api_major != HYPERPORT_VMI_API_MAJOR)
        return "its API version is not 3";
    if (!rom->pci_offset)
        return "it has no PCI header";
    if (!rom->licence_offset)
        return "it has no licence";
    if (!licence_accepted((const char *)rom + rom->licence_offset))
        return "its licence is not the GPL";
    return NULL;
}

const struct hyperport_vmi_rom *hyperport_vmi_find(uintptr_t direct_map, const char **reason)
{
    *reason = "there is no VMI ROM";
    for (uintptr_t physical = HYPERPORT_VMI_SCAN_START; physical < HYPERPORT_VMI_SCAN_END; physical += HYPERPORT_VMI_SCAN_STEP) {
        const struct hyperport_vmi_rom *rom = (const struct hyperport_vmi_rom *)(direct_map + physical);
        if (rom->rom_signature != HYPERPORT_ROM_SIGNATURE || rom->vmi_signature != HYPERPORT_VMI_SIGNATURE)
            continue;
        const char *refused = refusal(rom);
        if (!refused)
            return rom;
        *reason = refused;
    }
    return NULL;
}

bool hyperport_vmi_vendor_known(const struct hyperport_vmi_rom *rom)
{
    const struct hyperport_vmi_pci *pci = (const struct hyperport_vmi_pci *)((const uint8_t *)rom + rom->pci_offset);
    return pci->vendor == HYPERPORT_VMI_PCI_VENDOR && pci->device == HYPERPORT_VMI_PCI_DEVICE;
}

unsigned hyperport_vmi_fill(const struct hyperport_vmi_rom *rom, struct hyperport_io_ops *ops, bool disable_io_ops)
{
    unsigned taken = 0;

    for (unsigned op = 0; op < HYPERPORT_PORT_OPS && !disable_io_ops; op++) {
        struct hyperport_vmi_relocation call = hyperport_vmi_relocation(rom, HYPERPORT_VMI_INL + op);
        if (call.type != HYPERPORT_VMI_RELOCATION_CALL_REL)
            continue;
        ops->entry[op] = (hyperport_io_entry)call.eip;
        taken++;
    }
    struct hyperport_vmi_relocation delay = hyperport_vmi_relocation(rom, HYPERPORT_VMI_IODelay);
    if (delay.type == HYPERPORT_VMI_RELOCATION_CALL_REL)
        ops->io_delay = (hyperport_io_entry)delay.eip;
    else if (delay.type == HYPERPORT_VMI_RELOCATION_NOP)
        ops->io_delay = hyperport_io_nop;
    return taken;
}
