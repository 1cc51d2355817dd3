# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
from libc.stdint cimport uint32_t

from hyperport.engines.unicorn.library cimport Library

cdef void mend_delivery(Library *opened) noexcept
cdef uint32_t fault_of_delivery(char *cpu, uint32_t vector, bint external) noexcept nogil
