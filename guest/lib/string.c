/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The four functions that gcc may call even in freestanding code. */
#include "guest.h"

void *memcpy(void *to, const void *from, size_t count)
{
    void *start = to;
    __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(count) : : "memory");
    return start;
}

void *memmove(void *to, const void *from, size_t count)
{
    if ((uintptr_t)to - (uintptr_t)from >= count)
        return memcpy(to, from, count);
    uint8_t *last_to = (uint8_t *)to + count - 1;
    const uint8_t *last_from = (const uint8_t *)from + count - 1;
    __asm__ volatile("std; rep movsb; cld" : "+D"(last_to), "+S"(last_from), "+c"(count) : : "memory");
    return to;
}

void *memset(void *to, int value, size_t count)
{
    void *start = to;
    __asm__ volatile("rep stosb" : "+D"(to), "+c"(count) : "a"(value) : "memory");
    return start;
}

int memcmp(const void *left, const void *right, size_t count)
{
    const uint8_t *a = left, *b = right;
    for (; count; a++, b++, count--)
        if (*a != *b)
            return *a - *b;
    return 0;
}
