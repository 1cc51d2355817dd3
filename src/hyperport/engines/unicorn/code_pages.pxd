# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
from libc.stdint cimport uint8_t, uint64_t

from hyperport.engines.unicorn.library cimport Library
from hyperport.memory.ram cimport GuestMemory

cdef enum:
    PAGE_SHIFT = 12

cdef uint64_t PAGE_MASK

cdef struct CodePage:
    uint8_t has_code        # translated code was made from this page
    uint8_t stores          # slow store fills since then

cdef class CodePages:
    cdef GuestMemory memory
    cdef CodePage *pages
    cdef uint64_t count
    cdef Library *lib
    cdef void *uc
    cdef char *cpu
    cdef char *env
    cdef void *low_ram          # MemoryRegion of the core, below the hole
    cdef void *high_ram         # and above it
    cdef bint first_blocks      # of a run: the core does not tell of the first that it translates

    cdef void connect(self, Library *lib, void *uc, char *cpu, char *env) noexcept
    cdef void *region_of(self, uint64_t address) noexcept nogil
    cdef void tlb_filled(self, uint64_t address, int access, int mmu) noexcept nogil
    cdef void mark_code(self, void *host) noexcept nogil
    cdef void mark_code_at(self, uint64_t address) noexcept nogil
    cdef void forget_code(self, uint64_t page) noexcept nogil
    cdef void written(self, uint64_t address, uint64_t length) noexcept nogil
