# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
"""Which pages of host memory hold something: what a saved machine keeps of them."""
from libc.stdint cimport uint8_t, uint64_t
from libc.string cimport memcmp

cdef enum:
    PAGE_BYTES = 4096


cdef inline bint is_zero(const uint8_t *page) noexcept nogil:
    """Whether PAGE_BYTES bytes are all zeros: the first is, and each is what the one before it is."""
    return page[0] == 0 and memcmp(page, page + 1, PAGE_BYTES - 1) == 0


cdef inline list used_pages(const uint8_t *base, uint64_t first, uint64_t end):
    """The runs of pages, of those from first to before end, that are not all zeros: (first page, how many), in order."""
    cdef uint64_t page, start = first
    cdef list runs = []
    for page in range(first, end):
        if is_zero(base + page * PAGE_BYTES):
            if page > start:
                runs.append((start, page - start))
            start = page + 1
    if end > start:
        runs.append((start, end - start))
    return runs
