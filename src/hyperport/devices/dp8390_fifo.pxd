# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
"""The half of the DP8390's FIFO that the guest can read: what loopback leaves in it (12.0; dp8390.pyx)."""

from libc.stdint cimport uint8_t, uint32_t

cdef enum:
    FIFO_SIZE = 8

cdef struct Fifo:
    uint8_t data[FIFO_SIZE]
    uint32_t at             # the byte that is read next


cdef inline uint8_t read_fifo(Fifo *fifo) noexcept nogil:
    cdef uint8_t byte = fifo.data[fifo.at]
    fifo.at = (fifo.at + 1) % FIFO_SIZE
    return byte


cdef inline void pass_through(Fifo *fifo, uint32_t number, const uint8_t *data, uint32_t count) noexcept nogil:
    """Bytes number, number + 1... of what comes round: each stays in the place before its own, modulo 8, until 8 are by."""
    cdef uint32_t i
    for i in range(count - min(count, <uint32_t> FIFO_SIZE), count):
        fifo.data[(number + i + FIFO_SIZE - 1) % FIFO_SIZE] = data[i]
