# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
from hyperport.lines.interrupt_controller cimport InterruptController

cdef class KernelIrqchip(InterruptController):
    cdef int vm
