# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
"""The map of guest-physical memory: which region is at which address, now.

The ground is RAM from 0 to its size, without the hole below text memory. Regions lie over the ground and hide it; no two
regions that are mapped may overlap, so there are no priorities. Where neither is, nobody is there: reads float high,
writes vanish (decision 6).

ram     memory of its own                   rom     the same; the guest's writes, and a device's, vanish
alias   what is at another address          hole    hides RAM: nobody is there
device  reads and writes are answered by a device: see PortBus.attach_memory()

ROM may also be a piece of the RAM that the guest can no longer write (shadowed: its bytes stay in GuestMemory). An alias
is of bytes, not of an address: it stays what it is when the original is unmapped. Code may run from ram, rom and aliases.

Bases and sizes are multiples of 4 KiB below 4 GiB. Regions are made while the guest is stopped; a device may map and
unmap its own at any access: the next load or store finds the new map, and so does code from the next block on. Who maps
regions where the guest says must ask is_free() first.
"""

from cpython.bytes cimport PyBytes_AsString, PyBytes_FromStringAndSize
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset
from posix.mman cimport MAP_ANONYMOUS, MAP_FAILED, MAP_PRIVATE, PROT_READ, PROT_WRITE, mmap, munmap

from hyperport.memory.pages cimport PAGE_BYTES, used_pages

from hyperport.errors import AccessError, ConfigError

PAGE = 4096
cdef uint64_t TOP = <uint64_t> 1 << 32
cdef enum:
    HOLE = 0xA0000          # video memory of a VGA's graphics modes: no RAM
    HOLE_END = 0xB8000
    NO_ROW = -1

NAMES = {HP_RAM: "ram", HP_ROM: "rom", HP_HOLE: "hole", HP_DEVICE: "device"}


cdef void no_change(void *context) noexcept nogil:
    pass


cdef void no_engine(void *context, const uint8_t *host, uint64_t length) noexcept nogil:
    pass


