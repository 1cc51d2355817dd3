# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
"""An observer that waits for one access and then says so, once. While it waits, a filter is all it costs an access."""

from hyperport.bus.access cimport Access
from hyperport.bus.port_bus cimport PortObserver
from hyperport.lines.attention cimport Attention
from hyperport.observe.filter_program cimport FilterProgram, Seen, look_at

from hyperport.lines.attention import StopKind


cdef class PortMark(PortObserver):
    """Calls callback(), on the vCPU's thread, at the first access that program takes after `armed` was set.

    An exception that callback raises ends the run and comes out of run().
    """

    cdef FilterProgram filter
    cdef Attention attention
    cdef object callback
    cdef public bint armed

    def __init__(self, FilterProgram program not None, callback, Attention attention not None, bint armed=True):
        self.filter, self.callback, self.attention, self.armed = program, callback, attention, armed

    cdef void access(self, Access *access) noexcept nogil:
        cdef Seen seen
        if not self.armed:
            return
        look_at(&seen, access)
        if self.filter.passes(&seen):
            self.armed = False
            self.reached()

    cdef void reached(self) noexcept with gil:
        try:
            self.callback()
        except BaseException as error:
            self.attention.stop(StopKind.DEVICE_ERROR, 0, error)
