# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
"""Stage 1 of an access on Unicorn: what the core's IN and OUT call, in_byte() to out_long(). Next: io/crossing.pxd,
io/path.pxd.

The core's helpers for IN and OUT call cpu_inb() to cpu_outl() through the library's import slots, which are redirected
to in_byte() to out_long() below. The public hook would first restore EIP and flags from the translator's notes for
every access; here that is done only where an access may fault.

A REP INS or OUTS arrives here at its first element, a hypercall as the OUT that its doorbell is; look_at() finds out
which it is, once for each place in translated code (sites.pxd). Strings are then done whole, calls by hypercalls.pyx. A
call of one element seldom comes that way: fidelity/rom_calls.h makes it by ring_alone(), without the ROM's code.

Permission.  The core's IOPL and TSS-bitmap check is compiled out; port_allowed() in vcpu.pyx does it. Where that
    would come too late, code_filter.pyx makes the instruction another one.
"""

cimport cython
from libc.stdint cimport int32_t, uint8_t, uint16_t, uint32_t, uint64_t, uintptr_t

from hyperport.bus.access cimport Access, describe
from hyperport.bus.port_bus cimport DIRECTION_IN, DIRECTION_OUT, HYPERCALL
from hyperport.cpu.decode cimport PortInstruction
from hyperport.cpu.fetch cimport fetch_and_decode
from hyperport.cpu.vcpu cimport ECX, EFLAGS_TF, VECTOR_GP, VECTOR_UD, begin_epoch
from hyperport.engines.unicorn.fidelity.vcpu cimport MendedVcpu
from hyperport.engines.unicorn.fields cimport u32, u64
from hyperport.engines.unicorn.hypercalls cimport Hypercalls
from hyperport.engines.unicorn.library cimport Library, redirect_call
from hyperport.engines.unicorn.places cimport forget_places
from hyperport.engines.unicorn.sites cimport (
    SITE_CALL,
    SITE_DOORBELL,
    SITE_PLAIN,
    SITE_STRING,
    Site,
    forget_sites,
    kind_at,
    site_of,
)
from hyperport.io.crossing cimport Crossing, enter, leave
from hyperport.io.hypercall cimport Call, carry_call
from hyperport.io.path cimport PortPath, carry
from hyperport.io.strings cimport StringAccess, run_string, string_of

include "layout.pxi"

cdef extern from "vcpu_thread.h":
    void *hp_current() nogil
    void hp_set_current(void *ports) nogil

cdef Library *library = NULL


# Hooks: all run on the vCPU's thread, inside uc_emu_start, without the GIL. `caller` is the return address into
# translated code, from which the core can restore EIP and flags.

cdef uint8_t in_byte(void *uc, uint32_t port, uintptr_t caller) noexcept nogil:
    if hp_current() == NULL:
        return library.in_byte(uc, port, caller)
    return <uint8_t> (<Ports> hp_current()).guest_in(port, 1, caller)


cdef uint16_t in_word(void *uc, uint32_t port, uintptr_t caller) noexcept nogil:
    if hp_current() == NULL:
        return library.in_word(uc, port, caller)
    return <uint16_t> (<Ports> hp_current()).guest_in(port, 2, caller)


cdef uint32_t in_long(void *uc, uint32_t port, uintptr_t caller) noexcept nogil:
    if hp_current() == NULL:
        return library.in_long(uc, port, caller)
    return (<Ports> hp_current()).guest_in(port, 4, caller)


cdef void out_byte(void *uc, uint32_t port, uint8_t value, uintptr_t caller) noexcept nogil:
    if hp_current() == NULL:
        library.out_byte(uc, port, value, caller)
    else:
        (<Ports> hp_current()).guest_out(port, 1, value, caller)


cdef void out_word(void *uc, uint32_t port, uint16_t value, uintptr_t caller) noexcept nogil:
    if hp_current() == NULL:
        library.out_word(uc, port, value, caller)
    else:
        (<Ports> hp_current()).guest_out(port, 2, value, caller)


cdef void out_long(void *uc, uint32_t port, uint32_t value, uintptr_t caller) noexcept nogil:
    if hp_current() == NULL:
        library.out_long(uc, port, value, caller)
    else:
        (<Ports> hp_current()).guest_out(port, 4, value, caller)


cdef void flush_code(void *cpu) noexcept nogil:
    if hp_current() != NULL:
        forget_sites(&(<Ports> hp_current()).sites)
        forget_places(&(<MendedVcpu> (<Ports> hp_current()).vcpu).places)
        begin_epoch(<MendedVcpu> (<Ports> hp_current()).vcpu)
    library.flush_code(cpu)


