# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
"""What the core gets wrong of faults while an interrupt, an exception or a far call changes to an inner ring.

It gives up (cpu_abort) where TR holds no TSS; the CPU raises #TS with TR's selector, as for a TSS too short for the
stack of the new ring. It never sets EXT, bit 0 of the error code: the fault came while an event was delivered that is
not an INT n. And it raises #TS for a new stack segment that is not present, where the CPU raises #SS.
Sources: SDM vol. 2A, CALL and INT n (the pseudocode); vol. 3, 6.13 (error code), 6.15 (#TS).
"""

from libc.stdint cimport uint32_t, uint64_t, uintptr_t

from hyperport.engines.unicorn.fields cimport at, u32, u64
from hyperport.engines.unicorn.library cimport Library, redirect_invalid_tss

include "layout.pxi"

cdef extern from "execinfo.h":
    int backtrace(void **frames, int size) nogil

cdef enum:
    VECTOR_SS = 12
    VECTOR_GP = 13
    EXT = 1                         # of an error code: an external event, or one inside the CPU
    SELECTOR = 0xFFFC               # of an error code: index and table
    IN_LDT = 4
    DESCRIPTOR_WRITABLE = 1 << 9    # of its second doubleword, as the rest
    DESCRIPTOR_CODE = 1 << 11
    DESCRIPTOR_NOT_SYSTEM = 1 << 12
    DESCRIPTOR_DPL_SHIFT = 13
    DESCRIPTOR_PRESENT = 1 << 15
    STACK_KIND = DESCRIPTOR_PRESENT | DESCRIPTOR_NOT_SYSTEM | DESCRIPTOR_CODE | DESCRIPTOR_WRITABLE
    TSS_32 = 1 << 11
    DEEPEST = 16                    # calls between a helper and cpu_abort(); in fact two or three

cdef Library *library = NULL


cdef void mend_delivery(Library *opened) noexcept:
    """Before the first guest: have the core raise #TS where it gives up."""
    global library
    library = opened
    redirect_invalid_tss(raise_invalid_tss)


cdef void raise_invalid_tss(void *cpu) noexcept nogil:
    """Called in place of cpu_abort("invalid tss"); does not return.

    During delivery EIP is right. In a far call it stands in the translator's notes for the place in translated code
    that called the helper: the one return address on the stack that the core knows.
    """
    cdef void *frames[DEEPEST]
    cdef char *env = <char *> at(<char *> cpu, CPU_ENV_PTR)
    cdef int i
    for i in range(backtrace(frames, DEEPEST)):
        if library.restore_state(cpu, <uintptr_t> frames[i], True):
            break
    library.raise_exception(env, VECTOR_TS, u32(env, ENV_TR)[0] & SELECTOR)


cdef inline uint32_t load_long(char *env, uint64_t linear) noexcept nogil:
    return library.load_long(env, <uint32_t> linear, MMU_KERNEL, 0)


cdef bint new_stack_absent(char *env, uint32_t selector) noexcept nogil:
    """Is this the stack segment of an inner ring in the TSS, and all right but for its present bit?

    If so, the core has just read what is read here, so this faults no more.
    """
    cdef int table = ENV_LDT if selector & IN_LDT else ENV_GDT
    cdef uint32_t high, ring, slot
    if (selector | 7) > u32(env, table + SEGMENT_LIMIT)[0]:
        return False
    high = load_long(env, u64(env, table + SEGMENT_BASE)[0] + (selector & ~7) + 4)
    if high & STACK_KIND != DESCRIPTOR_NOT_SYSTEM | DESCRIPTOR_WRITABLE:
        return False
    ring = high >> DESCRIPTOR_DPL_SHIFT & 3
    slot = 8 + 8 * ring if u32(env, ENV_TR + SEGMENT_FLAGS)[0] & TSS_32 else 4 + 4 * ring
    if ring >= u32(env, ENV_HFLAGS)[0] & HFLAG_CPL or slot + 3 > u32(env, ENV_TR + SEGMENT_LIMIT)[0]:
        return False
    return load_long(env, u64(env, ENV_TR + SEGMENT_BASE)[0] + slot) & 0xFFFF == (selector | ring)


cdef uint32_t mended_fault(char *cpu, uint32_t vector, bint external) noexcept nogil:
    """What fault_of_delivery() says, where there may be something to mend."""
    cdef char *env = <char *> at(cpu, CPU_ENV_PTR)
    cdef uint32_t *error_code = u32(env, ENV_ERROR_CODE)
    if vector == VECTOR_TS and error_code[0] & SELECTOR and new_stack_absent(env, error_code[0] & SELECTOR):
        vector = VECTOR_SS
        u32(cpu, CPU_EXCEPTION_INDEX)[0] = vector
    if external and VECTOR_TS <= vector <= VECTOR_GP:
        error_code[0] |= EXT
    return vector
