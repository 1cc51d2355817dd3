# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
"""The one way from guest code into the VMM and back: enter() and leave(), inline in crossing.pxd. Next: io/path.pxd.

What is to happen at every crossing besides what it is about (posted writes are drained, a moment is stamped, an access
is recorded or replayed) is a CrossingHook. While there is none, enter() is two stores, one load and one branch.

A guest fault leaves by longjmp, so leave() may not run, and enter() holds nothing that it would have to undo: no lock,
no reference, no depth. A second enter() replaces the first. Interrupts are delivered at the engine's own delivery
point, which is a crossing too. The bus tallies; nothing is counted here.
"""

from libc.stdint cimport uint32_t

from hyperport.cpu.vcpu cimport MAX_HOOKS, Place as CPlace, Vcpu

from hyperport.bus.access import Place
from hyperport.errors import ConfigError


cdef class CrossingHook:
    """What else is to happen at every crossing, before the crossing is served. On the vCPU's thread, without the GIL."""

    cdef void crossed(self, Vcpu vcpu, uint32_t why) noexcept nogil:
        """vcpu.token goes with vcpu.place(). May not fault."""
        pass


cdef class CallbackHook(CrossingHook):
    """Hands each crossing to a Python callable, as a Crossing and a Place. What it raises is kept in failure, and ends it."""

    cdef object callback
    cdef readonly object failure

    def __init__(self, callback):
        self.callback = callback

    cdef void crossed(self, Vcpu vcpu, uint32_t why) noexcept with gil:
        cdef CPlace place
        if self.failure is not None:
            return
        vcpu.place(vcpu.token, &place)
        try:
            self.callback(Crossing(why), Place(place.cs, place.eip, place.cpl, place.exact))
        except Exception as error:
            self.failure = error


cdef void go_beyond(Vcpu vcpu) noexcept nogil:
    """Call every hook, in order of their bits."""
    cdef uint32_t left = vcpu.beyond, why = vcpu.why
    cdef int number = 0
    if left == 1:           # the one hook that most machines have
        (<CrossingHook> vcpu.hooks[0]).crossed(vcpu, why)
        return
    while left:
        if left & 1:
            (<CrossingHook> vcpu.hooks[number]).crossed(vcpu, why)
        left >>= 1
        number += 1


cdef void enter_from_python(void *vcpu) noexcept nogil:
    enter(<Vcpu> vcpu, Crossing.PYTHON, 0)


cdef void wake(Vcpu vcpu, CrossingHook what, bint awake) noexcept nogil:
    """Let what, which is hooked, hear of crossings, or let it be quiet without unhook(): then it costs nothing."""
    cdef int number
    cdef uint32_t bit
    for number in range(MAX_HOOKS):
        bit = <uint32_t> 1 << number
        if vcpu.hooks_taken & bit and vcpu.hooks[number] == <void *> what:
            vcpu.beyond = vcpu.beyond | bit if awake else vcpu.beyond & ~bit
            return


def hook(Vcpu vcpu not None, CrossingHook what not None):
    """Call what at every crossing of vcpu, until unhook(). Raises ConfigError for too many."""
    cdef int number
    for number in range(MAX_HOOKS):
        if not vcpu.hooks_taken >> number & 1:
            vcpu.hooked.append(what)
            vcpu.hooks[number] = <void *> what
            vcpu.hooks_taken |= <uint32_t> 1 << number
            vcpu.beyond |= <uint32_t> 1 << number
            return
    raise ConfigError(f"more than {MAX_HOOKS} hooks at the crossings of one vCPU")


def unhook(Vcpu vcpu not None, CrossingHook what not None):
    """Call what no more; nothing happens if it is not hooked."""
    cdef int number
    for number in range(MAX_HOOKS):
        if vcpu.hooks_taken >> number & 1 and vcpu.hooks[number] == <void *> what:
            vcpu.hooks_taken &= ~(<uint32_t> 1 << number)
            vcpu.beyond &= ~(<uint32_t> 1 << number)
            vcpu.hooked.remove(what)
