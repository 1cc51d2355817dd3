/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Choosing a back end. */
#include <hyperport/exitless.h>
#include <hyperport/kvm.h>
#include <hyperport/lguest.h>
#include <hyperport/start.h>

static const char *const names[] = {
    [HYPERPORT_AUTO] = "auto", [HYPERPORT_NATIVE] = "native", [HYPERPORT_VMI] = "vmi",
    [HYPERPORT_KVM] = "kvm",   [HYPERPORT_LGUEST] = "lguest",
};

const char *hyperport_backend_name(enum hyperport_backend backend)
{
    return names[backend];
}

/* The next word of the line after at, or the first; null at the end. */
static const char *next_word(const char *at)
{
    while (*at && *at != ' ')
        at++;
    while (*at == ' ')
        at++;
    return *at ? at : NULL;
}

/* What follows prefix at the start of text, or null. */
static const char *after(const char *text, const char *prefix)
{
    for (; *prefix; prefix++, text++)
        if (*text != *prefix)
            return NULL;
    return text;
}

/* Does text begin with this name, and end there or at one of ' ' and ','? */
static bool names_it(const char *text, const char *name)
{
    const char *rest = after(text, name);
    return rest && (!*rest || *rest == ' ' || *rest == ',');
}

static bool parse_backend(const char *value, struct hyperport_io_config *config)
{
    for (unsigned i = 0; i < sizeof names / sizeof names[0]; i++)
        if (names_it(value, names[i])) {
            config->backend = (enum hyperport_backend)i;
            return true;
        }
    return false;
}

static void parse_vmi(const char *value, struct hyperport_io_config *config)
{
    while (*value && *value != ' ') {
        if (names_it(value, "disable_io_ops"))
            config->disable_io_ops = true;
        while (*value && *value != ' ' && *value++ != ',')
            ;
    }
}

bool hyperport_io_options(const char *command_line, struct hyperport_io_config *config)
{
    bool known = true;
    const char *word = *command_line == ' ' ? next_word(command_line) : command_line;

    for (; word && *word; word = next_word(word)) {
        const char *value;
        if ((value = after(word, "ops=")))
            known &= parse_backend(value, config);
        else if ((value = after(word, "vmi=")))
            parse_vmi(value, config);
        else if (names_it(word, "ops_indirect"))
            config->keep_indirect = true;
    }
    return known;
}

/* Each puts what it offers into ops and returns null, or says why it is not there. */

static const char *use_vmi(const struct hyperport_io_config *config, struct hyperport_io_result *result,
                           struct hyperport_io_ops *ops)
{
    const char *reason;
    const struct hyperport_vmi_rom *rom = hyperport_vmi_find(config->direct_map, &reason);
    if (!rom)
        return reason;
    if (hyperport_vmi_activate(rom))
        return "the VMI ROM's init failed";
    result->rom = rom;
    result->taken = hyperport_vmi_fill(rom, ops, config->disable_io_ops);
    return NULL;
}

static void use_calls(const struct hyperport_io_config *config, struct hyperport_io_result *result,
                      struct hyperport_io_ops *ops, const struct hyperport_io_ops *calls)
{
    if (config->disable_io_ops)
        return;
    *ops = *calls;
    result->taken = HYPERPORT_PORT_OPS;
}

static const char *use_kvm(const struct hyperport_io_config *config, struct hyperport_io_result *result,
                           struct hyperport_io_ops *ops)
{
    if (!hyperport_kvm_detect())
        return "CPUID shows no KVM with port calls";
    use_calls(config, result, ops, &hyperport_io_kvm);
    if (hyperport_kvm_delay_is_nop())
        ops->io_delay = hyperport_io_nop;
    return NULL;
}

static const char *use_lguest(const struct hyperport_io_config *config, struct hyperport_io_result *result,
                              struct hyperport_io_ops *ops)
{
    if (config->hardware_subarch != HYPERPORT_LGUEST_SUBARCH)
        return "the boot header does not say lguest";
    use_calls(config, result, ops, &hyperport_io_lguest);
    return NULL;
}

struct hyperport_io_result hyperport_io_init(const struct hyperport_io_config *config)
{
    struct hyperport_io_result result = {.backend = config->backend};
    struct hyperport_io_ops ops = hyperport_io_native;

    switch (config->backend) {
    case HYPERPORT_AUTO:
        result.backend = HYPERPORT_VMI; /* fall through */
    case HYPERPORT_VMI:
        result.reason = use_vmi(config, &result, &ops);
        break;
    case HYPERPORT_KVM:
        result.reason = use_kvm(config, &result, &ops);
        break;
    case HYPERPORT_LGUEST:
        result.reason = use_lguest(config, &result, &ops);
        break;
    case HYPERPORT_NATIVE:
        break;
    }
    if (result.reason)
        result.backend = HYPERPORT_NATIVE;
    hyperport_io_crossing = ops;
    if (result.backend != HYPERPORT_NATIVE && result.taken) /* the ROM's code looks by itself */
        result.exitless = hyperport_exitless_init(config->direct_map, result.rom ? NULL : &ops);
    hyperport_io = ops;
    if (result.exitless && !config->keep_indirect)
        hyperport_exitless_point_all();
    if (!config->keep_indirect)
        result.patch = hyperport_patch_all();
    return result;
}
