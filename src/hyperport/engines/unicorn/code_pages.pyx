# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
"""Which guest pages hold translated code, and where memory is: what makes a guest's stores and slow loads fast.

Map.  The core has memory of its own at addresses that stay as they are: the RAM at 0, block n of the map at BLOCKS_AT +
    n * 4 GiB, and at DEVICES_AT one region for all that is no memory, whose offset is the guest-physical address. The
    guest's map is made where the core fills its TLB: set_page() turns the physical address that the page walk gave into
    the core's. So an alias is the same page to the core, and so is its translated code; a change of the map is a flush of
    the TLB. ROM is memory whose TLB entries say that stores are to be discarded.

Stores.  The core believes that every page holds translated code, so that each store of a guest without NX takes its
    slow way. It drops the code that such a store overwrites; stored_to() sees to it that it finds all of it.
    `pages` knows better: tlb_filled() lets stores to pages without code run at full speed, mark_code() takes that back
    the moment code is translated from a page. A code page that is stored to again and again counts as data once more:
    its code is dropped.
Slow loads.  Whatever the core reads itself (descriptors, stacks) asks uc->memory_mapping first, which
    walks a table; region_of() knows where RAM is.
"""

cimport cython
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t, uintptr_t
from libc.stdlib cimport calloc, free

from hyperport.engines.unicorn.fidelity.mend cimport between_blocks, inside_block, look_up, mark_code_page
from hyperport.engines.unicorn.fields cimport at, u64
from hyperport.engines.unicorn.library cimport Library, redirect_call, tlb_fill_function
from hyperport.memory.map cimport HP_DEVICE, HP_ROM, MemoryMap, hp_host_at, hp_range, hp_range_at

include "layout.pxi"

cdef extern from "vcpu_thread.h":
    void *hp_current() nogil            # the CodePages of the guest that runs on this thread
    void hp_set_current(void *pages) nogil

cdef uint64_t PAGE_MASK = ~(<uint64_t> 0xFFF)

cdef uint64_t DEVICES_AT = <uint64_t> 1 << 40    # page tables of this core can point to all below it
cdef uint64_t BLOCKS_AT = <uint64_t> 1 << 41

cdef enum:
    BITMAP_PIECE = 16               # bytes; a divisor of the bitmap's word of 64 bits
    STORES_BEFORE_FORGETTING = 4    # slow store fills after which a code page counts as data again

cdef Library *library = NULL


cdef void set_page(void *cpu, uint64_t address, uint64_t physical, uint32_t attributes, int protection, int mmu,
                   uint64_t size) noexcept nogil:
    if hp_current() == NULL:
        library.set_page(cpu, address, physical, attributes, protection, mmu, size)
    else:
        (<CodePages> hp_current()).set_page(cpu, address, physical, attributes, protection, mmu, size)


cdef void store_table_long(void *cpu, uint64_t address, uint32_t value) noexcept nogil:
    """A page walk sets a bit in a table. Tables are read (fidelity/tlb.h) and marked by guest-physical address."""
    if hp_current() == NULL:
        library.store_table_long(cpu, address, value)
        return
    cdef uint8_t *host = hp_host_at(&(<CodePages> hp_current()).map.flat, address, 4, True)
    if host != NULL:
        (<uint32_t *> host)[0] = value


cdef void stored_to(void *uc, void *locked, uint64_t start, int length, uintptr_t return_address) noexcept nogil:
    """A store into a page with code, or a probe for a string's elements. May leave by longjmp.

    After ten of these the core looks in a bitmap of the page, a bit for each byte: at no more bits than an int has. So it
    gets pieces of aligned bytes, and drops all code that a sector of REP INSW overwrites.
    """
    cdef int piece
    while length > 0:
        piece = min(length, BITMAP_PIECE - <int> (start & (BITMAP_PIECE - 1)))
        library.drop_code_stored_to(uc, locked, start, piece, return_address)
        start += <uint64_t> piece
        length -= piece


cdef struct BlockRecord:            # uc_tb of unicorn.h
    uint64_t pc
    uint16_t instructions
    uint16_t size


cdef void on_new_code(void *uc, BlockRecord *block, BlockRecord *previous, void *user) noexcept nogil:
    # A block lies in one page or two; at the top of the linear space the sum wraps.
    (<CodePages> user).first_blocks = False
    (<CodePages> user).mark_code_at(block.pc)
    if (block.pc ^ (block.pc + block.size - 1)) & PAGE_MASK:
        (<CodePages> user).mark_code_at(block.pc + block.size - 1)


cdef tlb_fill_function plain_tlb_fill = NULL


cdef bint tlb_fill(void *cpu, uint64_t address, int size, int access, int mmu, bint probe,
                   uintptr_t return_address) noexcept nogil:
    cdef void *inside = between_blocks() if access == ACCESS_FETCH else NULL
    cdef bint filled = plain_tlb_fill(cpu, address, size, access, mmu, probe, return_address)
    inside_block(inside)
    if not filled:
        return False
    if hp_current() != NULL:
        (<CodePages> hp_current()).tlb_filled(address, access, mmu)
    return True


cdef void *memory_mapping(void *uc, uint64_t address) noexcept nogil:
    if hp_current() == NULL:
        return library.memory_mapping(uc, address)
    return (<CodePages> hp_current()).region_of(address)


@cython.final
cdef class CodePages:
    """map: whose pages are watched. There is no code anywhere yet."""

    def __cinit__(self, MemoryMap map not None):
        self.map = map

    def __dealloc__(self):
        cdef uint32_t number
        for number in range(self.block_count):
            free(self.blocks[number].pages)

    cdef int connect(self, Library *lib, void *uc, char *cpu, char *env) except -1:
        """Hear of what the core does, whose RAM and device memory are mapped by now. Returns its error, or 0."""
        global library, plain_tlb_fill
        cdef size_t handle
        cdef uint64_t first = 1, last = 0       # begin > end: every address
        self.lib, self.uc, self.cpu, self.env = lib, uc, cpu, env
        self.ram = lib.memory_mapping(uc, 0)
        self.devices = lib.memory_mapping(uc, DEVICES_AT)
        library = lib
        plain_tlb_fill = lib.tlb_fill
        redirect_call("set_page", <void *> set_page)
        redirect_call("store_table_long", <void *> store_table_long)
        redirect_call("drop_code_stored_to", <void *> stored_to)
        (<void **> (<char *> uc + UC_MEMORY_MAPPING))[0] = <void *> memory_mapping
        (<void **> (<char *> at(cpu, CPU_CLASS) + CLASS_TLB_FILL))[0] = <void *> tlb_fill
        return lib.hook_add(uc, &handle, UC_HOOK_EDGE_GENERATED, <void *> on_new_code, <void *> self, first, last)

    cdef void enter_guest(self) noexcept nogil:
        """A guest begins to run on this thread, and these are its pages."""
        hp_set_current(<void *> self)
        self.first_blocks = True

    cdef void leave_guest(self) noexcept nogil:
        hp_set_current(NULL)

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
        if hp_current() == <void *> self:
            look_up(self.cpu)       # the block that runs may be one of these, and lead to itself

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
