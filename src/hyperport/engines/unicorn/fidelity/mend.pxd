# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
from libc.stdint cimport int32_t, uint8_t, uint32_t, uint64_t

from hyperport.engines.unicorn.fields cimport u32
from hyperport.engines.unicorn.library cimport Library
from hyperport.memory.map cimport hp_map

include "../layout.pxi"

cdef int mend_core(void *flush_code, void *sleeps) except -1
cdef int mend_cpu(Library *library, void *uc) except -1
cdef void *new_jumps(void *uc) except NULL
cdef void free_jumps(void *jumps) noexcept
cdef int do_calls(void *jumps, char *tables, bint (*ring)(void *context, const void *call) noexcept nogil,
                  void *context) except -1
cdef void add_bell(void *jumps, bint input, uint32_t size, const char *code, const void *call) noexcept
cdef add_stub(void *jumps, stub, const char *image)
cdef void *new_code_limits() except NULL
cdef void free_code_limits(void *limits) noexcept
cdef void *new_coverage() except NULL
cdef void free_coverage(void *table) noexcept
cdef void set_coverage(void *table) noexcept nogil
cdef covered_code(void *coverage)
cdef void mark_code_page(void *cpu, void *page) noexcept nogil
cdef void remember_blocks(void *jumps) noexcept nogil
cdef void enter_guest(void *env, const hp_map *memory, void *code_limits) noexcept nogil
cdef void leave_guest() noexcept nogil
cdef void *count_instructions(void *uc, uint64_t *target, uint64_t (*tsc)(void *clock) noexcept nogil, void *clock) except NULL
cdef int32_t *instructions_left(void *cpu) noexcept nogil
cdef void set_counting(void *counter) noexcept nogil
cdef void limit_block(void *counter, bint exact) noexcept nogil
cdef void look_up(void *cpu) noexcept nogil
cdef void withhold(void *counter) noexcept nogil
cdef void *between_blocks() noexcept nogil
cdef void inside_block(void *inside) noexcept nogil
cdef void begin_instruction(void *tcg, uint32_t address, bint aligned, bint small, bint probes, bint counts) noexcept nogil
cdef bint beyond_code_limit(void *env, uint64_t linear) noexcept nogil
cdef bint near_code_limit(void *env, void *tcg, uint64_t linear) noexcept nogil
cdef void segments_changed(void *env) noexcept nogil
cdef uint64_t *page_attributes(void *env) noexcept nogil
cdef uint64_t time_stamp(void *env) noexcept nogil
cdef uint64_t time_stamp_offset(void *env) noexcept nogil
cdef void set_tsc_base(uint64_t base) noexcept nogil
cdef void set_time_stamp(void *env, uint64_t ticks) noexcept nogil
cdef void debug_registers_loaded(void *env, uint32_t dr7) noexcept nogil
cdef void registers_loaded(void *env) noexcept nogil
cdef bint segment_allows(void *env, int segment, uint32_t offset, uint32_t size, bint store) noexcept nogil
cdef int segment_vector(int segment) noexcept nogil
cdef bint ports_watched(void *env) noexcept nogil
cdef uint32_t port_hits(void *env, uint32_t port, uint32_t size) noexcept nogil
cdef void doorbell_accessed(void *env, uint32_t hits) noexcept nogil
cdef void raise_trap(void *env, uint32_t hits) noexcept nogil
cdef void exception_begins(void *env, uint32_t vector) noexcept nogil


cdef inline bint one_by_one(void *env) noexcept nogil:
    """Must a string of ports come to its path, which looks at breakpoints and segments?"""
    return u32(<char *> env, ENV_HFLAGS)[0] & (HFLAG_IOBPT | HFLAG_SEGMENTS | HFLAG_FS | HFLAG_GS) != 0
