# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
from libc.stdint cimport uint32_t

from hyperport.engines.unicorn.library cimport Library

cdef enum:
    VECTOR_TS = 10

cdef void mend_delivery(Library *opened) noexcept
cdef uint32_t mended_fault(char *cpu, uint32_t vector, bint external) noexcept nogil


cdef inline uint32_t fault_of_delivery(char *cpu, uint32_t vector, bint external) noexcept nogil:
    """Mend vector and error code of a fault; external: an event other than INT n was being delivered."""
    return mended_fault(cpu, vector, external) if external or vector == VECTOR_TS else vector
