# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
from libc.stdint cimport int32_t, uint8_t, uint32_t, uint64_t, uintptr_t

from hyperport.backends.clock cimport Clock
from hyperport.bus.attention cimport Attention
from hyperport.bus.device cimport PortDevice
from hyperport.bus.interrupt_controller cimport InterruptController
from hyperport.engines.unicorn.library cimport Library
from hyperport.memory cimport GuestMemory
from hyperport.paths.port_path cimport PortPath

cdef enum:
    MAX_LEAVES = 64
    MAX_LISTENERS = 32

cdef struct CpuidLeaf:
    uint32_t leaf, eax, ebx, ecx, edx

cdef struct CodePage:
    uint8_t has_code        # translated code was made from this page
    uint8_t stores          # slow store fills since then

cdef class UnicornEngine:
    cdef Library *lib
    cdef void *uc
    cdef char *cpu
    cdef char *env
    cdef void *low_ram          # MemoryRegion of the core, below the VGA hole
    cdef void *high_ram         # and above it
    cdef GuestMemory memory
    cdef readonly PortPath path
    cdef InterruptController controller
    cdef Attention attention
    cdef Clock clock
    cdef PortDevice pin
    cdef CpuidLeaf leaves[MAX_LEAVES]
    cdef int leaf_count
    cdef void *listeners[MAX_LISTENERS]
    cdef int listener_count
    cdef list _listening
    cdef CodePage *pages
    cdef uint64_t page_count
    cdef bint running
    cdef readonly str dead
    cdef uint64_t exception_count[256]
    cdef uint64_t software_count[256]
    cdef uint64_t interrupt_count[256]
    cdef uint64_t hlt_count
    cdef uint64_t mmio_count

    cdef _ok(self, int error, str doing)
    cdef _open(self)
    cdef _map(self)
    cdef _hook(self)
    cdef _identify(self)
    cdef _require_open(self)
    cdef void release(self) noexcept
    cdef bint service(self) noexcept nogil
    cdef uint32_t guest_in(self, uint32_t port, uint32_t size, uintptr_t caller) noexcept nogil
    cdef void guest_out(self, uint32_t port, uint32_t size, uint32_t value, uintptr_t caller) noexcept nogil
    cdef void guest_misses_memory(self) noexcept nogil
    cdef void guest_exception(self, uint32_t vector) noexcept nogil
    cdef void guest_cpuid(self) noexcept nogil
    cdef void guest_sysenter(self) noexcept nogil
    cdef void *region_of(self, uint64_t address) noexcept nogil
    cdef void tlb_filled(self, uint64_t address, int access, int mmu) noexcept nogil
    cdef uint64_t linear_eip(self) noexcept nogil
    cdef void mark_code(self, void *host) noexcept nogil
    cdef void mark_code_at(self, uint64_t address) noexcept nogil
    cdef void forget_code(self, uint64_t page) noexcept nogil
    cdef void check_port_permission(self, uint32_t port, uint32_t size, uintptr_t caller) noexcept nogil
    cdef void set_segment(self, int offset, object segment)
    cdef object get_segment(self, int offset)
    cdef void refresh_hidden_flags(self) noexcept nogil
    cdef void switch_a20(self, int level) noexcept nogil
