# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
# EIP of places in translated code, for observers that ask at every access: the core's own answer is a search in its
# notes for each. An address stands for one instruction until the core throws its code away; see sites.pxd.
from libc.stdint cimport uint32_t, uintptr_t
from libc.string cimport memset

cdef enum:
    PLACES = 1024           # a power of two

cdef struct KnownPlace:
    uintptr_t caller
    uint32_t eip

cdef struct KnownPlaces:
    KnownPlace table[PLACES]


cdef inline KnownPlace *known_place(KnownPlaces *places, uintptr_t caller) noexcept nogil:
    """Where this place is remembered; caller tells whether it is."""
    return &places.table[(caller >> 2) & (PLACES - 1)]


cdef inline void forget_places(KnownPlaces *places) noexcept nogil:
    memset(places, 0, sizeof(KnownPlaces))
