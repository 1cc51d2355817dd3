/* SPDX-License-Identifier: GPL-2.0-or-later */
/* From start.S to main(): what the multiboot loader left, the command line, and the exit port. */
#include "guest.h"
#include "io.h"

#define MULTIBOOT_LOADER_MAGIC 0x2BADB002u
#define MULTIBOOT_HAS_COMMAND_LINE (1u << 2)
#define MULTIBOOT_HAS_MODULES (1u << 3)
#define DEBUG_EXIT_PORT 0xF4

struct multiboot_info {
    uint32_t flags, mem_lower, mem_upper, boot_device, command_line, modules_count, modules;
};

static const uint32_t *modules; /* start, end, string, reserved of each */
static uint32_t modules_count;

__attribute__((noreturn)) void start_main(uint32_t magic, const struct multiboot_info *info);

void start_main(uint32_t magic, const struct multiboot_info *info)
{
    const char *command_line = "";

    serial_init();
    if (magic != MULTIBOOT_LOADER_MAGIC) {
        print("not started by a multiboot loader (eax %08x)\n", magic);
        guest_exit(126);
    }
    if (info->flags & MULTIBOOT_HAS_COMMAND_LINE)
        command_line = (const char *)info->command_line;
    if (info->flags & MULTIBOOT_HAS_MODULES) {
        modules = (const uint32_t *)info->modules;
        modules_count = info->modules_count;
    }
    guest_exit(main(command_line));
}

const void *module_find(uint32_t index, size_t *size)
{
    if (index >= modules_count)
        return NULL;
    *size = modules[4 * index + 1] - modules[4 * index];
    return (const void *)modules[4 * index];
}

void guest_exit(int value)
{
    serial_flush();
    for (;;) {
        outb((uint8_t)value, DEBUG_EXIT_PORT);
        __asm__ volatile("cli; hlt");
    }
}

/* What follows prefix at the start of some word, or null. */
static const char *find_prefix(const char *line, const char *prefix)
{
    for (const char *word = line; *word; word++) {
        if (word != line && word[-1] != ' ')
            continue;
        size_t length = 0;
        while (prefix[length] && word[length] == prefix[length])
            length++;
        if (!prefix[length])
            return word + length;
    }
    return NULL;
}

const char *option_after(const char *command_line, const char *word)
{
    const char *rest = command_line;
    while ((rest = find_prefix(rest, word)) && *rest != ' ' && *rest)
        ;
    if (!rest)
        return NULL;
    while (*rest == ' ')
        rest++;
    return *rest ? rest : NULL;
}

bool option_given(const char *command_line, const char *word)
{
    const char *rest = command_line;
    while ((rest = find_prefix(rest, word)))
        if (*rest == ' ' || !*rest)
            return true;
    return false;
}

uint32_t number_parse(const char *text)
{
    uint32_t value = 0;
    while (*text >= '0' && *text <= '9')
        value = value * 10 + (uint32_t)(*text++ - '0');
    return value;
}

uint32_t option_number(const char *command_line, const char *name, uint32_t otherwise)
{
    const char *rest = find_prefix(command_line, name);
    return rest && *rest == '=' ? number_parse(rest + 1) : otherwise;
}