cdef bint ring_alone(void *ports, const void *call) noexcept nogil:
    """EIP is at a doorbell for this Call, for one element; do what call_at() does. ports: a Ports."""
    return (<Ports> ports).call_now(<const Call *> call, 0)


cdef int redirect_ports(Library *lib) except -1:
    """Let the core call these instead of its own, process-wide. Raises EngineError where it is another build."""
    global library
    library = lib
    redirect_call("in_byte", <void *> in_byte)
    redirect_call("in_word", <void *> in_word)
    redirect_call("in_long", <void *> in_long)
    redirect_call("out_byte", <void *> out_byte)
    redirect_call("out_word", <void *> out_word)
    redirect_call("out_long", <void *> out_long)
    redirect_call("flush_code", <void *> flush_code)
    return 0


@cython.final
cdef class Ports:
    """The port accesses of one vCPU. path: where they go."""

    def __init__(self, PortPath path not None):
        self.path = path

    cdef void connect(self, MendedVcpu vcpu) noexcept:
        """Whose accesses these are: the CPU that this vCPU has by now."""
        self.vcpu = <void *> vcpu
        self.lib, self.cpu, self.env = vcpu.lib, vcpu.cpu, vcpu.env

    cdef void offer(self, Hypercalls calls):
        """From now on these calls are answered."""
        self.calls = calls
        forget_sites(&self.sites)

    cdef void forget(self) noexcept nogil:
        """Translated code was thrown away while no guest runs on this thread."""
        forget_sites(&self.sites)
        forget_places(&(<MendedVcpu> self.vcpu).places)

    cdef void enter_guest(self) noexcept nogil:
        """The guest begins to run on this thread."""
        hp_set_current(<void *> self)

    cdef void leave_guest(self) noexcept nogil:
        hp_set_current(NULL)

    cdef inline uint32_t guest_in(self, uint32_t port, uint32_t size, uintptr_t caller) noexcept nogil:
        cdef Access access
        if kind_at(site_of(&self.sites, caller), caller) != SITE_PLAIN:
            if self.path.traps:
                self.trap(Crossing.IN, caller)
            self.look_at(port & 0xFFFF, False, caller)
        enter(<MendedVcpu> self.vcpu, Crossing.IN, caller)
        if u32(self.env, ENV_HFLAGS)[0] & HFLAG_CPL:
            self.check(port & 0xFFFF, size, caller)
        describe(&access, DIRECTION_IN, port & 0xFFFF, size, self.path.number, self.vcpu, caller)
        carry(self.path, &access)
        leave(<MendedVcpu> self.vcpu)
        return access.value

    cdef inline void guest_out(self, uint32_t port, uint32_t size, uint32_t value, uintptr_t caller) noexcept nogil:
        cdef Site *site = site_of(&self.sites, caller)
        cdef uint8_t kind = kind_at(site, caller)
        cdef Access access
        if kind != SITE_PLAIN:
            if self.path.traps:
                self.trap(Crossing.OUT, caller)
            if (kind == SITE_CALL and self.call_at(site)) or self.look_at(port & 0xFFFF, True, caller):
                return
        enter(<MendedVcpu> self.vcpu, Crossing.OUT, caller)
        if u32(self.env, ENV_HFLAGS)[0] & HFLAG_CPL:
            self.check(port & 0xFFFF, size, caller)
        describe(&access, DIRECTION_OUT, port & 0xFFFF, size, self.path.number, self.vcpu, caller)
        access.value = value
        carry(self.path, &access)
        leave(<MendedVcpu> self.vcpu)

    cdef void trap(self, Crossing why, uintptr_t caller) noexcept nogil:
        """#GP(0), which the path wants at every access: so nothing is ever remembered of a place. Does not return."""
        enter(<MendedVcpu> self.vcpu, why, caller)
        self.lib.raise_exception_from(self.env, VECTOR_GP, 0, caller)

    cdef void check(self, uint32_t port, uint32_t size, uintptr_t caller) noexcept nogil:
        """#GP(0) where the guest may not."""
        self.lib.restore_state(self.cpu, caller, False)
        if not (<MendedVcpu> self.vcpu).port_allowed(port, size):
            (<MendedVcpu> self.vcpu).fault(VECTOR_GP, 0)

    cdef bint look_at(self, uint32_t port, bint out, uintptr_t caller) noexcept nogil:
        """What stands at this place? True for a doorbell, which is now answered; a string of several does not return."""
        cdef Site *site = site_of(&self.sites, caller)
        cdef int doorbell = -1
        if kind_at(site, caller) == SITE_CALL and self.call_at(site):
            return True
        if kind_at(site, caller) in (SITE_CALL, SITE_DOORBELL):
            return self.ring(site)
        if kind_at(site, caller) == SITE_STRING:
            self.string_at(site)
            return False
        self.lib.restore_state(self.cpu, caller, False)
        site.caller = 0         # the next lines may leave by a page fault
        if out and self.calls is not None:
            doorbell = self.calls.doorbell_here(<MendedVcpu> self.vcpu, port)
        if doorbell >= 0:
            site.what = <uint32_t> doorbell
            site.call = self.calls.call_of(site.what)
            site.kind = SITE_CALL if site.call.alone else SITE_DOORBELL
        elif fetch_and_decode(<MendedVcpu> self.vcpu, &site.string) > 0 and site.string.string and site.string.rep:
            site.kind = SITE_STRING
            site.what = (<MendedVcpu> self.vcpu).instruction_pointer()
        else:
            site.kind = SITE_PLAIN
        site.caller = caller
        return site.kind != SITE_PLAIN and self.look_at(port, out, caller)

    cdef bint call_at(self, Site *site) noexcept nogil:
        """A doorbell for one element: its call is made. False, and nothing is done, where more is to be looked at."""
        return self.call_now(site.call, site.caller)

    cdef inline bint call_now(self, const Call *call, uintptr_t token) noexcept nogil:
        """The same. token: of the doorbell."""
        cdef uint64_t *registers = u64(self.env, ENV_REGS)
        cdef uint32_t hflags = u32(self.env, ENV_HFLAGS)[0]
        cdef uint32_t result
        cdef Access access
        if hflags & HFLAG_IOBPT or hflags & HFLAG_CPL > call.highest_cpl:
            return False
        enter(<MendedVcpu> self.vcpu, Crossing.DOORBELL, token)
        describe(&access, call.direction, registers[call.port_register] & 0xFFFF, call.size, HYPERCALL, self.vcpu, token)
        access.value = <uint32_t> registers[call.value_register]
        result = carry_call(self.path.bus, call, &access, <uint32_t> registers[call.result_register])
        if call.has_result:
            registers[call.result_register] = result
        leave(<MendedVcpu> self.vcpu)
        return True

    cdef bint ring(self, Site *site) noexcept nogil:
        """A doorbell: its call is answered, or (False) the guest may not call, and it is an ordinary OUT."""
        cdef bint done
        enter(<MendedVcpu> self.vcpu, Crossing.DOORBELL, site.caller)
        done = self.calls.ring(<MendedVcpu> self.vcpu, site.what, site.caller)
        if done:
            leave(<MendedVcpu> self.vcpu)
        return done

    cdef void string_at(self, Site *site) noexcept nogil:
        """INS or OUTS with REP; CPL and IOPL allow it, see code_filter.pyx. Returns where the core is to do the only element."""
        cdef StringAccess string
        cdef uint32_t mask = 0xFFFF if site.string.address_size == 2 else <uint32_t> 0xFFFFFFFF
        if (<MendedVcpu> self.vcpu).get(ECX) & mask == 1 and not (<MendedVcpu> self.vcpu).flags() & EFLAGS_TF:
            return
        u64(self.env, ENV_EIP)[0] = site.what       # at a REP, nothing else is still to be written back
        enter(<MendedVcpu> self.vcpu, Crossing.STRING, 0)
        string_of(<MendedVcpu> self.vcpu, &site.string, self.path.number, &string)
        if run_string(<MendedVcpu> self.vcpu, self.path.bus, &string):
            (<MendedVcpu> self.vcpu).retire(site.string.length)
        else:
            (<MendedVcpu> self.vcpu).retire(0)
        leave(<MendedVcpu> self.vcpu)
        self.lib.leave_block(self.cpu)

    cdef bint did_port_instruction(self, uint32_t vector) noexcept nogil:
        """While breakpoints are enabled or segments are not flat: a port instruction, or an element of one, by the path.

        vector: of the exception that brought us here. True if it was done.
        """
        cdef PortInstruction instruction
        if fetch_and_decode(<MendedVcpu> self.vcpu, &instruction) <= 0 or (vector == VECTOR_UD and not instruction.string):
            return False
        (<int32_t *> (self.env + ENV_OLD_EXCEPTION))[0] = -1
        (<MendedVcpu> self.vcpu).note_hits(&instruction)
        if self.path.simulate(<MendedVcpu> self.vcpu):
            return True
        (<MendedVcpu> self.vcpu).hits = 0
        return False
