# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
"""--trace: every port access, with time and place, into a file or a ring, without the GIL. Read by trace_decode.pyx.

An access whose site (port, direction, size, path, CS:EIP, CPL) was named in this block before takes two words of 32 bits:
which site, with its value, and the ticks since the record before. A block stands for itself: it names its sites, and has
two readings of both clocks, between which a tick's time is found. So any block may be lost without harm to another.

A full block is written by the vCPU's own thread, by one write(): from the page cache that costs less for each access than
handing it to a thread, blocks guest and disk alike when the disk cannot follow, and cannot wait for the GIL, which the
vCPU's thread may hold (decision 0038). A guest that makes few accesses has its block written 20 ms after it began, at the
next access or at a turn of the run loop in HLT, so that little is missing after SIGKILL. What the host does not take is
told at once, and counted.
"""

from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.errno cimport EINTR, errno
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t, uintptr_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset
from posix.unistd cimport write

from hyperport.bus.access cimport Access
from hyperport.bus.port_bus cimport PortObserver
from hyperport.lines.listener cimport Listener
from hyperport.observe.filter_program cimport FilterProgram, Seen, look_at, place_of
from hyperport.bus.memo cimport Memo, is_known, memo_of, remember, token_of, what_of
from hyperport.observe.trace_format cimport (
    ACCESSES,
    BARE,
    DESCRIPTION,
    ENDING,
    FLAG_CPL_SHIFT,
    FLAG_CROSSED,
    FLAG_EXACT,
    FLAG_PATH_SHIFT,
    FLAG_PLACED,
    FLAG_SIZE_SHIFT,
    FLAG_SPACE_SHIFT,
    FORMAT_VERSION,
    HEAD_AGAIN,
    HEAD_KIND_SHIFT,
    HEAD_LEVEL_SHIFT,
    HEAD_MORE,
    HEAD_VALUE_SHIFT,
    LINE,
    LONG,
    MOST_PIECE,
    SHORT,
    SITE,
    STRING,
    TIME,
    BlockHeader,
    SiteKey,
    checksum,
)
from hyperport.time.clock cimport Clock, RealClock

from hyperport.errors import ConfigError
from hyperport.time.tsc import is_trusted

cdef extern from *:
    """
    #include <stdint.h>
    #include <x86intrin.h>
    static inline uint64_t hp_tsc(void) { return __rdtsc(); }
    """
    uint64_t hp_tsc() nogil

cdef enum:
    BLOCK = 256 << 10           # bytes of a block in a file
    SMALLEST_BLOCK = 8 << 10
    BLOCKS_OF_RING = 16
    ROOM = 64                   # more than the records of one access that is no string
    AGE_NS = 20000000           # after which a block is written though it is not full
    DENSE_NS = 2000             # between two readings of the clock
    MOST_TICKS = 0xFFFFFFFF

SMALLEST_RING = SMALLEST_BLOCK * 2
LARGEST_RING = 1 << 40


cdef inline uint32_t log2_of(uint32_t size) noexcept nogil:
    return size >> 1 if size < 8 else 3     # 1, 2, 4, 8 -> 0, 1, 2, 3


def require_ring(size):
    """Raise ConfigError for a ring of so many bytes that there cannot be; None: there is to be none."""
    if size is not None and not SMALLEST_RING <= size <= LARGEST_RING:
        raise ConfigError(f"trace: a ring of {size} bytes: give {SMALLEST_RING >> 10}K to {LARGEST_RING >> 30}G; a plain "
                          "number counts MiB")


