# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
"""Which guest pages hold translated code, and where memory is: what makes a guest's stores and slow loads fast.

Map.  The core has memory of its own at addresses that stay as they are: the RAM at 0, block n of the map at BLOCKS_AT +
    n * 4 GiB, and at DEVICES_AT one region for all that is no memory, whose offset is the guest-physical address. The
    guest's map is made where the core fills its TLB: set_page() turns the physical address that the page walk gave into
    the core's. So an alias is the same page to the core, and so is its translated code; a change of the map is a flush of
    the TLB. ROM is memory whose TLB entries say that stores are to be discarded.

Stores.  The core believes that every page holds translated code, so that each store of a guest without NX takes its
    slow way. `pages` knows better: tlb_filled() lets stores to pages without code run at full speed, mark_code()
    takes that back the moment code is translated from a page. A code page that is stored to again and again counts
    as data once more: its code is dropped.
Slow loads.  Whatever the core reads itself (descriptors, stacks) asks uc->memory_mapping first, which
    walks a table; region_of() knows where RAM is.
"""

cimport cython
from libc.stdint cimport uint32_t, uint64_t, uintptr_t
from libc.stdlib cimport calloc, free

from hyperport.engines.unicorn.fidelity.mend cimport mark_code_page
from hyperport.engines.unicorn.fields cimport at, u64
from hyperport.engines.unicorn.library cimport Library
from hyperport.memory.map cimport HP_DEVICE, HP_ROM, MemoryMap, hp_range, hp_range_at

include "layout.pxi"

cdef uint64_t PAGE_MASK = ~(<uint64_t> 0xFFF)

cdef uint64_t DEVICES_AT = <uint64_t> 1 << 40    # page tables of this core can point to all below it
cdef uint64_t BLOCKS_AT = <uint64_t> 1 << 41

cdef enum:
    STORES_BEFORE_FORGETTING = 4    # slow store fills after which a code page counts as data again


