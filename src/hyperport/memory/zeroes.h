/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Large tables that begin as zeros, of which little is used: pages of their own, which cost nothing until they are touched, and
 * go back to the host at once. From the heap they would be cleared as a whole, and leave holes that others do not fit into.
 */
#ifndef HYPERPORT_MEMORY_ZEROES_H
#define HYPERPORT_MEMORY_ZEROES_H

#include <stddef.h>
#include <sys/mman.h>

static inline void *hp_zeroes(size_t size)
{
    void *made = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    return made == MAP_FAILED ? NULL : made;
}

static inline void hp_unmap_zeroes(void *made, size_t size)
{
    if (made)
        munmap(made, size);
}

#endif
