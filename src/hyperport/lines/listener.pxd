# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
cdef class Listener:
    cdef void on_timer(self, int number) noexcept nogil
    cdef void on_line(self, int number, int level) noexcept nogil
    cdef void on_input(self) noexcept nogil
