# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
"""Counts every access by its site, and samples stacks and times, without the GIL. profile.py makes a report of it.

A site is what trace_format.pxd calls so: port, direction, size, path, CS:EIP and CPL. Its counts are exact; those of known
instructions the bus makes for us (Counting, bus/memo.pxd). Of every 256 accesses or so (of the first, every 16), at random,
one is a sample: the guest's stack is walked by frame pointers, and the time to the next access is measured, with what of it
that access's device took, and on the path `trap` its fault, and fetching and decoding. What is left is the guest's, with the
way out and in. The table has room for MOST_SITES; a guest that makes more is counted by port alone from there on. Of
device memory a port is a register, or all of a window that is too large to have them.
"""

from libc.stdint cimport uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcmp, memcpy, memset

from hyperport.bus.access cimport SPACE_MEMORY, SPACE_PORT, Access
from hyperport.bus.port_bus cimport PortBus, PortObserver, memory_index, tally_index
from hyperport.cpu.vcpu cimport EBP, Vcpu
from hyperport.io.trap cimport TrapPath
from hyperport.observe.filter_program cimport FilterProgram, Seen, look_at, place_of
from hyperport.bus.memo cimport Counting, count_from_now, free_counters
from hyperport.observe.trace_format cimport (
    FLAG_CPL_SHIFT,
    FLAG_EXACT,
    FLAG_OUT,
    FLAG_PATH_SHIFT,
    FLAG_PLACED,
    FLAG_SIZE_SHIFT,
    FLAG_SPACE_SHIFT,
    SiteKey,
)

from hyperport.bus.access import Direction, Space
from hyperport.bus.port_bus import Path

cdef extern from *:
    """
    #include <stdint.h>
    #include <x86intrin.h>
    static inline uint64_t hp_ticks_now(void) { return __rdtsc(); }
    """
    uint64_t hp_ticks_now() nogil

cdef enum:
    TABLE = 1 << 15             # of sites: a power of two
    STACKS = 1 << 14            # a power of two
    FRAMES = 16
    MOST_FRAME = 1 << 16        # bytes: a frame is not larger
    GAPS = 40                   # of powers of two of ticks

    PARTS = 4                   # of the time from an access to the next
    GUEST = 0                   # behind this access; the others are of this access itself
    FAULT = 1
    DECODE = 2
    DEVICE = 3

PART_NAMES = ("guest", "fault", "decode", "device")   # in the order of GUEST, FAULT, DECODE, DEVICE
MOST_SITES = TABLE * 3 // 4
MOST_WITH_PORTS = TABLE * 15 // 16
MOST_STACKS = STACKS * 3 // 4
EVERY = 256                     # one sample in about so many accesses
EVERY_AT_FIRST = 16             # so that short runs have some, too
FIRST_SAMPLES = 512

cdef struct Estimate:
    uint64_t samples
    double ticks
    double squares

cdef struct Site:
    SiteKey key
    uint32_t taken              # 1: this entry is somebody's
    uint32_t window             # of device memory
    uint64_t accesses
    uint64_t crossings
    uint64_t samples            # gaps that began here, and were no pause
    double ticks                # their sum, and that of their squares
    double squares
    Estimate parts[PARTS]

cdef struct Stack:
    uint32_t site               # index of it, + 1; 0: free
    uint32_t depth
    uint32_t frames[FRAMES]     # return addresses, innermost first
    uint64_t samples


