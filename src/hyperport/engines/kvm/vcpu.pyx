# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
"""The registers and memory of a vCPU on KVM: engine.pyx makes it run, this file reads and changes it.

While the guest runs, the registers are wanted only where a doorbell was rung. The kernel then hands them over in the
page that it shares with us (KVM_CAP_SYNC_REGS), or is asked for them. What a call changes goes back at the next entry.
Guest memory is reached as the MMU would (cpu/page_walk.pyx). A fault leaves guarded_answer() by longjmp.
"""

from libc.stdint cimport uint8_t, uint32_t, uint64_t, uintptr_t
from libc.string cimport memcpy, memset

from hyperport.io.hypercall cimport Call, CallTable
from hyperport.cpu.vcpu cimport EFLAGS_IF, EFLAGS_VM, VECTOR_GP, Place, Vcpu
from hyperport.cpu.page_walk cimport WALK_FETCH, WALK_LOAD, WALK_OK, WALK_STORE, WALK_UNSEEN, WALK_USER, Paging, walk
from hyperport.io.memory cimport load_at, store_at
from hyperport.memory.map cimport hp_host_at
from hyperport.engines.kvm.structs cimport (
    KVM_GET_DEBUGREGS,
    KVM_GET_MP_STATE,
    KVM_GET_MSRS,
    KVM_GET_REGS,
    KVM_GET_SREGS,
    KVM_GET_VCPU_EVENTS,
    KVM_GET_XSAVE,
    KVM_MP_STATE_HALTED,
    KVM_MP_STATE_RUNNABLE,
    KVM_SET_DEBUGREGS,
    KVM_SET_MP_STATE,
    KVM_SET_MSRS,
    KVM_SET_REGS,
    KVM_SET_SREGS,
    KVM_SET_VCPU_EVENTS,
    KVM_SET_XSAVE,
    KVM_SYNC_X86_REGS,
    KVM_SYNC_X86_SREGS,
    KVM_VCPUEVENT_VALID_SHADOW,
    hp_general,
    hp_guarded,
    hp_ioctl,
    hp_leave,
    kvm_debugregs,
    kvm_regs,
    kvm_segment,
    kvm_sregs,
    kvm_vcpu_events,
    kvm_xsave,
)

import os
import struct

from hyperport.cpu.state import PAT_RESET, REGISTERS, CpuState, Event, FpuState, Segment, Table
from hyperport.errors import EngineError

cdef extern from "segment_rule.h":
    int hp_segment_allows(uint32_t limit, uint32_t flags, int kinds, uint32_t offset, uint32_t size, int write) nogil
    enum:
        FLAT "(SEGMENT_PRESENT | SEGMENT_NOT_SYSTEM | SEGMENT_WRITABLE)"
        FLAT_MASK "(SEGMENT_PRESENT | SEGMENT_NOT_SYSTEM | SEGMENT_WRITABLE | SEGMENT_CODE | SEGMENT_DOWN)"

cdef enum:
    CR0_PE = 1
    SEGMENT_SS = 2
    VECTOR_SS = 12
    EFER_NXE_SHIFT = 11
    VECTOR_PF = 14
    MSR_SYSENTER_CS = 0x174
    MSR_SYSENTER_ESP = 0x175
    MSR_SYSENTER_EIP = 0x176
    MSR_PAT = 0x277
    MSR_TSC = 0x10
    MSR_TSC_ADJUST = 0x3B
    MSRS = 6                    # that CPUID tells of, besides EFER
    FXSAVE_SIZE = 512           # the start of an XSAVE area (SDM vol. 1, 13.4); then come the bits of what is valid
    XSTATE_BV = FXSAVE_SIZE // 4
    X87_AND_SSE = 3

cdef uint64_t NOWHERE = <uint64_t> -1       # physical address of what has none

cdef struct MsrEntry:                       # struct kvm_msr_entry
    uint32_t index
    uint32_t reserved
    uint64_t data

cdef struct Msrs:                           # struct kvm_msrs with its entries
    uint32_t count
    uint32_t padding
    MsrEntry entries[MSRS]


cdef struct Answering:
    void *calls
    void *vcpu
    Call *call


