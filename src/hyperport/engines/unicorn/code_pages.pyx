# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
"""Which guest pages hold translated code, and where RAM is: what makes a guest's stores and slow loads fast.

Stores.  The core believes that every page holds translated code, so that each store of a guest without NX takes its
    slow way. `pages` knows better: tlb_filled() lets stores to pages without code run at full speed, mark_code()
    takes that back the moment code is translated from a page. A code page that is stored to again and again counts
    as data once more: its code is dropped.
Slow loads.  Whatever the core reads itself (descriptors, stacks, page tables) asks uc->memory_mapping first, which
    walks a table; region_of() knows where RAM is.
"""

cimport cython
from libc.stdint cimport uint32_t, uint64_t, uintptr_t
from libc.stdlib cimport calloc, free

from hyperport.engines.unicorn.fidelity.mend cimport mark_code_page
from hyperport.engines.unicorn.fields cimport at, u64
from hyperport.engines.unicorn.library cimport Library
from hyperport.memory.ram cimport HOLE, HOLE_END, GuestMemory

include "layout.pxi"

cdef uint64_t PAGE_MASK = ~(<uint64_t> 0xFFF)

cdef enum:
    STORES_BEFORE_FORGETTING = 4    # slow store fills after which a code page counts as data again


@cython.final
cdef class CodePages:
    """memory: whose pages are watched. There is no code anywhere yet."""

    def __cinit__(self, GuestMemory memory not None):
        self.memory = memory
        self.count = memory.size >> PAGE_SHIFT
        self.pages = <CodePage *> calloc(self.count, sizeof(CodePage))
        if self.pages == NULL:
            raise MemoryError("no memory for the engine's page table")

    def __dealloc__(self):
        free(self.pages)

    cdef void connect(self, Library *lib, void *uc, char *cpu, char *env) noexcept:
        """Whose code it is. The core's RAM is mapped by now: ask for its two regions."""
        self.lib, self.uc, self.cpu, self.env = lib, uc, cpu, env
        self.low_ram = lib.memory_mapping(uc, 0)
        self.high_ram = lib.memory_mapping(uc, HOLE_END)

    def code_at(self, uint64_t address):
        """Whether translated code was made from the page at this physical address."""
        return address >> PAGE_SHIFT < self.count and self.pages[address >> PAGE_SHIFT].has_code != 0

    cdef void mark_code(self, void *host) noexcept nogil:
        cdef uint64_t offset = (<uint64_t> host & PAGE_MASK) - <uint64_t> self.memory.base
        cdef CodePage *page
        if offset >= self.memory.size:
            return
        page = &self.pages[offset >> PAGE_SHIFT]
        if not page.has_code:
            page.has_code = 1
            page.stores = 0
            mark_code_page(self.cpu, <void *> (<uintptr_t> host & PAGE_MASK))

    cdef void mark_code_at(self, uint64_t address) noexcept nogil:
        cdef void *host = NULL
        self.lib.code_page_host(self.env, <uint32_t> address, &host)
        if host != NULL:
            self.mark_code(host)

    cdef void *region_of(self, uint64_t address) noexcept nogil:
        """The core's MemoryRegion at a physical address; RAM, which never moves, without its table walk."""
        if address < HOLE:
            return self.low_ram
        if address < self.memory.size and address >= HOLE_END:
            return self.high_ram
        return self.lib.memory_mapping(self.uc, address)

    cdef void tlb_filled(self, uint64_t address, int access, int mmu) noexcept nogil:
        """The core has filled a TLB entry: is a store to this page slow for a reason?"""
        cdef char *fast = self.cpu + X86CPU_TLB_FAST + mmu * TLB_FAST_SIZE
        cdef uint64_t index = (address >> PAGE_SHIFT) & (u64(fast, 0)[0] >> TLB_ENTRY_SHIFT)
        cdef char *entry = <char *> at(fast, 8) + (index << TLB_ENTRY_SHIFT)
        cdef uint64_t write
        cdef uint64_t offset = (address & PAGE_MASK) + u64(entry, TLB_ADDEND)[0] - <uint64_t> self.memory.base
        cdef CodePage *page
        if offset >= self.memory.size:
            return
        if access == ACCESS_FETCH:
            self.mark_code(self.memory.base + offset)   # on_new_code() is not told of the very first block
        write = u64(entry, TLB_WRITE)[0]
        if write == <uint64_t> -1 or not write & TLB_NOT_DIRTY:
            return
        page = &self.pages[offset >> PAGE_SHIFT]
        if page.has_code and access == ACCESS_STORE:
            page.stores += 1
            if page.stores >= STORES_BEFORE_FORGETTING:
                self.forget_code(offset >> PAGE_SHIFT)
        if page.has_code:
            # Keep the store slow: the core drops the dirty mark of pages it believes not executable.
            if u64(entry, TLB_CODE)[0] == <uint64_t> -1:
                u64(entry, TLB_CODE)[0] = (address & PAGE_MASK) | TLB_INVALID
        elif access != ACCESS_FETCH:
            u64(entry, TLB_WRITE)[0] = write & ~(<uint64_t> TLB_NOT_DIRTY)

    cdef void forget_code(self, uint64_t page) noexcept nogil:
        cdef uint64_t start = self.lib.ram_address(self.uc, self.memory.base + (page << PAGE_SHIFT))
        self.lib.invalidate_range(self.uc, start, start + (1 << PAGE_SHIFT))
        self.pages[page].has_code = 0
        self.pages[page].stores = 0

    cdef void written(self, uint64_t address, uint64_t length) noexcept nogil:
        """The host wrote guest memory: drop the code that was translated from it."""
        cdef uint64_t page
        if length == 0:
            return
        for page in range(address >> PAGE_SHIFT, ((address + length - 1) >> PAGE_SHIFT) + 1):
            if self.pages[page].has_code:
                self.forget_code(page)
