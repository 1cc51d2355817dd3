# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
from hyperport.cpu.vcpu cimport Vcpu
from hyperport.engines.shared.counters cimport Counters
from hyperport.engines.shared.look_up cimport LookUp
from hyperport.io.hypercall cimport CallTable
from hyperport.lines.attention cimport Attention
from hyperport.lines.interrupt_controller cimport InterruptController

cdef class Runs:
    cdef str name
    cdef Attention attention
    cdef InterruptController controller
    cdef LookUp looks
    cdef Counters counters
    cdef CallTable calls        # None: no hypercalls
    cdef bint running
    cdef bint closed

    cdef require_open(self)
    cdef begin(self, bint elsewhere)
    cdef object asked(self)
    cdef take_calls(self, CallTable calls, kinds)
    cdef close(self)
    cdef void let_go(self, void *kicked) noexcept
    cdef int acknowledge(self) noexcept nogil
    cdef void perform(self, Vcpu vcpu, int action, int rules) noexcept nogil