cdef int answer_it(void *context, uint32_t unused) noexcept nogil:
    cdef Answering *what = <Answering *> context
    return (<CallTable> what.calls).answer(<Vcpu> what.vcpu, what.call)


cdef uint32_t descriptor_flags(kvm_segment *segment) noexcept nogil:
    """As in the second word of a descriptor: what segment_rule.h looks at."""
    return (<uint32_t> segment.type << 8 | <uint32_t> segment.s << 12 | <uint32_t> segment.db << 22
            | <uint32_t> (segment.present and not segment.unusable) << 15)


cdef class KvmVcpu(Vcpu):
    """What the ABIs see of the guest, and all registers for boot code and reports."""

    cdef void share_registers(self, bint synced) noexcept:
        """Choose where fetch_registers() finds them: the shared page, or a copy of our own."""
        self.synced = synced
        self.regs = &self.vcpu.run.s.regs.regs if synced else &self.own_regs
        self.sregs = &self.vcpu.run.s.regs.sregs if synced else &self.own_sregs
        self.vcpu.run.kvm_valid_regs = KVM_SYNC_X86_REGS | KVM_SYNC_X86_SREGS if synced else 0

    cdef int fetch_registers(self) noexcept nogil:
        """After an exit: make get() and all that follows from registers valid. 0, or an errno."""
        cdef int error = 0
        self.changed = False
        if not self.synced:
            error = hp_ioctl(self.vcpu.fd, KVM_GET_REGS, self.regs)
            if not error:
                error = hp_ioctl(self.vcpu.fd, KVM_GET_SREGS, self.sregs)
        return error

    cdef int store_registers(self) noexcept nogil:
        """Give back what put() changed. 0, or an errno."""
        if not self.changed:
            return 0
        self.changed = False
        if self.synced:
            self.vcpu.run.kvm_dirty_regs |= KVM_SYNC_X86_REGS
            return 0
        return hp_ioctl(self.vcpu.fd, KVM_SET_REGS, self.regs)

    # Vcpu.

    cdef void place(self, uintptr_t token, Place *place) noexcept nogil:
        """At the exit of an OUT, EIP may be behind the instruction. Does not disturb what fetch_registers() has fetched."""
        cdef kvm_regs regs
        cdef kvm_sregs sregs
        memset(place, 0, sizeof(Place))
        if self.vcpu.run == NULL:
            return
        if self.synced:
            memcpy(&regs, &self.vcpu.run.s.regs.regs, sizeof(kvm_regs))
            memcpy(&sregs, &self.vcpu.run.s.regs.sregs, sizeof(kvm_sregs))
        elif hp_ioctl(self.vcpu.fd, KVM_GET_REGS, &regs) or hp_ioctl(self.vcpu.fd, KVM_GET_SREGS, &sregs):
            return
        place.cs = sregs.cs.selector
        place.eip = <uint32_t> regs.rip
        place.cpl = 0 if not sregs.cr0 & CR0_PE else 3 if regs.rflags & EFLAGS_VM else sregs.ss.dpl & 3

    cdef uint32_t get(self, int register) noexcept nogil:
        return <uint32_t> hp_general(self.regs, register)[0]

    cdef void put(self, int register, uint32_t value) noexcept nogil:
        hp_general(self.regs, register)[0] = value
        self.changed = True

    cdef uint32_t instruction_pointer(self) noexcept nogil:
        return <uint32_t> self.regs.rip

    cdef bint locate(self, uint32_t *linear, uint64_t *physical) noexcept nogil:
        if self.fetch_registers():
            return False
        linear[0] = <uint32_t> (self.sregs.cs.base + self.regs.rip)
        physical[0] = self.code_address()
        return True

    cdef void jump(self, uint32_t distance) noexcept nogil:
        self.regs.rip = <uint32_t> (self.regs.rip + distance)
        self.changed = True
        self.store_registers()

    cdef uint32_t flags(self) noexcept nogil:
        return <uint32_t> self.regs.rflags

    cdef uint32_t privilege(self) noexcept nogil:
        if not self.sregs.cr0 & CR0_PE:
            return 0
        return 3 if self.regs.rflags & EFLAGS_VM else self.sregs.ss.dpl & 3

    cdef bint code_is_32_bit(self) noexcept nogil:
        return self.sregs.cs.db != 0

    cdef uint32_t segment_base(self, int segment) noexcept nogil:
        return <uint32_t> self.segment(segment).base

    cdef const uint8_t *code_at(self, uint32_t linear) noexcept nogil:
        return hp_host_at(&self.memory.map.flat, self.translate(linear, WALK_FETCH), 1, False)

    cdef uint8_t *probe(self, uint32_t linear, uint32_t length, bint store) noexcept nogil:
        return hp_host_at(&self.memory.map.flat, self.translate(linear, WALK_STORE if store else WALK_LOAD), length, store)

    cdef uint32_t load(self, uint32_t linear, uint32_t size) noexcept nogil:
        cdef uint64_t first = self.translate(linear, WALK_LOAD)
        cdef uint64_t last = self.translate(linear + size - 1, WALK_LOAD)
        return load_at(self, self.path.bus, self.memory.map, first, last, size, 0)

    cdef void store(self, uint32_t linear, uint32_t size, uint32_t value) noexcept nogil:
        cdef uint64_t first = self.translate(linear, WALK_STORE)    # a fault leaves nothing half stored
        cdef uint64_t last = self.translate(linear + size - 1, WALK_STORE)
        store_at(self, self.path.bus, self.memory.map, first, last, size, value, 0)

    cdef void fault(self, int vector, int error_code) noexcept nogil:
        self.fault_vector = vector
        self.fault_error = <uint32_t> error_code
        hp_leave()

    cdef bint segment_checked(self, int segment) noexcept nogil:
        """Unless it is present, writable, from 0 to 4 GiB."""
        cdef uint32_t limit = self.segment(segment).limit
        cdef uint32_t flags = descriptor_flags(self.segment(segment)) & FLAT_MASK
        return limit != <uint32_t> 0xFFFFFFFF or flags != FLAT

    cdef int segment_fault(self, int segment, uint32_t offset, uint32_t size, bint store) noexcept nogil:
        cdef kvm_segment *found = self.segment(segment)
        if hp_segment_allows(found.limit, descriptor_flags(found),
                             self.sregs.cr0 & CR0_PE and not self.regs.rflags & EFLAGS_VM, offset, size, store):
            return 0
        return VECTOR_SS if segment == SEGMENT_SS else VECTOR_GP

    cdef kvm_segment *segment(self, int number) noexcept nogil:
        """ES, CS, SS, DS, FS, GS by their number in encodings."""
        if number == 0:
            return &self.sregs.es
        if number == 1:
            return &self.sregs.cs
        if number == 2:
            return &self.sregs.ss
        if number == 3:
            return &self.sregs.ds
        return &self.sregs.fs if number == 4 else &self.sregs.gs

    cdef uint64_t translate(self, uint32_t linear, uint32_t access) noexcept nogil:
        """Physical address for an access at the guest's present privilege. May fault."""
        cdef Paging paging = Paging(<uint32_t> self.sregs.cr0, <uint32_t> self.sregs.cr3, <uint32_t> self.sregs.cr4,
                                    (self.sregs.efer >> EFER_NXE_SHIFT) & 1)
        cdef uint64_t physical = NOWHERE
        cdef uint32_t wanted = access | (WALK_USER if self.privilege() == 3 else 0)
        cdef int error = walk(&self.memory.map.flat, &paging, linear, wanted, &physical)
        if error != WALK_OK:
            self.page_fault(linear, error)
        return physical

    cdef void page_fault(self, uint32_t linear, int error) noexcept nogil:
        self.fault_address = linear
        self.fault(VECTOR_PF, error)

    cdef uint64_t code_address(self) noexcept nogil:
        """Physical address of CS:EIP, NOWHERE if there is none. Does not fault."""
        cdef Paging paging = Paging(<uint32_t> self.sregs.cr0, <uint32_t> self.sregs.cr3, <uint32_t> self.sregs.cr4, False)
        cdef uint64_t physical = NOWHERE
        if walk(&self.memory.map.flat, &paging, <uint32_t> (self.sregs.cs.base + self.regs.rip), WALK_UNSEEN,
                &physical) != WALK_OK:
            return NOWHERE
        return physical

    cdef int guarded_answer(self, CallTable calls, Call *call) noexcept nogil:
        """A call that touches guest memory: its CallAction, or FAULTED (inject_fault() is next)."""
        cdef Answering what
        what.calls = <void *> calls
        what.vcpu = <void *> self
        what.call = call
        return hp_guarded(answer_it, &what, 0)

    cdef int inject_fault(self, uint32_t eip) noexcept nogil:
        """The exception that ended guarded_answer() hits the guest at eip. No operation may be pending. 0, or an errno."""
        cdef kvm_vcpu_events events
        cdef int error
        self.regs.rip = eip
        self.changed = True
        error = self.store_registers()
        if not error and self.fault_vector == VECTOR_PF:
            memcpy(&self.own_sregs, self.sregs, sizeof(kvm_sregs))
            self.own_sregs.cr2 = self.fault_address
            error = hp_ioctl(self.vcpu.fd, KVM_SET_SREGS, &self.own_sregs)
        if not error:
            error = hp_ioctl(self.vcpu.fd, KVM_GET_VCPU_EVENTS, &events)
        if not error:
            events.flags = 0
            events.exception.injected = 1
            events.exception.pending = 0
            events.exception.nr = <uint8_t> self.fault_vector
            events.exception.has_error_code = 1
            events.exception.error_code = self.fault_error
            error = hp_ioctl(self.vcpu.fd, KVM_SET_VCPU_EVENTS, &events)
        return error

    cdef bint event_waits(self) noexcept nogil:
        """True while an exception or interrupt has been given to KVM and has not reached the guest's handler."""
        cdef kvm_vcpu_events events
        if hp_ioctl(self.vcpu.fd, KVM_GET_VCPU_EVENTS, &events):
            return False
        return (events.exception.injected | events.exception.pending | events.interrupt.injected) != 0

    # The whole register file.

    cdef _ioctl(self, unsigned long request, void *argument, str doing):
        if self.vcpu.run == NULL:
            raise EngineError("kvm: the machine has been closed; make a new one")
        cdef int error = hp_ioctl(self.vcpu.fd, request, argument)
        if error:
            raise EngineError(f"kvm: {doing}: {os.strerror(error)}; the kernel refuses this state")

    def state(self):
        """All registers as a CpuState."""
        cdef kvm_regs regs
        cdef kvm_sregs sregs
        cdef kvm_vcpu_events events
        cdef kvm_xsave extended
        cdef kvm_debugregs debug
        cdef uint32_t activity
        cdef Msrs msrs = wanted_msrs()
        self._ioctl(KVM_GET_REGS, &regs, "reading registers")
        self._ioctl(KVM_GET_SREGS, &sregs, "reading registers")
        self._ioctl(KVM_GET_VCPU_EVENTS, &events, "reading events")
        self._ioctl(KVM_GET_MSRS, &msrs, "reading MSRs")
        self._ioctl(KVM_GET_DEBUGREGS, &debug, "reading debug registers")
        if self.irqchip:
            self._ioctl(KVM_GET_MP_STATE, &activity, "reading whether it halts")
            self.waits = activity == KVM_MP_STATE_HALTED
        state = CpuState(
            eip=<uint32_t> regs.rip, eflags=<uint32_t> regs.rflags, cr0=<uint32_t> sregs.cr0, cr2=<uint32_t> sregs.cr2,
            cr3=<uint32_t> sregs.cr3, cr4=<uint32_t> sregs.cr4, efer=sregs.efer,
            es=get_segment(&sregs.es), cs=get_segment(&sregs.cs), ss=get_segment(&sregs.ss),
            ds=get_segment(&sregs.ds), fs=get_segment(&sregs.fs), gs=get_segment(&sregs.gs),
            ldtr=get_segment(&sregs.ldt), tr=get_segment(&sregs.tr),
            gdtr=Table(<uint32_t> sregs.gdt.base, sregs.gdt.limit), idtr=Table(<uint32_t> sregs.idt.base, sregs.idt.limit),
            sysenter_cs=<uint32_t> msrs.entries[0].data, sysenter_esp=<uint32_t> msrs.entries[1].data,
            sysenter_eip=<uint32_t> msrs.entries[2].data, halted=self.waits,
            interrupt_shadow=events.interrupt.shadow != 0, event=waiting_event(&events),
            dr0=<uint32_t> debug.db[0], dr1=<uint32_t> debug.db[1], dr2=<uint32_t> debug.db[2], dr3=<uint32_t> debug.db[3],
            dr6=<uint32_t> debug.dr6, dr7=<uint32_t> debug.dr7, pat=msrs.entries[3].data, tsc=msrs.entries[4].data,
            tsc_adjust=msrs.entries[5].data,
        )
        for number, name in enumerate(REGISTERS):
            setattr(state, name, <uint32_t> hp_general(&regs, <int> number)[0])
        self._ioctl(KVM_GET_XSAVE, &extended, "reading x87 and SSE registers")
        state.fpu = fpu_in((<char *> &extended)[:FXSAVE_SIZE])
        return state

    def set_state(self, state):
        """Load all registers; the guest must be stopped. Raises EngineError for a state that KVM refuses."""
        cdef kvm_regs regs
        cdef kvm_sregs sregs
        cdef kvm_vcpu_events events
        cdef kvm_xsave extended
        cdef bytes image = fxsave_image(state.fpu)
        cdef uint32_t activity = KVM_MP_STATE_HALTED if state.halted else KVM_MP_STATE_RUNNABLE
        cdef kvm_debugregs debug
        cdef Msrs msrs = wanted_msrs()
        msrs.entries[0].data, msrs.entries[1].data = state.sysenter_cs, state.sysenter_esp
        msrs.entries[2].data, msrs.entries[3].data = state.sysenter_eip, state.pat
        if state.tsc is None:
            msrs.count -= 2
        else:
            msrs.entries[4].data, msrs.entries[5].data = state.tsc, state.tsc_adjust
        if self.vcpu.entered:       # only from another thread
            raise EngineError("kvm: registers cannot be loaded while the guest runs")
        memset(&regs, 0, sizeof(kvm_regs))
        for number, name in enumerate(REGISTERS):
            hp_general(&regs, <int> number)[0] = <uint32_t> getattr(state, name)
        regs.rip = <uint32_t> state.eip
        regs.rflags = <uint32_t> state.eflags | 2
        self._ioctl(KVM_GET_SREGS, &sregs, "reading registers")         # for what a CpuState has not
        sregs.cr0, sregs.cr2, sregs.cr3, sregs.cr4, sregs.efer = state.cr0, state.cr2, state.cr3, state.cr4, state.efer
        sregs.cs, sregs.ss, sregs.ds = made_segment(state.cs), made_segment(state.ss), made_segment(state.ds)
        sregs.es, sregs.fs, sregs.gs = made_segment(state.es), made_segment(state.fs), made_segment(state.gs)
        sregs.ldt, sregs.tr = made_segment(state.ldtr), made_segment(state.tr)
        sregs.gdt.base, sregs.gdt.limit = state.gdtr.base, state.gdtr.limit
        sregs.idt.base, sregs.idt.limit = state.idtr.base, state.idtr.limit
        memset(sregs.interrupt_bitmap, 0, sizeof(sregs.interrupt_bitmap))
        memset(&events, 0, sizeof(kvm_vcpu_events))
        events.flags = KVM_VCPUEVENT_VALID_SHADOW
        events.interrupt.shadow = 1 if state.interrupt_shadow else 0
        if state.event is not None and state.event.interrupt:
            events.interrupt.injected, events.interrupt.nr = 1, state.event.vector
        elif state.event is not None:
            events.exception.injected, events.exception.nr = 1, state.event.vector
            if state.event.error is not None:
                events.exception.has_error_code, events.exception.error_code = 1, state.event.error
        memset(&debug, 0, sizeof(kvm_debugregs))
        debug.db[0], debug.db[1], debug.db[2], debug.db[3] = state.dr0, state.dr1, state.dr2, state.dr3
        debug.dr6, debug.dr7 = state.dr6, state.dr7
        self._ioctl(KVM_GET_XSAVE, &extended, "reading x87 and SSE registers")
        memcpy(&extended, <const char *> image, FXSAVE_SIZE)
        extended.region[XSTATE_BV] |= X87_AND_SSE
        self._ioctl(KVM_SET_XSAVE, &extended, "loading x87 and SSE registers")
        self._ioctl(KVM_SET_SREGS, &sregs, "loading control and segment registers")
        self._ioctl(KVM_SET_REGS, &regs, "loading registers")
        self._ioctl(KVM_SET_MSRS, &msrs, "loading MSRs")
        self._ioctl(KVM_SET_DEBUGREGS, &debug, "loading debug registers")
        self._ioctl(KVM_SET_VCPU_EVENTS, &events, "loading events")
        if self.irqchip:
            self._ioctl(KVM_SET_MP_STATE, &activity, "loading whether it halts")
        self.vcpu.run.kvm_dirty_regs = 0
        self.vcpu.run.ready_for_interrupt_injection = (
            state.eflags & EFLAGS_IF and not state.interrupt_shadow and state.event is None)
        self.waits = state.halted


