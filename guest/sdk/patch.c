/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Rewriting sites. */
#include <stddef.h>

#include <hyperport/io.h>
#include <hyperport/patch.h>

#define NOP 0x90

/* The linker's, around the section; null if no site is linked in. */
extern const struct hyperport_site __start_hyperport_sites[] __attribute__((weak));
extern const struct hyperport_site __stop_hyperport_sites[] __attribute__((weak));

static const struct {
    uint8_t length, code[3];
} instructions[HYPERPORT_OPS] = {
    [HYPERPORT_OP_INL] = {1, {0xED}},
    [HYPERPORT_OP_INB] = {1, {0xEC}},
    [HYPERPORT_OP_INW] = {2, {0x66, 0xED}},
    [HYPERPORT_OP_INSL] = {2, {0xF3, 0x6D}},
    [HYPERPORT_OP_INSB] = {2, {0xF3, 0x6C}},
    [HYPERPORT_OP_INSW] = {3, {0xF3, 0x66, 0x6D}},
    [HYPERPORT_OP_OUTL] = {1, {0xEF}},
    [HYPERPORT_OP_OUTB] = {1, {0xEE}},
    [HYPERPORT_OP_OUTW] = {2, {0x66, 0xEF}},
    [HYPERPORT_OP_OUTSL] = {2, {0xF3, 0x6F}},
    [HYPERPORT_OP_OUTSB] = {2, {0xF3, 0x6E}},
    [HYPERPORT_OP_OUTSW] = {3, {0xF3, 0x66, 0x6F}},
    [HYPERPORT_OP_IO_DELAY] = {2, {0xE6, 0x80}},
};

static void fill_nop(uint8_t *code, unsigned from, unsigned length)
{
    while (from < length)
        code[from++] = NOP;
}

void hyperport_patch_branch(uint8_t *site, unsigned length, uint8_t opcode, uint32_t target)
{
    uint32_t relative = target - (uint32_t)site - HYPERPORT_SITE_SMALLEST;
    site[0] = opcode;
    for (unsigned i = 0; i < 4; i++)
        site[1 + i] = (uint8_t)(relative >> 8 * i);
    fill_nop(site, HYPERPORT_SITE_SMALLEST, length);
}

static void patch_site(uint8_t *code, unsigned length, hyperport_io_entry entry, unsigned op)
{
    if (entry == hyperport_io_native.entry[op]) {
        for (unsigned i = 0; i < instructions[op].length; i++)
            code[i] = instructions[op].code[i];
        fill_nop(code, instructions[op].length, length);
    } else if (entry == hyperport_io_nop) {
        fill_nop(code, 0, length);
    } else {
        hyperport_patch_branch(code, length, HYPERPORT_CALL_REL32, (uint32_t)entry);
    }
}

struct hyperport_patch_result hyperport_patch(const struct hyperport_site *first, const struct hyperport_site *end)
{
    struct hyperport_patch_result result = {0, 0};
    uint32_t flags;

    __asm__ volatile("pushf\n\tpop %0\n\tcli" : "=r"(flags) : : "memory");
    for (const struct hyperport_site *site = first; site < end; site++) {
        result.sites++;
        unsigned op = site->op % HYPERPORT_OPS;
        if (site->op >= 2 * HYPERPORT_OPS || site->length < HYPERPORT_SITE_SMALLEST)
            continue;
        patch_site((uint8_t *)site->address, site->length,
                   site->op == op ? hyperport_io.entry[op] : hyperport_io_crossing.entry[op], op);
        result.patched++;
    }
    __asm__ volatile("push %0\n\tpopf" : : "r"(flags) : "memory", "cc");
    return result;
}

struct hyperport_patch_result hyperport_patch_all(void)
{
    return hyperport_patch(__start_hyperport_sites, __stop_hyperport_sites);
}
