# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
from libc.stdint cimport uint8_t, uint64_t

cdef enum:
    HOLE = 0xA0000          # video memory of a VGA's graphics modes: nobody is there
    HOLE_END = 0xB8000      # from here on plain RAM: text memory, then the areas of option ROMs and the BIOS
    TEXT = 0xB8000          # 32 KiB of a colour VGA's text memory

ctypedef void (*invalidate_function)(void *context, uint64_t address, uint64_t length) noexcept nogil

cdef class GuestMemory:
    cdef uint8_t *base
    cdef readonly uint64_t size
    cdef invalidate_function invalidate
    cdef void *invalidate_context
    cdef public object guard        # see machine/guard.py; None: whoever comes