cdef class Recorder(PortObserver):
    """An observer for PortBus.observe().

    fd: an open file or pipe; or None, with ring: bytes of the last blocks, which save() writes. clock: the machine's.
    described: JSON as bytes, which goes in front. filter: a FilterProgram. every: of accesses
    that come close together, every how many has its own reading of the clock. tell(errno): called once, on the vCPU's thread,
    when the host takes no more; the guest runs on, and what comes later is counted in lost.
    """

    def __init__(self, Clock clock not None, fd=None, *, ring=None, bytes described=b"{}", FilterProgram filter=None,
                 uint32_t every=4, tell=None):
        if (fd is None) == (ring is None):
            raise ConfigError("a recorder has a file or a ring")
        require_ring(ring)
        self.clock = clock
        self.filter, self.filtered = filter, filter is not None
        self.by_tsc = isinstance(clock, RealClock) and is_trusted()
        self.fd = -1 if fd is None else fd
        self.teller = tell
        self.size = BLOCK if ring is None else max(SMALLEST_BLOCK, min(BLOCK, ring // BLOCKS_OF_RING))
        self.count = 1 if ring is None else ring // self.size
        self.buffers = <uint8_t *> malloc(<size_t> self.size * self.count)
        if self.buffers == NULL:
            raise ConfigError(f"trace: there is no memory for a ring of {self.size * self.count} bytes: give less")
        self.age = AGE_NS
        if self.by_tsc:
            self.age = self.ticks_in(AGE_NS)
            self.dense = self.age * DENSE_NS // AGE_NS
            self.most_bare = every - 1
        self.recording = True
        if fd is not None:
            self.put_json(self.fd, DESCRIPTION, described)
        self.begin_block()

    def __dealloc__(self):
        free(self.buffers)

    cdef ticks_in(self, uint64_t ns):
        """About how many ticks of the TSC that is; a block's own readings say it exactly."""
        cdef uint64_t began = self.clock.now(), ticks = hp_tsc()
        while self.clock.now() < began + 100000:
            pass
        return (hp_tsc() - ticks) * ns // (self.clock.now() - began)

    cdef inline uint64_t ticks(self) noexcept nogil:
        return hp_tsc() if self.by_tsc else self.clock.now()

    # Recording.

    cdef void memory_access(self, Access *access) noexcept nogil:
        self.access(access)

    cdef void access(self, Access *access) noexcept nogil:
        cdef Seen seen
        cdef SiteKey key
        cdef uint32_t *record
        cdef uint32_t slot, ticks
        cdef uint64_t now
        look_at(&seen, access)
        if self.filtered and not self.filter.passes(&seen):
            return
        if not self.recording:
            self.lost += 1
            return
        if access.count != 1 or access.size > 4:
            key_of(&seen, &key)
            self.string(access, &key)
            return
        if self.at > self.end and not self.turn_block():
            self.lost += 1
            return
        if self.bare:
            self.bare -= 1
            slot = self.slot_at(access, &seen) | BARE << HEAD_KIND_SHIFT
            record = <uint32_t *> self.at
            self.at += 4
        else:
            now = self.ticks()
            if now - self.begin > self.age and self.fd >= 0:
                if not self.turn_block():
                    self.lost += 1
                    return
                now = self.begin
            self.bare = self.most_bare if now - self.last < self.dense else 0
            slot = self.slot_at(access, &seen)
            ticks = self.timed(now)
            record = <uint32_t *> self.at
            record[1] = ticks
            self.at += 8
        if access.size == 1:
            record[0] = slot | SHORT << HEAD_KIND_SHIFT | <uint32_t> access.data[0] << HEAD_VALUE_SHIFT
        elif access.size == 2:
            record[0] = slot | SHORT << HEAD_KIND_SHIFT | <uint32_t> (<uint16_t *> access.data)[0] << HEAD_VALUE_SHIFT
        else:
            record[0] = slot | LONG << HEAD_KIND_SHIFT
            memcpy(self.at, access.data, 4)
            self.at += 4
        self.accesses += 1

    cdef inline uint32_t slot_at(self, Access *access, Seen *seen) noexcept nogil:
        """The slot of the access's site, which this instruction may have had in this block before."""
        cdef uint64_t what = what_of(access)
        cdef uintptr_t token = token_of(access)
        cdef Memo *memo = memo_of(self.memos, token)
        cdef SiteKey key
        cdef uint32_t slot
        if token and is_known(memo, token, access, what) and memo.block == self.naming:
            return memo.found
        key_of(seen, &key)
        slot = self.slot_of(&key)
        if token:
            remember(memo, token, access, what)
            memo.found, memo.block = slot, self.naming
        return slot

    cdef inline uint32_t slot_of(self, const SiteKey *key) noexcept nogil:
        """The slot that this block knows the site by; one that is new to it is told first."""
        cdef uint32_t hashed = key.eip ^ key.address << 12 ^ <uint32_t> key.flags << 4 ^ <uint32_t> key.cs << 20
        cdef uint32_t slot = hashed * <uint32_t> 0x9E3779B1 >> 20
        cdef Slot *entry = &self.slots[slot]
        if is_site(entry, key, self.block):
            return slot
        return self.other_slot_of(key, slot)

    cdef uint32_t other_slot_of(self, const SiteKey *key, uint32_t slot) noexcept nogil:
        """It is not in the slot where it is looked for first: then in the one beside, or it takes one of the two."""
        cdef Slot *beside = &self.slots[slot ^ 1]
        cdef uint32_t *record
        if is_site(beside, key, self.block):
            return slot ^ 1
        if self.slots[slot].block == self.block and beside.block == self.block:     # both are taken: in turn
            self.turn ^= 1
            slot ^= self.turn
            self.naming += 1
        elif self.slots[slot].block == self.block:
            slot ^= 1
        self.slots[slot].key = key[0]
        self.slots[slot].block = self.block
        record = <uint32_t *> self.at
        record[0] = slot | SITE << HEAD_KIND_SHIFT
        memcpy(&record[1], key, sizeof(SiteKey))
        self.at += 16
        return slot

    cdef inline uint32_t timed(self, uint64_t now) noexcept nogil:
        """The ticks of the next record, which comes behind a TIME record if they are too many."""
        cdef uint64_t passed = now - self.last      # a TSC that went back counts as far forward, too
        self.last = now
        if passed > MOST_TICKS:
            (<uint32_t *> self.at)[0] = TIME << HEAD_KIND_SHIFT
            memcpy(self.at + 4, &now, 8)
            self.at += 12
            passed = 0
        return <uint32_t> passed

    cdef void string(self, const Access *access, const SiteKey *key) noexcept nogil:
        """Any number of elements, in as many records as it takes."""
        cdef uint32_t left = access.count, again = 0, piece, length, ticks, slot
        cdef uint32_t most = min(<uint32_t> MOST_PIECE, self.size >> 1) // access.size
        cdef const uint8_t *data = access.data
        cdef uint32_t *record
        while True:
            piece = min(left, most)
            length = piece * access.size
            if self.at + length > self.end and not self.turn_block():
                self.lost += 1
                return
            slot = self.slot_of(key)
            ticks = self.timed(self.ticks())
            left -= piece
            record = <uint32_t *> self.at
            record[0] = slot | STRING << HEAD_KIND_SHIFT | again | (HEAD_MORE if left else 0)
            record[1] = ticks
            record[2] = piece
            self.at += 12
            memset(self.at + (length & ~<uint32_t> 3), 0, 4)
            memcpy(self.at, data, length)
            self.at += (length + 3) & ~<uint32_t> 3
            if not left:
                break
            data += length
            again = HEAD_AGAIN
        self.accesses += 1

    cdef void line(self, int number, int level) noexcept nogil:
        """An interrupt line has changed."""
        cdef uint32_t *record
        cdef uint32_t ticks
        if not self.recording or (self.at > self.end and not self.turn_block()):
            return
        self.bare = 0
        ticks = self.timed(self.ticks())
        record = <uint32_t *> self.at
        record[0] = (LINE << HEAD_KIND_SHIFT | <uint32_t> (number & 0xFF) << HEAD_VALUE_SHIFT
                     | <uint32_t> (level & 1) << HEAD_LEVEL_SHIFT)
        record[1] = ticks
        self.at += 8

    # Blocks.

    cdef bint turn_block(self) noexcept nogil:
        """Finish the block at hand and begin one. False: the host has not taken it."""
        self.finish_block()
        self.begin_block()
        return self.recording

    cdef void begin_block(self) noexcept nogil:
        """Begin one in the buffer at hand, which is empty or may be overwritten."""
        cdef uint8_t *buffer = self.buffers + <size_t> self.current * self.size
        self.block += 1
        self.naming += 1
        self.first = self.accesses
        self.begin_ns = self.clock.now()
        self.begin = self.last = self.ticks()
        self.bare = 0
        self.at = buffer + sizeof(BlockHeader)
        self.end = buffer + self.size - ROOM

    cdef void finish_block(self) noexcept nogil:
        """Write the block at hand, or keep it in the ring and forget the oldest; one without a record is left out."""
        cdef BlockHeader *header
        cdef uint8_t *buffer = self.buffers + <size_t> self.current * self.size
        cdef size_t length = self.at - buffer
        if length == sizeof(BlockHeader):
            return
        header = <BlockHeader *> buffer
        describe_block(header, ACCESSES, buffer + sizeof(BlockHeader), length - sizeof(BlockHeader))
        header.accesses = <uint32_t> (self.accesses - self.first)
        header.first = self.first
        header.begin_ticks, header.begin_ns = self.begin, self.begin_ns
        header.end_ns = self.clock.now()
        header.end_ticks = self.ticks()
        if self.fd >= 0:
            if self.put(buffer, length):
                self.written += length
            else:
                self.lost += self.accesses - self.first
                self.accesses = self.first
            return
        self.current = (self.current + 1) % self.count
        if self.kept < self.count - 1:
            self.kept += 1
        else:                               # the next one to be filled holds the oldest block
            header = <BlockHeader *> (self.buffers + <size_t> self.current * self.size)
            self.overwritten += header.accesses

    cdef bint put(self, const uint8_t *data, size_t length) noexcept nogil:
        cdef ssize_t wrote
        while length:
            wrote = write(self.fd, data, length)
            if wrote < 0:
                if errno == EINTR:
                    continue
                self.fail(errno)
                return False
            data += wrote
            length -= <size_t> wrote
        return True

    cdef void fail(self, int error) noexcept nogil:
        self.error = error
        self.recording = False
        with gil:
            if self.teller is not None:
                self.teller(error)

    cdef put_json(self, int fd, int kind, bytes text):
        """A block of JSON."""
        cdef BlockHeader header
        cdef bytes body = text + b" " * (3 - (len(text) + 3) % 4), whole
        cdef int ring = self.fd
        describe_block(&header, kind, <const uint8_t *> <const char *> body, <size_t> len(body))
        header.first = self.accesses
        header.begin_ns = header.end_ns = self.clock.now()
        header.begin_ticks = header.end_ticks = self.ticks()
        whole = PyBytes_FromStringAndSize(<const char *> &header, sizeof(BlockHeader)) + body
        self.fd = fd
        if self.put(<const uint8_t *> <const char *> whole, <size_t> len(whole)):
            self.written += <size_t> len(whole)
        self.fd = ring

    # For the vCPU's thread, while the guest stands.

    def idle(self):
        """The guest waits: write what is older than a block may be."""
        if self.ticks() - self.begin > self.age:
            self.flush()

    def flush(self):
        """Write what there is. Of a ring, nothing."""
        if self.fd >= 0 and self.recording:
            self.finish_block()
            self.begin_block()

    def close(self, bytes ended=b"{}"):
        """Write what there is, and the last block. ended: JSON for it."""
        if self.fd < 0 or not self.recording:
            return
        self.finish_block()
        self.begin_block()
        if self.recording:
            self.put_json(self.fd, ENDING, ended)
        self.recording = False

    def save(self, int fd, bytes described=b"{}", bytes ended=b"{}"):
        """Write what is in the ring as a file; recording goes on."""
        cdef uint32_t i
        cdef uint8_t *buffer
        cdef size_t length
        self.finish_block()
        self.begin_block()
        self.put_json(fd, DESCRIPTION, described)
        for i in range(self.kept):
            if not self.recording:
                return
            buffer = self.buffers + <size_t> ((self.current + self.count - self.kept + i) % self.count) * self.size
            length = (<BlockHeader *> buffer).length + sizeof(BlockHeader)
            self.fd = fd
            if self.put(buffer, length):
                self.written += length
            self.fd = -1
        if self.recording:
            self.put_json(fd, ENDING, ended)

    @property
    def steady_ticks(self):
        """Whether time is told by the TSC; else by the machine's clock, in ns."""
        return self.by_tsc


cdef inline bint is_site(const Slot *entry, const SiteKey *key, uint32_t block) noexcept nogil:
    return (entry.key.eip == key.eip and entry.key.address == key.address and entry.key.flags == key.flags
            and entry.key.cs == key.cs and entry.block == block)


cdef inline void key_of(Seen *seen, SiteKey *key) noexcept nogil:
    """What a trace calls the site of an access."""
    cdef const Access *access = seen.access
    key.address = access.port
    key.flags = <uint16_t> (access.direction | log2_of(access.size) << FLAG_SIZE_SHIFT | access.path << FLAG_PATH_SHIFT
                            | access.space << FLAG_SPACE_SHIFT)
    if access.crossings:
        key.flags |= FLAG_CROSSED
    key.eip = key.cs = 0
    if place_of(seen):
        key.eip = seen.place.eip
        key.cs = <uint16_t> seen.place.cs
        key.flags |= FLAG_PLACED | (seen.place.cpl & 3) << FLAG_CPL_SHIFT
        if seen.place.exact:
            key.flags |= FLAG_EXACT


cdef void describe_block(BlockHeader *header, int kind, const uint8_t *body, size_t length) noexcept nogil:
    """A header for this body, which belongs to no accesses yet."""
    memset(header, 0, sizeof(BlockHeader))
    memcpy(header.magic, b"hpTB", 4)
    header.kind = <uint8_t> kind
    header.version = FORMAT_VERSION
    header.length = <uint32_t> length
    header.checksum = checksum(body, length)


cdef class LineRecorder(Listener):
    """Hears of interrupt lines for a Recorder."""

    cdef Recorder recorder

    def __init__(self, Recorder recorder not None):
        self.recorder = recorder

    cdef void on_line(self, int number, int level) noexcept nogil:
        self.recorder.line(number, level)
