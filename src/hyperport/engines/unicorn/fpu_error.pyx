# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
"""x87 errors with CR0.NE clear: the pin FERR#, which the core leaves out (SDM vol. 1, appendix D).

An unmasked x87 exception sets ES in the status word. The core looks at it in FWAIT (and FNOP) alone: with CR0.NE that is
#MF, without it nothing. Its helpers of FWAIT and FNCLEX are replaced by those below, and a call of x87_begins() stands
before each other x87 or MMX instruction that waits. To wait with an error that has not been told yet drives the line
`ferr` low and high: devices/fpu_error.pyx makes IRQ 13 of the edge. If that interrupt can be taken now, it is taken before
that instruction, which a processor would hold until then; so it returns to it.

That an error has been told is a bit of the core's status word that the guest cannot see: TOP has its own field, and
its bits in fpus are masked out wherever the word is read. FNINIT, FNSAVE, FLDENV, FRSTOR and FXRSTOR clear it in the
core's own code, FNCLEX in ours.

Not modelled: a processor that cannot take the interrupt stops where it waits, ours goes on. A state moved to another
vCPU tells an error that is still there once more.
"""

from libc.stdint cimport uint16_t, uint32_t, uintptr_t

from hyperport.cpu.vcpu cimport EFLAGS_IF
from hyperport.engines.unicorn.fidelity.mend cimport mend_waits
from hyperport.engines.unicorn.fields cimport u32, u64
from hyperport.engines.unicorn.library cimport Library, load_library, replace_helper
from hyperport.engines.unicorn.vcpu cimport UnicornVcpu
from hyperport.io.crossing cimport Crossing, enter, leave

include "layout.pxi"

cdef extern from "vcpu_thread.h":
    uintptr_t hp_return_address "(uintptr_t) __builtin_return_address"(int level) nogil

cdef enum:
    CR0_EM = 1 << 2
    CR0_TS = 1 << 3
    CR0_NE = 1 << 5
    VECTOR_MF = 16
    FPUS_ES = 1 << 7
    FPUS_TOLD = 1 << 11     # ours, in the place of TOP's lowest bit
    FPUS_FNCLEX = 0x4700    # what FNCLEX keeps of the word: the condition codes

cdef Library *library = NULL
cdef current_function current_vcpu = NULL


cdef inline uint16_t *status_word(void *env) noexcept nogil:
    return <uint16_t *> (<char *> env + ENV_FPUS)


cdef void fwait(void *env) noexcept nogil:
    wait_at(env, hp_return_address(0))


cdef void x87_begins(void *env) noexcept nogil:
    if status_word(env)[0] & FPUS_ES and not u64(<char *> env, ENV_CR)[0] & (CR0_EM | CR0_TS):      # those are #NM
        wait_at(env, hp_return_address(0))


cdef inline void wait_at(void *env, uintptr_t caller) noexcept nogil:
    cdef uint16_t *word = status_word(env)
    if not word[0] & FPUS_ES:
        return
    if u64(<char *> env, ENV_CR)[0] & CR0_NE:
        library.raise_exception_from(env, VECTOR_MF, 0, caller)
    elif not word[0] & FPUS_TOLD and current_vcpu() != NULL:
        word[0] |= FPUS_TOLD
        tell(<UnicornVcpu> current_vcpu(), caller)


cdef void fnclex(void *env) noexcept nogil:
    status_word(env)[0] &= FPUS_FNCLEX


cdef void tell(UnicornVcpu vcpu, uintptr_t caller) noexcept nogil:
    """An edge of FERR#, and the interrupt before the FWAIT at caller if it can be taken. May leave by longjmp."""
    enter(vcpu, Crossing.FAULT, caller)
    vcpu.ferr.drive(0)
    vcpu.ferr.drive(1)
    leave(vcpu)
    if u32(vcpu.cpu, CPU_INTERRUPT_REQUEST)[0] & INTERRUPT_HARD and u64(vcpu.env, ENV_EFLAGS)[0] & EFLAGS_IF:
        library.restore_state(vcpu.cpu, caller, True)
        u32(vcpu.env, ENV_HFLAGS)[0] &= ~<uint32_t> HFLAG_INHIBIT_IRQ       # a processor that waits is past the shadow
        library.leave_block(vcpu.cpu)


cdef int install_fpu_error(current_function current) except -1:
    """Replace the core's helpers, process-wide. current: the UnicornVcpu that runs on this thread, or NULL.

    Raises EngineError for another build of the library.
    """
    global library, current_vcpu
    current_vcpu = current
    library = load_library()
    replace_helper(b"helper_fwait_x86_64", <void *> fwait)
    replace_helper(b"helper_fclex_x86_64", <void *> fnclex)
    mend_waits(x87_begins)
    return 0
