# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
from libc.stdint cimport uint8_t, uint64_t

from hyperport.memory.map cimport MemoryMap

cdef enum:
    HOLE = 0xA0000          # video memory of a VGA's graphics modes: nobody is there
    HOLE_END = 0xB8000      # from here on plain RAM: text memory, then the areas of option ROMs and the BIOS
    TEXT = 0xB8000          # 32 KiB of a colour VGA's text memory

cdef class GuestMemory:
    cdef uint8_t *base
    cdef readonly uint64_t size
    cdef readonly MemoryMap map
    cdef public object guard        # see machine/guard.py; None: whoever comes
