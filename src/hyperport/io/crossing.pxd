# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
# Every way from guest code into the VMM passes enter(); crossing.pyx says what that is for.
from libc.stdint cimport uint32_t, uintptr_t

from hyperport.cpu.vcpu cimport Vcpu

cpdef enum Crossing:        # why guest code was left
    GUEST = 0               # it was not
    IN = 1                  # one element
    OUT = 2
    STRING = 3
    DOORBELL = 4            # a hypercall by an OUT at its own place
    INSTRUCTION = 5         # an instruction that the core does not know: a hypercall such as VMCALL, or #UD
    VECTOR = 6              # INT n: a hypercall, or the guest's own
    FAULT = 7               # an exception; #GP(0) may be a port access
    EXIT = 8                # the engine came back for none of the other reasons: an interrupt window, a kick
    DRAIN = 9               # posted writes are taken out of their ring
    MMIO = 10               # a load or store where no RAM is
    HLT = 11
    DELIVERY = 12           # between two instructions: look up, deliver an interrupt
    STOP = 13               # the run ends: the monitor or a debugger has the guest now
    PYTHON = 14             # an access that Python makes: monitor, debugger, test, script

cdef class CrossingHook:
    cdef void crossed(self, Vcpu vcpu, uint32_t why) noexcept nogil

cdef void wake(Vcpu vcpu, CrossingHook what, bint awake) noexcept nogil
cdef void go_beyond(Vcpu vcpu) noexcept nogil
cdef void enter_from_python(void *vcpu) noexcept nogil


cdef inline void enter(Vcpu vcpu, Crossing why, uintptr_t token) noexcept nogil:
    """Guest code was left. token: what vcpu.place() will want; 0 where the registers are exact."""
    vcpu.why = why
    vcpu.token = token
    if vcpu.beyond:
        go_beyond(vcpu)


cdef inline void leave(Vcpu vcpu) noexcept nogil:
    """Back to guest code. Interrupts that were raised meanwhile have asked for the engine's delivery point themselves."""
    vcpu.why = GUEST
