# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
from libc.stdint cimport uint8_t, uint32_t, uint64_t

from hyperport.bus.access cimport Access
from hyperport.bus.port_bus cimport PortObserver
from hyperport.observe.filter_program cimport FilterProgram, Seen
from hyperport.bus.memo cimport MEMOS, Memo
from hyperport.observe.trace_format cimport SLOTS, SiteKey
from hyperport.time.clock cimport Clock

cdef struct Slot:
    SiteKey key
    uint32_t block          # in which it was told; 0: never

cdef class Recorder(PortObserver):
    cdef Clock clock
    cdef FilterProgram filter       # None: every access
    cdef bint filtered
    cdef bint by_tsc                # ticks are the TSC's, else the clock's ns
    cdef bint recording
    cdef int fd                     # -1: a ring
    cdef readonly int error         # errno that ended it, or 0
    cdef readonly uint64_t accesses     # that were recorded
    cdef readonly uint64_t lost         # that came after error
    cdef readonly uint64_t overwritten  # that have fallen out of the ring
    cdef readonly uint64_t written      # bytes
    cdef uint8_t *buffers           # count of size bytes each, of which one is being filled
    cdef uint32_t size, count, current, kept
    cdef uint8_t *at                # where the next record goes
    cdef uint8_t *end               # where none begins any more
    cdef uint64_t last              # ticks of the last record
    cdef uint64_t begin, begin_ns   # of the block at hand
    cdef uint64_t first             # number of its first access
    cdef uint32_t bare              # how many more may do without a reading of the clock
    cdef uint32_t most_bare
    cdef uint64_t dense             # ticks between two readings, below which it is read less often
    cdef uint64_t age               # ticks after which a block is written though it is not full
    cdef uint32_t block             # number of the block at hand, from 1
    cdef uint32_t turn
    cdef uint32_t naming            # another one whenever a slot may mean something else
    cdef object teller
    cdef Slot slots[SLOTS]
    cdef Memo memos[MEMOS]

    cdef uint64_t ticks(self) noexcept nogil
    cdef uint32_t slot_at(self, Access *access, Seen *seen) noexcept nogil
    cdef uint32_t slot_of(self, const SiteKey *key) noexcept nogil
    cdef uint32_t other_slot_of(self, const SiteKey *key, uint32_t slot) noexcept nogil
    cdef uint32_t timed(self, uint64_t now) noexcept nogil
    cdef bint turn_block(self) noexcept nogil
    cdef void string(self, const Access *access, const SiteKey *key) noexcept nogil
    cdef void line(self, int number, int level) noexcept nogil
    cdef void finish_block(self) noexcept nogil
    cdef void begin_block(self) noexcept nogil
    cdef ticks_in(self, uint64_t ns)
    cdef put_json(self, int fd, int kind, bytes text)
    cdef bint put(self, const uint8_t *data, size_t length) noexcept nogil
    cdef void fail(self, int error) noexcept nogil