@cython.final
cdef class CodePages:
    """map: whose pages are watched. There is no code anywhere yet."""

    def __cinit__(self, MemoryMap map not None):
        self.map = map

    def __dealloc__(self):
        cdef uint32_t number
        for number in range(self.block_count):
            free(self.blocks[number].pages)

    cdef void connect(self, Library *lib, void *uc, char *cpu, char *env) noexcept:
        """Whose code it is. The core's RAM is mapped by now: ask for its region, and of device memory's."""
        self.lib, self.uc, self.cpu, self.env = lib, uc, cpu, env
        self.ram = lib.memory_mapping(uc, 0)
        self.devices = lib.memory_mapping(uc, DEVICES_AT)

    cdef bint add_blocks(self) noexcept nogil:
        """Give the core the blocks of the map that it does not have yet. False where there is no memory for that."""
        cdef CodeBlock *block
        cdef uint32_t number
        for number in range(self.block_count, self.map.block_count):
            block = &self.blocks[number]
            block.host = <uint64_t> self.map.blocks[number].host
            block.size = self.map.blocks[number].size
            block.pages = <CodePage *> calloc(block.size >> PAGE_SHIFT, sizeof(CodePage))
            if block.pages == NULL or (number and self.lib.mem_map_ptr(    # the RAM is there already
                    self.uc, block_at(number), block.size, UC_PROT_ALL, self.map.blocks[number].host)):
                free(block.pages)
                return False
            self.block_count = number + 1
        return True

    cdef CodePage *page_of(self, uint64_t host) noexcept nogil:
        """By host address; NULL where that is no guest memory."""
        cdef uint32_t number
        for number in range(self.block_count):
            if host - self.blocks[number].host < self.blocks[number].size:
                return &self.blocks[number].pages[(host - self.blocks[number].host) >> PAGE_SHIFT]
        return NULL

    def code_at(self, uint64_t address):
        """Whether translated code was made from the page at this physical address."""
        cdef const hp_range *found = hp_range_at(&self.map.flat, address)
        if found == NULL or found.host == NULL:
            return False
        return self.page_of(<uint64_t> found.host + (address - found.first)).has_code != 0

    cdef void set_page(self, void *cpu, uint64_t address, uint64_t physical, uint32_t attributes, int protection, int mmu,
                       uint64_t size) noexcept nogil:
        """The core fills a TLB entry: physical is the guest's, and becomes the core's."""
        cdef const hp_range *found = hp_range_at(&self.map.flat, physical)
        cdef char *entry
        if found == NULL or found.kind == HP_DEVICE:
            self.lib.set_page(cpu, address, DEVICES_AT + physical, attributes, protection, mmu, size)
            return
        self.lib.set_page(cpu, address, block_at(found.number) + found.offset + (physical - found.first), attributes,
                          protection, mmu, size)
        if found.kind == HP_ROM:
            entry = self.entry_of(address, mmu)
            if u64(entry, TLB_WRITE)[0] != <uint64_t> -1:
                u64(entry, TLB_WRITE)[0] = (u64(entry, TLB_WRITE)[0] & ~<uint64_t> TLB_NOT_DIRTY) | TLB_DISCARD_WRITE

    cdef char *entry_of(self, uint64_t address, int mmu) noexcept nogil:
        cdef char *fast = self.cpu + X86CPU_TLB_FAST + mmu * TLB_FAST_SIZE
        cdef uint64_t index = (address >> PAGE_SHIFT) & (u64(fast, 0)[0] >> TLB_ENTRY_SHIFT)
        return <char *> at(fast, 8) + (index << TLB_ENTRY_SHIFT)

    cdef void mark_code(self, void *host) noexcept nogil:
        cdef CodePage *page = self.page_of(<uint64_t> host)
        if page != NULL and not page.has_code:
            page.has_code = 1
            page.stores = 0
            mark_code_page(self.cpu, <void *> (<uintptr_t> host & PAGE_MASK))

    cdef void mark_code_at(self, uint64_t address) noexcept nogil:
        cdef void *host = NULL
        self.lib.code_page_host(self.env, <uint32_t> address, &host)
        if host != NULL:
            self.mark_code(host)

    cdef void *region_of(self, uint64_t address) noexcept nogil:
        """The core's MemoryRegion at its address; RAM and device memory, which never move, without its table walk."""
        if address < self.blocks[0].size:
            return self.ram
        if DEVICES_AT <= address < BLOCKS_AT:
            return self.devices
        return self.lib.memory_mapping(self.uc, address)

    cdef void tlb_filled(self, uint64_t address, int access, int mmu) noexcept nogil:
        """The core has filled a TLB entry: is a store to this page slow for a reason?"""
        cdef char *entry = self.entry_of(address, mmu)
        cdef uint64_t write
        cdef uint64_t host = (address & PAGE_MASK) + u64(entry, TLB_ADDEND)[0]
        cdef CodePage *page = self.page_of(host)
        if page == NULL:
            return
        if access == ACCESS_FETCH:
            self.mark_code(<void *> host)       # on_new_code() is not told of the very first block
        write = u64(entry, TLB_WRITE)[0]
        if write == <uint64_t> -1 or not write & TLB_NOT_DIRTY:
            return
        if page.has_code and access == ACCESS_STORE:
            page.stores += 1
            if page.stores >= STORES_BEFORE_FORGETTING:
                self.forget_code(page, host)
        if page.has_code:
            # Keep the store slow: the core drops the dirty mark of pages it believes not executable.
            if u64(entry, TLB_CODE)[0] == <uint64_t> -1:
                u64(entry, TLB_CODE)[0] = (address & PAGE_MASK) | TLB_INVALID
        elif access != ACCESS_FETCH:
            u64(entry, TLB_WRITE)[0] = write & ~(<uint64_t> TLB_NOT_DIRTY)

    cdef void forget_code(self, CodePage *page, uint64_t host) noexcept nogil:
        cdef uint64_t start = self.lib.ram_address(self.uc, <void *> (host & PAGE_MASK))
        self.lib.invalidate_range(self.uc, start, start + (1 << PAGE_SHIFT))
        page.has_code = 0
        page.stores = 0

    cdef void written(self, uint64_t host, uint64_t length) noexcept nogil:
        """The host wrote guest memory: drop the code that was translated from it."""
        cdef uint64_t end = host + length
        cdef CodePage *page
        host &= PAGE_MASK
        while host < end:
            page = self.page_of(host)
            if page != NULL and page.has_code:
                self.forget_code(page, host)
            host += 1 << PAGE_SHIFT


cdef inline uint64_t block_at(uint32_t number) noexcept nogil:
    """Where the core has a block of the map."""
    return BLOCKS_AT + (<uint64_t> number << 32) if number else 0
