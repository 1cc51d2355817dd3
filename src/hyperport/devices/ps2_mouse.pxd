# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
from libc.stdint cimport int32_t, uint8_t, uint32_t

from hyperport.lines.saved cimport Saved

cdef enum:
    REPLIES = 4     # bytes of the longest reply: FAh and three of status
    PACKET = 4      # of a movement with the wheel
    WAITING = 16    # bytes of packets that wait to be sent

cdef class Ps2Mouse(Saved):
    cdef uint8_t replies[REPLIES]
    cdef uint32_t reply_head, reply_used
    cdef uint8_t queue[WAITING]
    cdef uint32_t queue_head, queue_used
    cdef uint8_t buttons, told_buttons
    cdef int32_t dx, dy, dz         # moved since the last packet
    cdef uint8_t kind               # of what it says to be: 0 two axes, 3 with a wheel, 4 with five buttons
    cdef uint8_t knock[3]           # the last sample rates
    cdef uint8_t rate, resolution, expecting, last_sent
    cdef bint remote, wrap, reporting, doubled
    cdef int next_byte(self) noexcept nogil
    cdef void receive(self, uint8_t byte) noexcept nogil
    cdef void command(self, uint8_t byte) noexcept nogil
    cdef void parameter(self, uint8_t command, uint8_t byte) noexcept nogil
    cdef void reply(self, uint8_t byte) noexcept nogil
    cdef void defaults(self) noexcept nogil
    cdef bint owes(self) noexcept nogil
    cdef bint moved(self) noexcept nogil
    cdef void make_packet(self) noexcept nogil
    cdef void feel(self, uint8_t buttons, int right, int up, int wheel) noexcept nogil
    cdef void push(self, uint8_t byte) noexcept nogil
