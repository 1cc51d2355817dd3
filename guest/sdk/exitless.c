/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Finding the tables of exitless port I/O, and telling the VMM of this image's sequences. */
#include <stddef.h>

#include <hyperport/exitless.h>
#include <hyperport/io.h>

volatile uint8_t *hyperport_exitless;

/* What accesses in place read before they are pointed to the tables: nothing is declared. A byte of the port is an index. */
extern uint16_t hyperport_exitless_nothing[];
uint16_t hyperport_exitless_nothing[256];

/* The linker's, around the section; null if no sequence is linked in. */
extern const struct hyperport_sequence __start_hyperport_sequences[] __attribute__((weak));
extern const struct hyperport_sequence __stop_hyperport_sequences[] __attribute__((weak));
extern const struct hyperport_place __start_hyperport_places[] __attribute__((weak));
extern const struct hyperport_place __stop_hyperport_places[] __attribute__((weak));

/* exitless_calls.S: entries that look first, and where they go on if a crossing is needed; in the order of enum hyperport_op. */
extern const hyperport_io_entry hyperport_exitless_entries[HYPERPORT_PORT_OPS];

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

/* What the guest registers is laid down as it is. */
#define FIELD_IS(member, field) \
    _Static_assert(offsetof(struct hyperport_sequence, member) == HYPERPORT_EXITLESS_SITE_##field, #member)
FIELD_IS(first, FIRST);
FIELD_IS(restart, RESTART);
FIELD_IS(length, LENGTH);
FIELD_IS(port, PORT);
_Static_assert(sizeof(struct hyperport_sequence) == HYPERPORT_EXITLESS_SITE_ROW, "a row");

static struct hyperport_sequence *sites_of(volatile uint8_t *tables)
{
    return (struct hyperport_sequence *)(uintptr_t)(tables + HYPERPORT_EXITLESS_SITES);
}

bool hyperport_exitless_register(volatile uint8_t *tables, const struct hyperport_sequence *first,
                                 const struct hyperport_sequence *end)
{
    volatile uint32_t *count = word_at(tables, HYPERPORT_EXITLESS_SITE_COUNT);
    struct hyperport_sequence *row = sites_of(tables) + *count;

    if (*count > HYPERPORT_EXITLESS_SITE_LIMIT || (size_t)(end - first) > HYPERPORT_EXITLESS_SITE_LIMIT - *count)
        return false;
    for (const struct hyperport_sequence *one = first; one < end; one++) {
        if (one->length > HYPERPORT_EXITLESS_SITE_LONGEST)
            return false;
        *row++ = *one;
    }
    __asm__ volatile("" : : : "memory");
    *count += (uint32_t)(end - first); /* from here on they count */
    return true;
}

/* The number of the registered sequence that this place is in; HYPERPORT_EXITLESS_SITE_LIMIT: of none. */
static uint32_t site_of(uint32_t at)
{
    const struct hyperport_sequence *row = sites_of(hyperport_exitless);
    uint32_t count = *word_at(hyperport_exitless, HYPERPORT_EXITLESS_SITE_COUNT);

    for (uint32_t number = 0; number < count; number++)
        if (at - row[number].first < row[number].length)
            return number;
    return HYPERPORT_EXITLESS_SITE_LIMIT;
}

/* The cell of a port; one of the undeclared if its group has none, so that it always crosses. */
static uint32_t cell_of(uint16_t port)
{
    const volatile uint16_t *directory = (volatile uint16_t *)(uintptr_t)(hyperport_exitless + HYPERPORT_EXITLESS_DIRECTORY);
    return directory[256 + (port >> 8)] + (port & 0xFFu);
}

static uint32_t value_for(const struct hyperport_place *place)
{
    uint32_t value = (uint32_t)(uintptr_t)hyperport_exitless + place->add;

    switch (place->kind) {
    case HYPERPORT_PLACE_POSTED:
        return value + cell_of(place->port);
    case HYPERPORT_PLACE_ANSWER:
        return value + 4 * cell_of(place->port);
    case HYPERPORT_PLACE_HEAD:
        return place->add + HYPERPORT_EXITLESS_ENTRY_NUMBER * site_of(place->at);
    }
    return value;
}

bool hyperport_exitless_point(const struct hyperport_place *first, const struct hyperport_place *end)
{
    for (const struct hyperport_place *place = first; place < end; place++)
        if (site_of(place->at) == HYPERPORT_EXITLESS_SITE_LIMIT)
            return false;
    while (end-- > first) { /* backwards: what an access looks at first comes last, and lets it go on to the others */
        uint32_t value = value_for(end);
        __builtin_memcpy((void *)(uintptr_t)end->at, &value, sizeof value); /* in one store */
    }
    return true;
}

void hyperport_exitless_point_all(void)
{
    hyperport_exitless_point(__start_hyperport_places, __stop_hyperport_places);
}

bool hyperport_exitless_init(uintptr_t direct_map, struct hyperport_io_ops *ops)
{
    volatile uint8_t *tables = hyperport_exitless_find(direct_map);

    if (!tables || !hyperport_exitless_register(tables, __start_hyperport_sequences, __stop_hyperport_sequences))
        return false;
    for (unsigned op = 0; op < HYPERPORT_PORT_OPS; op++) {
        uint32_t call = word_at(tables, HYPERPORT_EXITLESS_CALLS)[op];
        if (!ops && call)
            hyperport_io_crossing.entry[op] = (hyperport_io_entry)(direct_map + call);
        else if (ops && hyperport_exitless_entries[op])
            ops->entry[op] = hyperport_exitless_entries[op];
    }
    hyperport_exitless = tables;
    return true;
}
