# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
from libc.stdint cimport uint8_t, uint16_t, uint32_t
from hyperport.time.clock cimport Clock
from hyperport.lines.attention cimport Attention

cdef enum:
    QUEUE_FRAMES = 1024     # frames waiting for the guest: more than a TCP window; a power of two
    LEAST_FRAME = 14        # octets: destination, source, type (IEEE 802.3, 3.1.1)
    MOST_FRAME = 1518       # with 1,500 octets of data and a VLAN tag, without the FCS
    PADDED_FRAME = 60       # what a sender pads to, without the FCS (IEEE 802.3, 4A.2.3.2.3)
    LENGTH_BYTES = 4        # big-endian length before each frame on a stream

cdef enum:
    DAMAGE_NONE = 0
    DAMAGE_CRC = 1          # the FCS does not fit
    DAMAGE_ALIGNMENT = 2    # the same, and the last octet is not whole

cdef struct Frame:
    uint16_t length
    uint16_t damage
    uint8_t data[MOST_FRAME]

cdef class PacketBackend:
    cdef Frame queue[QUEUE_FRAMES]
    cdef uint32_t head, tail
    cdef Attention attention
    cdef Clock clock
    cdef object recorder
    cdef bint recording
    cdef public bint paced
    cdef readonly unsigned long long sent, received, lost_out, lost_in
    cdef inline bint holds(self) noexcept nogil:
        """Whether a frame waits; one that comes at this moment is announced."""
        return self.head != self.tail

    cdef Frame *front(self) noexcept nogil
    cdef void pop(self) noexcept nogil
    cdef bint transmit(self, const uint8_t *data, uint32_t length) noexcept nogil
    cdef bint send_recorded(self, const uint8_t *data, uint32_t length) noexcept with gil
    cdef bint send(self, const uint8_t *data, uint32_t length) noexcept nogil
    cdef bint put(self, const uint8_t *data, uint32_t length, uint32_t damage, bint pad) noexcept nogil
    cdef void announce(self) noexcept nogil
    cdef void record(self, const uint8_t *data, uint32_t length) noexcept

cdef class FdPackets(PacketBackend):
    cdef readonly int fd
    cdef readonly bint plugged
    cdef uint32_t generation
