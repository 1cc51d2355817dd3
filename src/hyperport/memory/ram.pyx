# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
"""The guest's RAM: one anonymous host mapping, reached from Python only through checked reads and writes.

Guest-physical address 0 is byte 0. The bytes from HOLE up to HOLE_END belong to the mapping but not to the guest: they
are not in the map, which says what else is where (map.pyx). Text memory of the VGA is RAM like all else
(docs/decisions/0015). A write from the host also tells the engine which bytes changed, so that it drops code that it has
translated from them.

The host is asked for large pages, as qemu asks: one fault for 2 MiB, and fewer misses of the host's TLB. Not for the first MiBs,
though, which is all that a small guest touches: there may be many of those in a process.
"""

from cpython.bytes cimport PyBytes_AsString, PyBytes_FromStringAndSize
from libc.stdint cimport uint8_t, uint64_t
from libc.string cimport memcpy, memset
from posix.mman cimport MAP_ANONYMOUS, MAP_FAILED, MAP_PRIVATE, PROT_READ, PROT_WRITE, mmap, munmap

from hyperport.memory.map cimport MemoryMap
from hyperport.memory.pages cimport PAGE_BYTES, used_pages

from hyperport.errors import AccessError, ConfigError

cdef extern from "<sys/mman.h>":
    int MADV_HUGEPAGE
    int madvise(void *address, size_t length, int advice)

PAGE = 4096
SMALLEST = 1 << 20
LARGE_PAGES_FROM = 8 << 20
LARGEST = 3 << 30       # the rest of 4 GiB is for devices and firmware, as on a PC
TEXT_ADDRESS = TEXT
TEXT_SIZE = 32 << 10


cdef class GuestMemory:
    """size bytes of RAM, a multiple of 4,096 between 1 MiB and 3 GiB, filled with zeros."""

    def __cinit__(self, size):
        if not SMALLEST <= size <= LARGEST or size % PAGE:
            raise ConfigError(f"guest memory of {size} bytes: give a multiple of 4 KiB from 1M to 3072M")
        cdef void *base = mmap(NULL, <size_t> size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
        if base == MAP_FAILED:
            raise ConfigError(f"guest memory of {size >> 20} MiB: the host has no room for it; ask for less")
        self.base = <uint8_t *> base
        self.size = size
        if size > LARGE_PAGES_FROM:         # a host that has none says no, and gives small ones
            madvise(self.base + <uint64_t> LARGE_PAGES_FROM, size - LARGE_PAGES_FROM, MADV_HUGEPAGE)
        self.map = MemoryMap()
        self.map.ground(<uint64_t> base, size)

    def __dealloc__(self):
        if self.base != NULL:
            munmap(self.base, self.size)

    def _check(self, address, length):
        if address < 0 or length < 0 or address + length > self.size:
            raise AccessError(f"guest memory: {length} bytes at {address:#x} are outside its {self.size:#x} bytes")

    def _ask(self, what):
        """Raise ThreadError if this thread may not do that now."""
        if self.guard is not None:
            self.guard.check(what)

    def regions(self):
        """The ground of the map, RAM: (first byte, first byte behind it), guest-physical, by address."""
        return ((0, HOLE), (HOLE_END, self.size))

    def read(self, address, length):
        """length bytes at guest-physical address. Raises AccessError outside RAM."""
        self._check(address, length)
        return PyBytes_FromStringAndSize(<const char *> self.base + <uint64_t> address, <Py_ssize_t> length)

    def write(self, address, data):
        """Store data at guest-physical address. Raises AccessError outside RAM."""
        cdef bytes source = bytes(data)
        self._ask("write of memory")
        self._check(address, len(source))
        memcpy(self.base + <uint64_t> address, PyBytes_AsString(source), len(source))
        self.map.invalidate(self.map.invalidate_context, self.base + <uint64_t> address, <uint64_t> len(source))

    def clear(self):
        """All zeros, as at power-on. Pages that are zeros stay untouched."""
        self._ask("clear of memory")
        for first, count in self.pages():
            memset(self.base + <uint64_t> first * PAGE_BYTES, 0, <size_t> count * PAGE_BYTES)
        self.map.invalidate(self.map.invalidate_context, self.base, self.size)

    def pages(self):
        """The runs of pages of RAM that are not all zeros, by address: (first page, how many)."""
        return [run for low, high in self.regions()
                for run in used_pages(self.base, <uint64_t> low // PAGE_BYTES, <uint64_t> high // PAGE_BYTES)]
