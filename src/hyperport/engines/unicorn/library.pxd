# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
from libc.stdint cimport int32_t, uint8_t, uint16_t, uint32_t, uint64_t, uintptr_t

ctypedef bint (*tlb_fill_function)(void *cpu, uint64_t address, int size, int access, int mmu, bint probe,
                                   uintptr_t return_address) noexcept nogil
ctypedef bint (*exec_interrupt_function)(void *cpu, int request) noexcept nogil
ctypedef int (*start_function)(void *uc, uint64_t begin, uint64_t until, uint64_t timeout, size_t count) noexcept nogil

ctypedef void *(*memory_mapping_function)(void *uc, uint64_t address) noexcept nogil

cdef struct Library:
    # public API
    int (*open)(int arch, int mode, void **uc) noexcept nogil
    int (*close)(void *uc) noexcept nogil
    int (*ctl)(void *uc, int control, ...) noexcept nogil
    int (*mem_map_ptr)(void *uc, uint64_t address, uint64_t size, uint32_t perms, void *pointer) noexcept nogil
    int (*mmio_map)(void *uc, uint64_t address, uint64_t size, void *read, void *read_data, void *write,
                    void *write_data) noexcept nogil
    int (*mem_protect)(void *uc, uint64_t address, uint64_t size, uint32_t perms) noexcept nogil
    int (*hook_add)(void *uc, size_t *hook, int kind, void *callback, void *user, uint64_t begin, uint64_t end,
                    ...) noexcept nogil
    int (*reg_read)(void *uc, int register, void *value) noexcept nogil
    int (*reg_write)(void *uc, int register, const void *value) noexcept nogil
    start_function emu_start
    int (*emu_stop)(void *uc) noexcept nogil
    const char *(*strerror)(int code) noexcept nogil
    # private symbols that the library exports
    void (*do_interrupt)(void *cpu) noexcept nogil
    void (*do_hardware_interrupt)(void *env, int vector, int is_hardware) noexcept nogil
    int (*pending_interrupt)(void *cpu, int request) noexcept nogil
    bint (*restore_state)(void *cpu, uintptr_t return_address, bint will_exit) noexcept nogil
    void (*raise_exception)(void *env, int vector, int error_code) noexcept nogil
    uint32_t (*load_word)(void *env, uint64_t address, int mmu, uintptr_t return_address) noexcept nogil
    uint32_t (*load_byte)(void *env, uint64_t address, int mmu, uintptr_t return_address) noexcept nogil
    uint32_t (*load_long)(void *env, uint64_t address, int mmu, uintptr_t return_address) noexcept nogil
    void (*store_byte)(void *env, uint64_t address, uint32_t value, int mmu, uintptr_t return_address) noexcept nogil
    void (*store_word)(void *env, uint64_t address, uint32_t value, int mmu, uintptr_t return_address) noexcept nogil
    void (*store_long)(void *env, uint64_t address, uint32_t value, int mmu, uintptr_t return_address) noexcept nogil
    void *(*probe_access)(void *env, uint64_t address, int size, int access, int mmu,
                          uintptr_t return_address) noexcept nogil
    void (*raise_exception_from)(void *env, int vector, int error_code, uintptr_t return_address) noexcept nogil
    void (*leave_block)(void *cpu) noexcept nogil
    void (*flush_code)(void *cpu) noexcept nogil
    void (*flush_tlb)(void *cpu) noexcept nogil
    void (*update_cr0)(void *env, uint32_t value) noexcept nogil
    void (*update_cr3)(void *env, uint64_t value) noexcept nogil
    void (*update_cr4)(void *env, uint32_t value) noexcept nogil
    void (*set_a20)(void *cpu, int on) noexcept nogil
    uint64_t (*code_page_host)(void *env, uint64_t address, void **host) noexcept nogil
    uint64_t (*ram_address)(void *uc, void *host) noexcept nogil
    void (*invalidate_range)(void *uc, uint64_t start, uint64_t end) noexcept nogil
    void (*drop_code_stored_to)(void *uc, void *pages, uint64_t start, int length, uintptr_t return_address) noexcept nogil
    tlb_fill_function tlb_fill
    exec_interrupt_function exec_interrupt
    memory_mapping_function memory_mapping
    # what the core's IN and OUT and its translator call; redirect_call() puts others in their place
    uint8_t (*in_byte)(void *uc, uint32_t port, uintptr_t return_address) noexcept nogil
    uint16_t (*in_word)(void *uc, uint32_t port, uintptr_t return_address) noexcept nogil
    uint32_t (*in_long)(void *uc, uint32_t port, uintptr_t return_address) noexcept nogil
    void (*out_byte)(void *uc, uint32_t port, uint8_t value, uintptr_t return_address) noexcept nogil
    void (*out_word)(void *uc, uint32_t port, uint16_t value, uintptr_t return_address) noexcept nogil
    void (*out_long)(void *uc, uint32_t port, uint32_t value, uintptr_t return_address) noexcept nogil
    uint32_t (*fetch_byte)(void *env, uint64_t address) noexcept nogil
    # what the translator calls for a call of a helper, and for a way out of a block
    void (*emit_call)(void *tcg, void *function, void *result, int count, void **arguments) noexcept nogil
    void (*emit_exit)(void *tcg, void *block, unsigned reason) noexcept nogil
    void *check_exit_request
    void (*set_page)(void *cpu, uint64_t address, uint64_t physical, uint32_t attributes, int protection, int mmu,
                     uint64_t size) noexcept nogil
    void (*store_table_long)(void *cpu, uint64_t address, uint32_t value) noexcept nogil

cdef Library *load_library() except NULL
cdef void *library_handle() noexcept
cdef int redirect(bytes name, void *function) except -1
cdef int redirect_call(str field, void *function) except -1
cdef int replace_helper(const char *name, void *function) except -1
cdef int check_layout(Library *library, void *uc) except -1
cdef int guarded_start(start_function start, void *uc, uint64_t begin) noexcept nogil
cdef void guarded_close(Library *library, void *uc) noexcept nogil
cdef void redirect_invalid_tss(void (*function)(void *cpu) noexcept nogil) noexcept
cdef str guard_reason()
