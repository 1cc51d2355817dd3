# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
from libc.stdint cimport uint8_t, uint32_t, uint64_t

from hyperport.engines.unicorn.library cimport Library
from hyperport.memory.map cimport BLOCKS, MemoryMap

cdef enum:
    PAGE_SHIFT = 12

cdef uint64_t DEVICES_AT

cdef struct CodePage:
    uint8_t has_code        # translated code was made from this page
    uint8_t stores          # slow store fills since then

cdef struct CodeBlock:      # one block of guest memory
    uint64_t host           # its first byte
    uint64_t size
    CodePage *pages

cdef class CodePages:
    cdef MemoryMap map
    cdef CodeBlock blocks[BLOCKS]
    cdef uint32_t block_count
    cdef Library *lib
    cdef void *uc
    cdef char *cpu
    cdef char *env
    cdef void *ram              # the core's MemoryRegion of the RAM
    cdef void *devices          # and of all that is no memory
    cdef bint first_blocks      # of a run: the core does not tell of the first that it translates

    cdef int connect(self, Library *lib, void *uc, char *cpu, char *env) except -1
    cdef void enter_guest(self) noexcept nogil
    cdef void leave_guest(self) noexcept nogil
    cdef bint add_blocks(self) noexcept nogil
    cdef CodePage *page_of(self, uint64_t host) noexcept nogil
    cdef void set_page(self, void *cpu, uint64_t address, uint64_t physical, uint32_t attributes, int protection, int mmu,
                       uint64_t size) noexcept nogil
    cdef void *region_of(self, uint64_t address) noexcept nogil
    cdef void tlb_filled(self, uint64_t address, int access, int mmu) noexcept nogil
    cdef char *entry_of(self, uint64_t address, int mmu) noexcept nogil
    cdef void mark_code(self, void *host) noexcept nogil
    cdef void mark_code_at(self, uint64_t address) noexcept nogil
    cdef void forget_code(self, CodePage *page, uint64_t host) noexcept nogil
    cdef void written(self, uint64_t host, uint64_t length) noexcept nogil