# FXSAVE (SDM vol. 2A): control, status, tags, opcode, two pointers, MXCSR and its mask, ST(0) to ST(7), XMM registers.
FXSAVE_HEAD = struct.Struct("<HHBxHQQI4x")
FXSAVE_SLOT = 16


def fxsave_image(fpu):
    """An FpuState as FXSAVE stores it, XMM0 to XMM7 only."""
    slots = b"".join(value.ljust(FXSAVE_SLOT, b"\0") for value in (*fpu.stack, *fpu.xmm))
    head = FXSAVE_HEAD.pack(fpu.control, fpu.status, fpu.in_use, fpu.opcode, fpu.code_at, fpu.data_at, fpu.mxcsr)
    return (head + slots).ljust(FXSAVE_SIZE, b"\0")


def fpu_in(image):
    """The FpuState of an FXSAVE image."""
    control, status, in_use, opcode, code_at, data_at, mxcsr = FXSAVE_HEAD.unpack_from(image)
    slots = [image[at:at + FXSAVE_SLOT] for at in range(FXSAVE_HEAD.size, FXSAVE_HEAD.size + 16 * FXSAVE_SLOT, FXSAVE_SLOT)]
    return FpuState(control, status, in_use, tuple(slot[:10] for slot in slots[:8]), mxcsr, tuple(slots[8:]),
                    opcode, code_at, data_at)