cdef class Profiler(PortObserver):
    """An observer for PortBus.observe(). filter: a FilterProgram. pause: ticks from which on a gap is no cost of an access.

    bus, path: whose times are measured in parts; reading: ticks that a reading of the clock takes.
    """

    cdef FilterProgram filter
    cdef bint filtered
    cdef Site *sites
    cdef Stack *stacks
    cdef uint32_t *order                            # the entries that are taken, by age
    cdef readonly uint32_t site_count, stack_count
    cdef readonly uint64_t folded                   # accesses that came from too many places: counted by port alone
    cdef readonly uint64_t uncounted                # and those of them that went to too many ports: nowhere
    cdef readonly uint64_t stacks_lost              # samples that found no room
    cdef readonly uint64_t samples, pauses
    cdef uint64_t gaps[GAPS]
    cdef Counting table                             # countdown: elements until a sample; 1 while a gap is measured
    cdef PortBus bus
    cdef TrapPath trap
    cdef double reading
    cdef uint64_t pause
    cdef uint32_t after                             # the countdown behind the gap
    cdef uint32_t random
    cdef uint32_t timed                             # index + 1 of the site whose gap is measured now
    cdef uint64_t began
    cdef double measured[PARTS]                     # of the gap that has just ended

    def __cinit__(self):
        self.sites = <Site *> calloc(TABLE, sizeof(Site))
        self.stacks = <Stack *> calloc(STACKS, sizeof(Stack))
        self.order = <uint32_t *> calloc(TABLE, sizeof(uint32_t))
        if self.sites == NULL or self.stacks == NULL or self.order == NULL:
            raise MemoryError("no memory for a profile")

    def __init__(self, *, FilterProgram filter=None, uint64_t pause=1 << 22, PortBus bus=None, path=None, double reading=0):
        self.filter, self.filtered = filter, filter is not None
        self.pause = pause
        self.random = 2463534242
        self.table.countdown = 1
        free_counters(&self.table)
        self.bus, self.reading = bus, reading
        self.trap = path if isinstance(path, TrapPath) else None
        if self.trap is not None:
            self.trap.profile = True
            self.trap.sample(False)
        if not self.filtered:
            self.counting = &self.table

    def close(self):
        """Measure no more. Counting goes on."""
        if self.bus is not None:
            self.bus.clocked = False
            self.bus = None
        if self.trap is not None:
            self.trap.profile = False
            self.trap = None

    def __dealloc__(self):
        free(self.sites)
        free(self.stacks)
        free(self.order)

    cdef void memory_access(self, Access *access) noexcept nogil:
        self.access(access)

    cdef void access(self, Access *access) noexcept nogil:
        cdef bint port = access.space == SPACE_PORT
        cdef Seen seen
        cdef SiteKey key
        cdef Site *site
        cdef bint measured = False
        look_at(&seen, access)
        if self.timed:
            measured = self.end_gap()
        if self.filtered and not self.filter.passes(&seen):
            return
        key.address = access.port if port else access.site
        key.flags = <uint16_t> (access.direction | (access.size >> 1 if access.size < 8 else 3) << FLAG_SIZE_SHIFT
                                | access.path << FLAG_PATH_SHIFT | access.space << FLAG_SPACE_SHIFT)
        if place_of(&seen):
            key.eip = seen.place.eip
            key.cs = <uint16_t> seen.place.cs
            key.flags |= FLAG_PLACED | (seen.place.cpl & 3) << FLAG_CPL_SHIFT
            if seen.place.exact:
                key.flags |= FLAG_EXACT
        else:
            key.eip = key.cs = 0
        site = self.site_of(&key)
        if site == NULL:
            return
        site.window = access.window if not port else 0
        count_from_now(&self.table, access, tally_index(access.port, access.direction, access.size, access.path) if port
                       else memory_index(access), &site.accesses)
        self.count(site, access, measured)

    cdef inline void count(self, Site *site, const Access *access, bint measured) noexcept nogil:
        """measured: a gap has ended with this access."""
        cdef int part
        site.accesses += access.count
        site.crossings += access.crossings
        if measured:
            for part in range(FAULT, PARTS):
                add(&site.parts[part], self.measured[part])
        self.table.countdown -= 1
        if not self.table.countdown:
            self.sample(site, access)

    cdef inline Site *site_of(self, SiteKey *key) noexcept nogil:
        cdef uint32_t hashed = key.eip ^ key.address << 12 ^ <uint32_t> key.flags << 4 ^ <uint32_t> key.cs << 20
        cdef uint32_t at = hashed * <uint32_t> 0x9E3779B1 >> 17
        cdef Site *site = &self.sites[at]
        if site.taken and same_site(&site.key, key):
            return site
        return self.other_site_of(key, at)

    cdef Site *other_site_of(self, SiteKey *key, uint32_t at) noexcept nogil:
        """It stands behind the entry where it is looked for first, or is new; of a full table, that of its port."""
        cdef int _turn
        for _turn in range(2):
            while self.sites[at].taken:
                if same_site(&self.sites[at].key, key):
                    return &self.sites[at]
                at = (at + 1) & (TABLE - 1)
            if self.site_count < <uint32_t> (MOST_ALONE if _turn else MOST):
                self.sites[at].key = key[0]
                self.sites[at].taken = 1
                self.order[self.site_count] = at
                self.site_count += 1
                return &self.sites[at]
            if not _turn:
                self.folded += 1
            key.eip = key.cs = 0
            key.flags &= ~<uint16_t> (FLAG_PLACED | FLAG_EXACT | 3 << FLAG_CPL_SHIFT)
            at = (key.address << 12 ^ <uint32_t> key.flags << 4) * <uint32_t> 0x9E3779B1 >> 17
        self.uncounted += 1
        return NULL

    # Samples.

    cdef void sample(self, Site *site, const Access *access) noexcept nogil:
        self.random ^= self.random << 13        # xorshift, Marsaglia 2003
        self.random ^= self.random >> 17
        self.random ^= self.random << 5
        self.after = 1 + self.random % (2 * (FIRST_STEP if self.samples < FIRST else STEP) - 1)
        self.table.countdown = 1
        self.samples += 1
        if access.vcpu != NULL:
            self.stack(site, <Vcpu> access.vcpu)
        self.timed = <uint32_t> (site - self.sites) + 1
        if self.bus is not None:
            self.bus.clocked = True
            self.bus.device_ticks = 0
        if self.trap is not None:
            self.trap.sample(True)
        self.began = hp_ticks_now()

    cdef bint end_gap(self) noexcept nogil:
        """The access after a sample: how long it took from that one to this. True if its parts are in `measured`."""
        cdef uint64_t ticks = hp_ticks_now() - self.began, power = ticks
        cdef int bits = 0, part
        cdef Site *site = &self.sites[self.timed - 1]
        self.timed = 0
        self.table.countdown = self.after
        if self.bus is not None:
            self.bus.clocked = False
            self.measured[DEVICE] = <double> self.bus.device_ticks - self.reading
            self.measured[FAULT] = self.measured[DECODE] = 0
            self.measured[GUEST] = <double> ticks - 3 * self.reading        # each piece between two readings holds one
        if self.trap is not None:
            if self.trap.last_decode:
                self.measured[FAULT] = <double> self.trap.last_fault - self.reading
                self.measured[DECODE] = <double> self.trap.last_decode - self.reading
                self.measured[GUEST] -= 3 * self.reading
            self.trap.sample(False)
        for part in range(FAULT, PARTS):
            self.measured[part] = max(self.measured[part], 0)
            self.measured[GUEST] -= self.measured[part]
        while power > 1 and bits < GAPS - 1:
            power >>= 1
            bits += 1
        self.gaps[bits] += 1
        if ticks >= self.pause:
            self.pauses += 1
            return False
        site.samples += 1
        site.ticks += <double> ticks
        site.squares += <double> ticks * <double> ticks
        if self.bus is None:
            return False
        add(&site.parts[GUEST], max(self.measured[GUEST], 0))
        return True

    cdef void stack(self, const Site *site, Vcpu vcpu) noexcept nogil:
        """Count the stack of return addresses that EBP leads to. Reads guest memory only, and cannot fault."""
        cdef Stack found
        cdef uint32_t frame, outer, at, hashed
        memset(&found, 0, sizeof(Stack))
        found.site = <uint32_t> (site - self.sites) + 1
        frame = vcpu.get(EBP) if vcpu.code_is_32_bit() else 0
        while found.depth < FRAMES and frame and not frame & 3:
            if not vcpu.peek(frame, &outer) or not vcpu.peek(frame + 4, &found.frames[found.depth]):
                break
            if not found.frames[found.depth]:
                break
            found.depth += 1
            if outer <= frame or outer - frame > MOST_FRAME:
                break
            frame = outer
        for at in range(found.depth, <uint32_t> FRAMES):
            found.frames[at] = 0
        hashed = found.site
        for at in range(found.depth):
            hashed = (hashed ^ found.frames[at]) * <uint32_t> 0x9E3779B1
        at = hashed >> 18
        while self.stacks[at].site:
            if not memcmp(&self.stacks[at], &found, sizeof(uint32_t) * (2 + FRAMES)):
                self.stacks[at].samples += 1
                return
            at = (at + 1) & (STACKS - 1)
        if self.stack_count == <uint32_t> MOST_OF_STACKS:
            self.stacks_lost += 1
            return
        self.stack_count += 1
        found.samples = 1
        memcpy(&self.stacks[at], &found, sizeof(Stack))

    # Asking: at any time, from any thread; while the guest runs, counts may be of slightly different moments.

    def rows(self):
        """A dict for each site: its fields, accesses, crossings, and samples, ticks and squares of the gaps behind it."""
        cdef uint32_t i, at
        cdef int part
        cdef Site *site
        found = []
        for i in range(self.site_count):
            at = self.order[i]
            site = &self.sites[at]
            placed = site.key.flags & FLAG_PLACED
            found.append({
                "site": at + 1,
                "space": Space(site.key.flags >> FLAG_SPACE_SHIFT & 3),
                "window": site.window,
                "port": site.key.address,
                "direction": Direction(site.key.flags & FLAG_OUT),
                "size": 1 << (site.key.flags >> FLAG_SIZE_SHIFT & 3),
                "path": Path(site.key.flags >> FLAG_PATH_SHIFT & 7),
                "cs": site.key.cs if placed else None,
                "eip": site.key.eip if placed else None,
                "cpl": site.key.flags >> FLAG_CPL_SHIFT & 3 if placed else None,
                "exact": bool(site.key.flags & FLAG_EXACT),
                "accesses": site.accesses,
                "crossings": site.crossings,
                "samples": site.samples,
                "ticks": site.ticks,
                "squares": site.squares,
                "parts": [(site.parts[part].samples, site.parts[part].ticks, site.parts[part].squares)
                          for part in range(PARTS)],
            })
        return found

    def stack_rows(self):
        """(site, return addresses innermost first, samples) for each stack that was seen."""
        cdef uint32_t at
        return [(self.stacks[at].site, [self.stacks[at].frames[i] for i in range(<int> self.stacks[at].depth)],
                 self.stacks[at].samples) for at in range(<uint32_t> STACKS) if self.stacks[at].site]

    def by_port(self):
        """Accesses so far: port -> number."""
        return self._by(SPACE_PORT)

    def by_window(self):
        """Accesses so far to device memory: number of the window -> number."""
        return self._by(SPACE_MEMORY)

    def _by(self, int space):
        cdef uint32_t i, key
        cdef Site *site
        found = {}
        for i in range(self.site_count):
            site = &self.sites[self.order[i]]
            if site.key.flags >> FLAG_SPACE_SHIFT & 3 == space:
                key = site.key.address if space == SPACE_PORT else site.window
                found[key] = found.get(key, 0) + site.accesses
        return found

    def crossings(self):
        """Crossings so far, of all sites."""
        cdef uint32_t i
        cdef uint64_t total = 0
        for i in range(self.site_count):
            total += self.sites[self.order[i]].crossings
        return total

    @staticmethod
    def why(vcpu):
        """Why a vCPU has left guest code, a Crossing; 0 while it has not, None for an engine without one."""
        return (<Vcpu> vcpu).why if isinstance(vcpu, Vcpu) else None

    @staticmethod
    def ticks():
        """The TSC, which the gaps are measured by."""
        return hp_ticks_now()

    def gap_rows(self):
        """(ticks from which on, number of gaps) by powers of two."""
        return [(1 << i, self.gaps[i]) for i in range(GAPS) if self.gaps[i]]


cdef uint32_t MOST = MOST_SITES
cdef uint32_t MOST_ALONE = MOST_WITH_PORTS
cdef uint32_t MOST_OF_STACKS = MOST_STACKS
cdef uint32_t STEP = EVERY
cdef uint32_t FIRST_STEP = EVERY_AT_FIRST
cdef uint32_t FIRST = FIRST_SAMPLES


cdef inline void add(Estimate *estimate, double ticks) noexcept nogil:
    estimate.samples += 1
    estimate.ticks += ticks
    estimate.squares += ticks * ticks


cdef inline bint same_site(const SiteKey *one, const SiteKey *other) noexcept nogil:
    return (one.eip == other.eip and one.address == other.address and one.flags == other.flags and one.cs == other.cs)
