# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
cdef extern from "zeroes.h":
    void *hp_zeroes(size_t size) nogil
    void hp_unmap_zeroes(void *made, size_t size) nogil