cdef object get_segment(const kvm_segment *segment):
    """attributes: bits 8 to 23 of a descriptor's second doubleword."""
    attributes = (segment.type << 8 | segment.s << 12 | segment.dpl << 13 | (segment.present and not segment.unusable) << 15
                  | segment.avl << 20 | segment.db << 22 | segment.g << 23)
    return Segment(segment.selector, <uint32_t> segment.base, segment.limit, attributes)


cdef kvm_segment made_segment(object segment):
    cdef kvm_segment made
    cdef uint32_t attributes = segment.attributes
    memset(&made, 0, sizeof(kvm_segment))
    made.selector, made.base, made.limit = segment.selector, segment.base, segment.limit
    made.type = attributes >> 8 & 15
    made.s = attributes >> 12 & 1
    made.dpl = attributes >> 13 & 3
    made.present = attributes >> 15 & 1
    made.avl = attributes >> 20 & 1
    made.db = attributes >> 22 & 1
    made.g = attributes >> 23 & 1
    made.unusable = not made.present
    return made


cdef Msrs wanted_msrs():
    cdef Msrs msrs
    msrs.count = MSRS
    msrs.padding = 0
    msrs.entries[0] = MsrEntry(MSR_SYSENTER_CS, 0, 0)
    msrs.entries[1] = MsrEntry(MSR_SYSENTER_ESP, 0, 0)
    msrs.entries[2] = MsrEntry(MSR_SYSENTER_EIP, 0, 0)
    msrs.entries[3] = MsrEntry(MSR_PAT, 0, PAT_RESET)
    msrs.entries[4] = MsrEntry(MSR_TSC, 0, 0)
    msrs.entries[5] = MsrEntry(MSR_TSC_ADJUST, 0, 0)
    return msrs


cdef object waiting_event(kvm_vcpu_events *events):
    """What KVM has been given, or has found, and not delivered yet; None if nothing."""
    if events.exception.injected or events.exception.pending:
        return Event(events.exception.nr, False, events.exception.error_code if events.exception.has_error_code else None)
    return Event(events.interrupt.nr, True) if events.interrupt.injected else None
