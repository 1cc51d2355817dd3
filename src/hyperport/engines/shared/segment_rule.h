/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What limit and type of a segment allow (SDM vol. 3, 5.3 to 5.5). Flags are bits of a descriptor's second word. */
#ifndef HYPERPORT_SEGMENT_RULE_H
#define HYPERPORT_SEGMENT_RULE_H

#include <stdint.h>

enum {
    SEGMENT_WRITABLE = 1 << 9,          /* data; readable for code */
    SEGMENT_DOWN = 1 << 10,             /* data: expand-down */
    SEGMENT_CODE = 1 << 11,
    SEGMENT_NOT_SYSTEM = 1 << 12,
    SEGMENT_PRESENT = 1 << 15,
    SEGMENT_BIG = 1 << 22,
};

/*
 * May `size` bytes at `offset` be read or written? limit: in bytes. kinds: in protected mode, without virtual-8086 mode.
 * An access that wraps in a segment of 4 GiB may fault or not (5.3); here it does not, whether or not checks are made.
 */
static inline int hp_segment_allows(uint32_t limit, uint32_t flags, int kinds, uint32_t offset, uint32_t size, int write)
{
    uint32_t last;

    if (kinds) {
        if (!(flags & SEGMENT_NOT_SYSTEM) || !(flags & SEGMENT_PRESENT))
            return 0;                   /* null */
        if (flags & SEGMENT_CODE ? write || !(flags & SEGMENT_WRITABLE) : write && !(flags & SEGMENT_WRITABLE))
            return 0;
        if (!(flags & SEGMENT_CODE) && flags & SEGMENT_DOWN) {
            last = flags & SEGMENT_BIG ? 0xFFFFFFFF : 0xFFFF;
            return offset > limit && offset <= last && size - 1 <= last - offset;
        }
    }
    return offset <= limit && (size - 1 <= limit - offset || limit == 0xFFFFFFFF);
}

#endif
