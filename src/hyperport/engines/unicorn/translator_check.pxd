# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
from hyperport.engines.unicorn.library cimport Library

cdef int check_translator(Library *library) except -1
