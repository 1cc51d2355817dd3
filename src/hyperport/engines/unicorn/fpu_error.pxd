# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
ctypedef void *(*current_function)() noexcept nogil

cdef int install_fpu_error(current_function current) except -1