cdef class MemoryMap:
    """The map of one machine; GuestMemory makes it, with itself as the ground."""

    def __cinit__(self):
        self._regions = [None] * HP_REGIONS
        self.changed = no_change
        self.invalidate = no_engine

    def __dealloc__(self):
        cdef uint32_t number
        for number in range(1, self.block_count):       # the RAM is GuestMemory's
            munmap(self.blocks[number].host, self.blocks[number].size)

    # Making regions.

    def ram(self, name, base, size):
        """Memory of its own, zeros at first, as a Region. Raises ConfigError; so do the next four."""
        self._check(name, base, size)
        return self._add(name, base, size, HP_RAM, self._block(name, size), 0)

    def rom(self, name, base, size):
        """Memory that the guest cannot write; give it its bytes by Region.write()."""
        self._check(name, base, size)
        return self._add(name, base, size, HP_ROM, self._block(name, size), 0)

    def rom_in_ram(self, name, base, size):
        """The RAM at base, which the guest cannot write while this is mapped."""
        self._check(name, base, size)
        if not self._ground_has(base, size):
            raise ConfigError(f"{name}: {span_text(base, size)} is not RAM")
        return self._add(name, base, size, HP_ROM, 0, base)

    def hole(self, name, base, size):
        """Nobody is there, whatever the RAM's size."""
        self._check(name, base, size)
        return self._add(name, base, size, HP_HOLE, 0, 0)

    def alias(self, name, base, size, target, offset=0):
        """The same bytes, or the same device, as size bytes of target from offset on.

        target: a Region, or None for the RAM, where offset is an address.
        """
        cdef Region original
        cdef Row row
        self._check(name, base, size)
        if target is None:
            if not self._ground_has(offset, size):
                raise ConfigError(f"{name}: {span_text(offset, size)} is not RAM")
            return self._add(name, base, size, HP_RAM, 0, offset, None)
        original = target
        row = self.rows[original.row]
        if original.owner is not self or offset < 0 or offset % PAGE or offset + size > row.size:
            raise ConfigError(f"{name}: {size:#x} bytes from {offset:#x} on are not pages of {original.name}")
        return self._add(name, base, size, row.kind, row.number, row.offset + offset, original)

    def device(self, name, base, size, number, offset=0):
        """Memory that a device answers for: number is the bus's. Called by PortBus.attach_memory()."""
        self._check(name, base, size)
        return self._add(name, base, size, HP_DEVICE, number, offset)

    def is_free(self, base, size):
        """Whether a region could be mapped there now."""
        return usable(base, size) and not self.clashes(NO_ROW, base, size)

    def check_places(self, places):
        """Raise ConfigError where place() would; change nothing."""
        taken = []
        for region, base, mapped in places:
            if not usable(base, region.size):
                raise ConfigError(cannot_be(region, base))
            if mapped:
                taken.append((base, base + region.size, region.name))
        taken.sort()
        for (_, end, name), (base, _, other) in zip(taken, taken[1:]):
            if base < end:
                raise ConfigError(f"{other}: {name} is at {base:#x}")

    def place(self, places):
        """Put all regions where these rows say, (region, base, mapped), in one change of the map."""
        cdef Region region
        if {one for one, _, _ in places} != set(self.regions()) or len(places) != len(self.regions()):
            raise ConfigError("each region of the map needs one place")
        self.check_places(places)
        for one, base, mapped in places:
            region = one
            self.rows[region.row].base = base
            self.rows[region.row].mapped = mapped
        self.build()

    # Asking.

    def regions(self):
        """All regions, mapped or not, in the order in which they were made."""
        return [region for region in self._regions if region is not None]

    def layout(self):
        """What is where now, by address: rows (first, last, kind, name); RAM of the ground is "RAM"."""
        cdef uint32_t index
        cdef const hp_range *found
        rows = [(region.base, region.base + region.size - 1, region.kind, region.name)
                for region in self.regions() if region.mapped]
        for index in range(self.flat.count):
            found = &self.flat.ranges[index]
            if found.kind == HP_RAM and found.number == 0 and not any(low <= found.first <= high for low, high, *_ in rows):
                rows.append((found.first, found.end - 1, "ram", "RAM"))
        return sorted(rows)

    def at(self, uint64_t address):
        """What is at a physical address now: "ram", "rom", "device", or None."""
        cdef const hp_range *found = hp_range_at(&self.flat, address)
        return None if found == NULL else NAMES[found.kind]

    # Below: how it is kept.

    def ground(self, uint64_t host, uint64_t size):
        """Called once by GuestMemory: size bytes of RAM at this host address."""
        self.blocks[0] = Block(<uint8_t *> host, size)
        self.block_count = 1
        self.build()

    def _check(self, name, base, size):
        if not usable(base, size):
            raise ConfigError(f"{name}: memory at {base:#x}, {size:#x} bytes: "
                              "base and size must be multiples of 4 KiB, within 4 GiB")
        for region in self.regions():
            if region.mapped and region.base < base + size and base < region.base + region.size:
                raise ConfigError(f"{name}: memory {span_text(base, size)} overlaps {region.name} at "
                                  f"{span_text(region.base, region.size)}; give another address")

    def _ground_has(self, base, size):
        return usable(base, size) and base + size <= self.blocks[0].size and not (base < HOLE_END and base + size > HOLE)

    def _block(self, name, uint64_t size):
        cdef void *host
        if self.block_count == BLOCKS:
            raise ConfigError(f"{name}: more than {BLOCKS - 1} regions with memory of their own")
        host = mmap(NULL, <size_t> size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
        if host == MAP_FAILED:
            raise ConfigError(f"{name}: the host has no room for {size >> 10} KiB")
        self.blocks[self.block_count] = Block(<uint8_t *> host, size)
        self.block_count += 1
        return self.block_count - 1

    def _add(self, name, base, size, kind, number, offset, alias_of=False):
        cdef Region region = Region.__new__(Region)
        if None not in self._regions:
            raise ConfigError(f"{name}: more than {HP_REGIONS} regions of memory")
        region.owner = self
        region.row = self._regions.index(None)
        region.name = name
        region.kind = NAMES[kind] if alias_of is False else "alias"
        region.alias_of = None if alias_of is False else alias_of
        self.rows[region.row] = Row(base, size, offset, number, kind, False)
        self._regions[region.row] = region
        self.switch_row(region.row, True)
        return region

    cdef bint clashes(self, int row, uint64_t base, uint64_t size) noexcept nogil:
        """Whether a mapped region other than this row lies there."""
        cdef int other
        for other in range(HP_REGIONS):
            if other != row and self.rows[other].mapped and self.rows[other].base < base + size \
                    and base < self.rows[other].base + self.rows[other].size:
                return True
        return False

    cdef void switch_row(self, int row, bint mapped) noexcept nogil:
        if self.rows[row].mapped == mapped:
            return
        self.rows[row].mapped = mapped
        self.build()

    cdef void build(self) noexcept nogil:
        """Make the flat map of the regions, and tell the engine."""
        cdef Row *order[HP_REGIONS]
        cdef Row *row
        cdef int count = 0, at, index
        cdef uint64_t done = 0
        for index in range(HP_REGIONS):
            if not self.rows[index].mapped:
                continue
            at = count
            while at and order[at - 1].base > self.rows[index].base:
                order[at] = order[at - 1]
                at -= 1
            order[at] = &self.rows[index]
            count += 1
        self.flat.count = 0
        for index in range(count):
            row = order[index]
            add_ground(&self.flat, &self.blocks[0], done, row.base)
            if row.kind != HP_HOLE:
                add_range(&self.flat, row.base, row.base + row.size, row.kind, row.number, row.offset,
                          self.blocks[row.number].host + row.offset if row.kind != HP_DEVICE else NULL)
            done = row.base + row.size
        add_ground(&self.flat, &self.blocks[0], done, TOP)
        self.generation += 1
        self.changed(self.changed_context)


cdef void add_ground(hp_map *flat, Block *ram, uint64_t low, uint64_t high) noexcept nogil:
    """The RAM between two addresses."""
    if low < min(high, <uint64_t> HOLE):
        add_range(flat, low, min(high, <uint64_t> HOLE), HP_RAM, 0, low, ram.host + low)
    low = max(low, <uint64_t> HOLE_END)
    high = min(high, ram.size)
    if low < high:
        add_range(flat, low, high, HP_RAM, 0, low, ram.host + low)


cdef void add_range(hp_map *flat, uint64_t first, uint64_t end, uint32_t kind, uint32_t number, uint64_t offset,
                    uint8_t *host) noexcept nogil:
    cdef hp_range *added = &flat.ranges[flat.count]
    added.first, added.end, added.kind, added.number, added.offset, added.host = first, end, kind, number, offset, host
    flat.count += 1


cdef class Region:
    """A piece of the map. Made by a MemoryMap, mapped at first."""

    @property
    def base(self):
        """Its first guest-physical address, also while it is not mapped."""
        return self.owner.rows[self.row].base

    @property
    def size(self):
        """In bytes."""
        return self.owner.rows[self.row].size

    @property
    def mapped(self):
        """Whether the guest can see it."""
        return self.owner.rows[self.row].mapped != 0

    def map(self, base=None):
        """Let the guest see it, at base if that is given. Raises ConfigError where another region is."""
        cdef Row *row = &self.owner.rows[self.row]
        base = row.base if base is None else base
        if not usable(base, row.size):
            raise ConfigError(cannot_be(self, base))
        if self.owner.clashes(self.row, base, row.size):
            raise ConfigError(f"{self.name}: another region is at {span_text(base, row.size)}")
        if row.mapped and row.base != base:
            row.mapped = False
        row.base = base
        self.owner.switch_row(self.row, True)

    def unmap(self):
        """Let the guest see what is below it."""
        self.owner.switch_row(self.row, False)

    cdef bint switch_on(self) noexcept nogil:
        """map() for compiled devices: False, and nothing done, where another region is."""
        cdef Row *row = &self.owner.rows[self.row]
        if self.owner.clashes(self.row, row.base, row.size):
            return False
        self.owner.switch_row(self.row, True)
        return True

    cdef void switch_off(self) noexcept nogil:
        self.owner.switch_row(self.row, False)

    cdef void slide(self, uint64_t offset) noexcept nogil:
        """Let an alias show other bytes of what it is an alias of: from offset in that one's block on, a multiple of 4 KiB."""
        cdef Row *row = &self.owner.rows[self.row]
        if row.offset != offset:
            row.offset = offset
            if row.mapped:
                self.owner.build()

    cdef uint8_t *host(self) noexcept nogil:
        """Its bytes, or NULL for device memory and holes. After a write call dirtied()."""
        cdef Row *row = &self.owner.rows[self.row]
        return NULL if row.kind == HP_DEVICE or row.kind == HP_HOLE else self.owner.blocks[row.number].host + row.offset

    cdef void dirtied(self, uint64_t offset, uint64_t length) noexcept nogil:
        """The host has written these bytes: no engine may run code that was translated from them."""
        self.owner.invalidate(self.owner.invalidate_context, self.host() + offset, length)

    def read(self, offset, length):
        """length bytes of it. Raises AccessError outside, and for device memory and holes."""
        self._check(offset, length)
        return PyBytes_FromStringAndSize(<const char *> self.host() + <uint64_t> offset, <Py_ssize_t> length)

    def write(self, offset, data):
        """Store bytes in it, also in ROM. Raises AccessError likewise."""
        cdef bytes source = bytes(data)
        self._check(offset, len(source))
        memcpy(self.host() + <uint64_t> offset, PyBytes_AsString(source), len(source))
        self.dirtied(offset, len(source))

    @property
    def own(self):
        """Whether it has memory of its own, which is in no other region and not in the RAM."""
        cdef Row *row = &self.owner.rows[self.row]
        return self.alias_of is None and row.kind in (HP_RAM, HP_ROM) and row.number != 0

    def pages(self):
        """The runs of its pages that are not all zeros, as (first page, how many); none without memory of its own."""
        return used_pages(self.host(), 0, <uint64_t> self.size // PAGE_BYTES) if self.own else []

    def clear(self):
        """All zeros, as when it was made. Raises AccessError without memory of its own."""
        if not self.own:
            raise AccessError(f"{self.name}: it has no memory of its own")
        for first, count in self.pages():
            memset(self.host() + <uint64_t> first * PAGE_BYTES, 0, <size_t> count * PAGE_BYTES)
        self.dirtied(0, <uint64_t> self.size)

    def _check(self, offset, length):
        if self.host() == NULL:
            raise AccessError(f"{self.name}: a {self.kind} holds no bytes")
        if offset < 0 or length < 0 or offset + length > self.size:
            raise AccessError(f"{self.name}: {length} bytes at {offset:#x} are outside its {self.size:#x}")

    def __repr__(self):
        return f"<{self.kind} {self.name} at {span_text(self.base, self.size)}{'' if self.mapped else ', unmapped'}>"


cdef bint usable(base, size):
    return base % PAGE == 0 and size % PAGE == 0 and 0 <= base and 0 < size and base + size <= TOP


cdef str cannot_be(region, base):
    return f"{region.name}: cannot be at {base:#x}: a multiple of 4 KiB is wanted, within 4 GiB"


cdef str span_text(base, size):
    return f"{base:#x} to {base + size - 1:#x}"
