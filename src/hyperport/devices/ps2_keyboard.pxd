# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
from libc.stdint cimport uint8_t, uint32_t

from hyperport.lines.saved cimport Saved

cdef enum:
    QUEUE_SIZE = 16     # scan-code bytes that a keyboard holds back
    SET3_CODES = 0x90
    REPLY_SIZE = 3      # the longest reply: FAh and two bytes of identification

cdef int set2_to_set1(uint8_t code, uint8_t *released) noexcept nogil

cdef class Ps2Keyboard(Saved):
    cdef uint8_t queue[QUEUE_SIZE + 1]
    cdef uint32_t queue_head, queue_used
    cdef uint8_t replies[REPLY_SIZE]
    cdef uint32_t reply_head, reply_used
    cdef uint8_t scan_set, leds, typematic, expecting, last_sent
    cdef uint8_t released, extended     # prefixes of the key that is half told
    cdef uint8_t skipping               # bytes of Pause that are still to come
    cdef uint8_t types[SET3_CODES]      # of the keys, by their codes of set 3
    cdef bint scanning
    cdef int next_byte(self) noexcept nogil
    cdef void receive(self, uint8_t byte) noexcept nogil
    cdef void set_defaults(self) noexcept nogil
    cdef void forget_keys(self) noexcept nogil
    cdef bint scans(self) noexcept nogil
    cdef bint enqueue_set3(self, uint8_t code) noexcept nogil
    cdef bint wait(self, uint8_t byte) noexcept nogil
    cdef void take_parameter(self, uint8_t command, uint8_t byte) noexcept nogil
    cdef bint enqueue(self, uint8_t code) noexcept nogil

    cdef inline void reply(self, uint8_t byte) noexcept nogil:
        self.replies[self.reply_used] = byte
        self.reply_used += 1
