# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
"""Which pages of the DP8390's receive ring are whose (7.0). What is put into them: dp8390.pyx."""

from libc.stdint cimport uint8_t, uint32_t

cdef enum:
    PAGE = 256
    HEADER = 4              # bytes before each packet in the ring
    FCS = 4                 # bytes of the frame check sequence

cdef struct Ring:
    uint8_t pstart, pstop   # its first page, and the one after its last
    uint8_t bnry            # the page that the chip must not enter
    uint8_t curr            # where the next packet goes


cdef inline uint8_t page_after(const Ring *ring, uint8_t page) noexcept nogil:
    page += 1
    return ring.pstart if page == ring.pstop else page


cdef inline uint32_t pages_of(uint32_t length) noexcept nogil:
    """How many pages a frame takes, with header and FCS. length: without them."""
    return (HEADER + length + FCS + PAGE - 1) // PAGE


cdef inline uint8_t page_behind(const Ring *ring, uint32_t length) noexcept nogil:
    """CURR after a frame of that length."""
    cdef uint8_t page = ring.curr
    for _ in range(pages_of(length)):
        page = page_after(ring, page)
    return page


cdef inline bint fits(const Ring *ring, uint32_t length) noexcept nogil:
    """Whether the pages of a frame, and the page after them, are free of BNRY.

    BNRY just before PSTART, where Linux' driver puts it when it subtracts 1 from PSTART, is the ring's last page.
    """
    cdef uint8_t page = ring.curr
    cdef uint8_t bound = ring.bnry
    if <uint8_t> (bound + 1) == ring.pstart:
        bound = ring.pstop - 1
    for _ in range(pages_of(length)):
        page = page_after(ring, page)
        if page == bound:
            return False
    return True
