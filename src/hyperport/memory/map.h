/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The guest-physical address space as it is now, flat: ranges by address, which map.pyx makes of regions. Where no range
 * is, nobody is there. Whoever finds something by its physical address (page walks, DMA, TLB fills) asks here.
 */
#ifndef HYPERPORT_MEMORY_MAP_H
#define HYPERPORT_MEMORY_MAP_H

#include <stdint.h>
#include <stddef.h>

enum { HP_REGIONS = 64, HP_RANGES = 3 * HP_REGIONS };

enum hp_kind { HP_RAM, HP_ROM, HP_HOLE, HP_DEVICE };

struct hp_range {
    uint64_t first, end;        /* end: the first address behind it */
    uint8_t *host;              /* of first; NULL for device memory */
    uint64_t offset;            /* of first: in its block, or in its device's memory */
    uint32_t number;            /* of the block; for device memory the bus's number of the window */
    uint32_t kind;
};

struct hp_map {
    uint32_t count;
    struct hp_range ranges[HP_RANGES];
};

/* The range that holds address, or NULL. */
static inline const struct hp_range *hp_range_at(const struct hp_map *map, uint64_t address)
{
    uint32_t low = 0, high = map->count;

    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (address < map->ranges[middle].first)
            high = middle;
        else if (address >= map->ranges[middle].end)
            low = middle + 1;
        else
            return &map->ranges[middle];
    }
    return NULL;
}

/* Host address of length bytes of memory that can be read, or written, without anybody knowing; NULL where they are not that. */
static inline uint8_t *hp_host_at(const struct hp_map *map, uint64_t address, uint64_t length, int store)
{
    const struct hp_range *range = hp_range_at(map, address);

    if (!range || !range->host || (store && range->kind != HP_RAM) || length > range->end - address)
        return NULL;
    return range->host + (address - range->first);
}

#endif
