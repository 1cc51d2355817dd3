/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Finding the tables of exitless port I/O, and telling the VMM of this image's sequences. */
#include <stddef.h>

#include <hyperport/exitless.h>
#include <hyperport/io.h>

volatile uint8_t *hyperport_exitless;

/* Tables in which nothing is declared, as far as accesses in place look into them. */
extern uint8_t hyperport_exitless_nothing[];
uint8_t hyperport_exitless_nothing[HYPERPORT_EXITLESS_LEFT + 4] __attribute__((aligned(4)));

/* The linker's, around the section; null if no sequence is linked in. */
extern const struct hyperport_sequence __start_hyperport_sequences[] __attribute__((weak));
extern const struct hyperport_sequence __stop_hyperport_sequences[] __attribute__((weak));
extern const uint32_t __start_hyperport_bases[] __attribute__((weak));
extern const uint32_t __stop_hyperport_bases[] __attribute__((weak));

/* exitless_calls.S: entries that look first, and where they go on if a crossing is needed; in the order of enum hyperport_op. */
extern const hyperport_io_entry hyperport_exitless_entries[HYPERPORT_PORT_OPS];
hyperport_io_entry hyperport_exitless_crossing[HYPERPORT_PORT_OPS];

static volatile uint32_t *word_at(volatile uint8_t *tables, uint32_t offset)
{
    return (volatile uint32_t *)(uintptr_t)(tables + offset);
}

volatile uint8_t *hyperport_exitless_find(uintptr_t direct_map)
{
    volatile uint8_t *tables = (volatile uint8_t *)(direct_map + HYPERPORT_EXITLESS_BASE);
    if (*word_at(tables, HYPERPORT_EXITLESS_MAGIC) != HYPERPORT_EXITLESS_MAGIC_NUMBER ||
        *word_at(tables, HYPERPORT_EXITLESS_VERSION) != HYPERPORT_EXITLESS_VERSION_NUMBER)
        return NULL;
    return tables;
}

bool hyperport_exitless_register(volatile uint8_t *tables, const struct hyperport_sequence *first,
                                 const struct hyperport_sequence *end)
{
    volatile uint32_t *count = word_at(tables, HYPERPORT_EXITLESS_SITE_COUNT);
    volatile uint32_t *record = word_at(tables, HYPERPORT_EXITLESS_SITES) + 3 * *count;

    if (*count > HYPERPORT_EXITLESS_SITE_LIMIT || (size_t)(end - first) > HYPERPORT_EXITLESS_SITE_LIMIT - *count)
        return false;
    for (const struct hyperport_sequence *one = first; one < end; one++, record += 3) {
        if (one->length > HYPERPORT_EXITLESS_SITE_LONGEST)
            return false;
        record[0] = one->first;
        record[1] = one->length;
        record[2] = one->restart;
    }
    *count += (uint32_t)(end - first); /* from here on they count */
    return true;
}

void hyperport_exitless_point(const uint32_t *first, const uint32_t *end)
{
    for (const uint32_t *place = first; place < end; place++)
        __builtin_memcpy((void *)(uintptr_t)*place, &hyperport_exitless, sizeof(uint32_t)); /* in one store */
}

void hyperport_exitless_point_all(void)
{
    hyperport_exitless_point(__start_hyperport_bases, __stop_hyperport_bases);
}

bool hyperport_exitless_init(uintptr_t direct_map, struct hyperport_io_ops *ops)
{
    volatile uint8_t *tables = hyperport_exitless_find(direct_map);

    if (!tables || !hyperport_exitless_register(tables, __start_hyperport_sequences, __stop_hyperport_sequences))
        return false;
    for (unsigned op = 0; ops && op < HYPERPORT_PORT_OPS; op++) {
        hyperport_exitless_crossing[op] = ops->entry[op];
        if (hyperport_exitless_entries[op])
            ops->entry[op] = hyperport_exitless_entries[op];
    }
    hyperport_exitless = tables;
    return true;
}
