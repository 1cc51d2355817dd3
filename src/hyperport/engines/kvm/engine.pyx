# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
"""Stage 1 of an access on KVM: loop() gets it as an exit of KVM_RUN. Next:
io/crossing.pxd, io/path.pxd.

loop() is the vCPU's life, without the GIL: look up, offer an interrupt, enter the guest, serve the exit. What an exit
says of a port access is complete, size and count apart: REP INS arrives with its count, REP OUTS one element at a time.

Completion.  An access is over only when KVM_RUN is entered again: then KVM stores what IN read, moves EIP, and may
    exit once more for the rest of the same instruction. So nothing leaves loop() before KVM_RUN has been entered with
    immediate_exit set and has come back with EINTR; that is an instruction boundary.
Interrupts.  With our own 8259A an interrupt is given to KVM (KVM_INTERRUPT) when the guest can take it, else a window
    is asked for. With `--kvm-irqchip on` the kernel has the controllers, the timer and HLT.
Kicks.  See vcpu_thread.h.
Doorbells.  An OUT to a port that some doorbell uses is looked at: its physical address must be that of the doorbell.
    At the exit of an OUT, EIP is at the instruction or behind it, as the processor's and KVM's fast way have it, so
    both are tried. A call that must be done again, or that faults, first lets KVM complete the OUT, and then moves EIP
    back to it.
Posted writes.  OUTs to ports that were given to coalesce() wait in a ring of the kernel. They are taken, in order,
    after every return of KVM_RUN, which a timer makes come every millisecond.
"""

cimport cython
from cpython.buffer cimport PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer
from libc.errno cimport EAGAIN, EINTR
from libc.stdint cimport uint8_t, uint32_t, uint64_t, uintptr_t
from libc.string cimport memcpy

from hyperport.bus.access cimport Access, describe
from hyperport.bus.port_bus cimport DIRECTION_IN, DIRECTION_OUT, POSTED
from hyperport.cpu.vcpu cimport EFLAGS_IF
from hyperport.engines.kvm.irqchip cimport KernelIrqchip
from hyperport.engines.kvm.structs cimport (
    HP_RING_SLOTS,
    KVM_EXIT_FAIL_ENTRY,
    KVM_EXIT_HLT,
    KVM_EXIT_INTERNAL_ERROR,
    KVM_EXIT_IO,
    KVM_EXIT_IO_IN,
    KVM_EXIT_IRQ_WINDOW_OPEN,
    KVM_EXIT_MMIO,
    KVM_EXIT_SHUTDOWN,
    KVM_INTERRUPT,
    KVM_MEM_READONLY,
    KVM_SET_USER_MEMORY_REGION,
    hp_arm_timer,
    hp_be_vcpu,
    hp_clear_immediate_exit,
    hp_enter,
    hp_ioctl,
    hp_kick,
    hp_make_timer,
    hp_ring_last,
    hp_ring_taken,
    hp_take_kick_signal,
    hp_vcpu,
    hp_vcpu_of_this_thread,
    kvm_coalesced_mmio,
    kvm_coalesced_mmio_ring,
    kvm_run,
    kvm_userspace_memory_region,
    timer_delete,
    timer_t,
)
from hyperport.engines.kvm.vcpu cimport FAULTED, KvmVcpu
from hyperport.engines.shared.run cimport Runs
from hyperport.io.crossing cimport Crossing, enter, leave
from hyperport.io.memory cimport bytes_in, bytes_out
from hyperport.io.hypercall cimport ACTION_AGAIN, ACTION_NOT_OURS, ACTION_NOTHING, VECTORS, Call, CallTable, Doorbell
from hyperport.io.path cimport PortPath, carry
from hyperport.lines.attention cimport Attention
from hyperport.lines.interrupt_controller cimport InterruptController
from hyperport.lines.irq cimport IrqLine
from hyperport.lines.listener cimport Listener
from hyperport.memory.map cimport HP_RANGES, HP_ROM, hp_map, hp_range, hp_range_at
from hyperport.memory.ram cimport GuestMemory
from hyperport.time.clock cimport Clock

import os

from hyperport.abi.convention import Action, Entry
from hyperport.cpu import cpuid
from hyperport.engines.base import Stop
from hyperport.engines.kvm import api
from hyperport.errors import ConfigError, EngineError
from hyperport.lines.attention import StopKind
from hyperport.time.tsc import tsc_khz

cdef enum Ended:            # how loop() ended
    GOES_ON = -1
    ENDED_STOP = 0          # a stop was asked for
    ENDED_HALT = 1
    ENDED_TRIPLE_FAULT = 2
    ENDED_ABORT = 3

cdef enum:
    PAGE_SIZE = 4096
    DRAIN_NS = 1000000      # posted writes wait no longer
    SETTLE_NS = 20000       # first guess of the time in which an event reaches its handler
    LONGEST_SETTLE_NS = 10000000

NEED_THE_CPU = (Action.FLUSH_TLB, Action.SET_TS, Action.HALT)
SUBERRORS = {1: "emulation failed", 2: "simultaneous exceptions", 3: "delivery of an event failed",
             4: "an exit that KVM does not know"}


cdef void on_map_change(void *context) noexcept nogil:
    (<KvmEngine> context).map_changed()


cdef void ignore_map_change(void *context) noexcept nogil:
    pass


cdef bint same_slot(kvm_userspace_memory_region *one, kvm_userspace_memory_region *other) noexcept nogil:
    return one.flags == other.flags and one.guest_phys_addr == other.guest_phys_addr \
        and one.memory_size == other.memory_size and one.userspace_addr == other.userspace_addr


cdef void kick(void *context) noexcept nogil:
    """Make KVM_RUN return, from any thread."""
    hp_kick(<hp_vcpu *> context)


@cython.final
@cython.no_gc_clear         # __dealloc__ needs memory, path, runs and the descriptors
cdef class KvmEngine(KvmVcpu):
    """One i386 vCPU on /dev/kvm.

    memory: the guest's RAM. path: where port accesses go. controller: owner of the INTR line. attention: what may
    interrupt the run. clock: whose timers to fire. Raises EngineError where KVM cannot be had.

    With a KernelIrqchip as controller the kernel has the chips, the timer and HLT: run() does not return Stop(HALT), and
    a CpuState is not all there is to the machine.
    """

    name = "kvm"
    paths = ("exit", "hypercall", "exitless")

    def __init__(self, GuestMemory memory not None, PortPath path not None, InterruptController controller not None,
                 Attention attention not None, Clock clock not None):
        cdef uint32_t number
        self.memory = memory
        self.path = path
        self.runs = Runs(self.name, attention, controller, clock)
        self.pin = Listener()         # KVM has no A20 gate: address line 20 always passes
        if not hp_take_kick_signal():
            raise EngineError("kvm: every real-time signal is taken: free one, or use --engine unicorn")
        self.irqchip = isinstance(controller, KernelIrqchip)
        for number in range(<uint32_t> HP_RANGES):
            self.slots[number].slot = number
        self.vm = api.VirtualMachine(irqchip=self.irqchip)
        self.vm_fd = self.vm.vm
        memory.map.changed_context = <void *> self
        memory.map.changed = on_map_change
        self.map_changed()
        self.check_map()
        if self.irqchip:
            (<KernelIrqchip> controller).vm = self.vm.vm
        self.shared = memoryview(self.vm.shared)
        self.vcpu.fd = self.vm.vcpu
        self.vcpu.run = <kvm_run *> address_of(self.shared)
        self.share_registers(False)
        if self.vm.has(api.Cap.SET_TSS_ADDR):
            self._ioctl_on(self.vm.vm, api.SET_TSS_ADDR, api.TSS_AT)
        self.vm.set_cpuid(cpuid.leaves(tsc_khz=tsc_khz()))
        attention.kick_context = &self.vcpu
        attention.kick = kick
        path.connect(self)

    def check_map(self):
        """Raise EngineError if the kernel has refused a piece of the map."""
        if self.map_error:
            why = os.strerror(self.map_error)
            if not self.vm.has(api.Cap.READONLY_MEM):
                why += ", for it has no read-only memory"
            raise EngineError(f"kvm: the kernel does not take the memory map: {why}; {api.ADVICE}")

    def _ioctl_on(self, int descriptor, unsigned long request, unsigned long argument):
        cdef int error = hp_ioctl(descriptor, request, <void *> argument)
        if error:
            raise EngineError(f"kvm: setting up the machine: {os.strerror(error)}; {api.ADVICE}")

    def offer(self, CallTable calls not None, cpuid_leaves=None):
        """Answer the calls of doorbells. cpuid_leaves: what CPUID shows besides the CPU.

        Raises ConfigError for other conventions: KVM answers VMCALL itself, and INT never leaves it.
        """
        self.runs.take_calls(calls, (Entry.DOORBELL,))
        for convention in calls.conventions:
            if any(answer.action in NEED_THE_CPU for answer in convention.calls.values()):
                raise ConfigError(f"engine kvm cannot offer ABI {convention.name}: a call of it halts or changes the CPU")
        self.calls = calls
        if cpuid_leaves:
            self.vm.set_cpuid(cpuid.leaves(cpuid_leaves, tsc_khz()))
        self.share_registers(self.vm.has(api.Cap.SYNC_REGS) & 3 == 3)

    def take_images(self, images):
        """The processor runs their code."""

    def coalesce(self, attributes):
        """Let OUTs wait in the kernel's ring while PortAttributes let them. Raises EngineError if it has none."""
        page = self.vm.has(api.Cap.COALESCED_MMIO)
        if not page or not self.vm.has(api.Cap.COALESCED_PIO):
            raise EngineError("kvm: the kernel cannot coalesce port writes: it is older than 5.1; leave out --kvm-coalesce")
        self.vm.coalesce(attributes)
        self.posted = <kvm_coalesced_mmio_ring *> (<char *> self.vcpu.run + <int> page * PAGE_SIZE)

    def signal_on_write(self, port, size, eventfd):
        """Let the kernel count OUTs of size bytes to port in an eventfd, without an exit. Raises EngineError."""
        if not self.vm.has(api.Cap.IOEVENTFD):
            raise EngineError("kvm: the kernel has no ioeventfd")
        self.vm.signal_on_write(port, size, eventfd)

    cdef void release(self) noexcept:
        if self.vcpu.run == NULL:
            return
        self.runs.let_go(&self.vcpu)
        if self.memory.map.changed_context == <void *> self:
            self.memory.map.changed = ignore_map_change
        self.path.disconnect(self)
        self.vcpu.run = NULL
        self.posted = NULL
        if self.irqchip:
            (<KernelIrqchip> self.runs.controller).vm = -1
        self.shared.release()
        self.vm.close()

    def close(self):
        """Give the vCPU back; only counters() works afterwards. Raises EngineError while the guest runs."""
        self.runs.close()
        self.release()

    def __dealloc__(self):
        if self.vm is not None:
            self.release()

    def listen(self, Listener listener not None):
        """Let listener hear on_input() when host input has arrived."""
        self.runs.looks.listen(listener)

    # Running.

    def run(self, bint sleep=False):
        """Run until HLT, a stop request, a triple fault or a failure of KVM; returns a Stop."""
        cdef int ended
        cdef timer_t drain_timer
        self.runs.begin(hp_vcpu_of_this_thread() != NULL)
        self.check_map()
        stop = self.runs.asked()
        if stop is not None:
            return stop
        if self.final:
            return self.stop_of(self.final)
        if self.waits and not self.irqchip and not (self.runs.controller.intr() and self.interrupts_enabled):
            return Stop(StopKind.HALT)
        if self.posted != NULL and hp_make_timer(&drain_timer):
            raise EngineError("kvm: the host has no timer left")
        if self.waits:
            self.vcpu.run.ready_for_interrupt_injection = 1
        self.waits = False
        self.runs.running = True
        with nogil:
            hp_be_vcpu(&self.vcpu)
            if self.posted != NULL:
                hp_arm_timer(drain_timer, DRAIN_NS, DRAIN_NS)
            ended = self.loop()
            if self.posted != NULL:
                timer_delete(drain_timer)
            hp_be_vcpu(NULL)
        self.runs.running = False
        if ended == ENDED_HALT:
            self.waits = True
            self.runs.counters.hlts += 1
        elif ended != ENDED_STOP:
            self.final = ended
        stop = self.runs.asked()
        if stop is not None or ended != ENDED_HALT:
            enter(self, Crossing.STOP, 0)
        return self.stop_of(ended) if stop is None else stop

    cdef object stop_of(self, int ended):
        if ended == ENDED_ABORT:
            return self._abort()
        return Stop(StopKind.TRIPLE_FAULT if ended == ENDED_TRIPLE_FAULT else StopKind.HALT)

    def set_state(self, state):
        """See KvmVcpu; a machine that had ended lives again."""
        KvmVcpu.set_state(self, state)
        self.final = ENDED_STOP

    cdef int loop(self) noexcept nogil:
        """The vCPU's life; returns how it Ended."""
        cdef kvm_run *run = self.vcpu.run
        cdef bint stopping
        cdef int ended
        while True:
            hp_clear_immediate_exit(run)        # first: a flag raised from here on sets it again
            enter(self, Crossing.DELIVERY, 0)
            stopping = self.runs.looks.now()
            if stopping:
                run.immediate_exit = 1
            else:
                self.offer_interrupt()
            self.entries += 1
            leave(self)
            self.failed = hp_enter(&self.vcpu)
            if self.posted != NULL:
                self.drain()
            if self.failed == EINTR or self.failed == EAGAIN:
                enter(self, Crossing.EXIT, 0)
                if stopping:
                    return self.settle_event()
                continue
            if self.failed:
                return ENDED_ABORT
            ended = self.serve()
            if ended == ENDED_HALT and not stopping and run.if_flag and self.runs.controller.intr():
                run.ready_for_interrupt_injection = 1       # what came with the HLT wakes it at once
            elif ended != GOES_ON:
                return ended

    cdef int serve(self) noexcept nogil:
        """Do what the last exit asks for; GOES_ON, or how it Ended."""
        cdef uint32_t reason = self.vcpu.run.exit_reason
        if reason == KVM_EXIT_IO:
            self.port_exit()
        elif reason == KVM_EXIT_MMIO:
            self.memory_exit()
        elif reason == KVM_EXIT_HLT:
            enter(self, Crossing.HLT, 0)
            return ENDED_HALT
        elif reason == KVM_EXIT_SHUTDOWN:
            return ENDED_TRIPLE_FAULT
        else:
            enter(self, Crossing.EXIT, 0)
            if reason != KVM_EXIT_IRQ_WINDOW_OPEN:
                return ENDED_ABORT
        if not self.failed:
            self.failed = self.map_error
        return ENDED_ABORT if self.failed else GOES_ON

    def look_up(self):
        """Fire timers and move host input while the vCPU sits in HLT; a stop request stays."""
        if self.guard is not None:
            self.guard.check("look_up")
        with nogil:
            self.runs.looks.in_halt()

    cdef void offer_interrupt(self) noexcept nogil:
        cdef kvm_run *run = self.vcpu.run
        cdef uint32_t vector
        if not self.runs.controller.intr():
            run.request_interrupt_window = 0
            return
        if run.ready_for_interrupt_injection:
            run.ready_for_interrupt_injection = 0       # one at a time
            vector = <uint32_t> self.runs.acknowledge()
            hp_ioctl(self.vcpu.fd, KVM_INTERRUPT, &vector)
        run.request_interrupt_window = self.runs.controller.intr() != 0

    cdef void port_exit(self) noexcept nogil:
        cdef kvm_run *run = self.vcpu.run
        cdef uint8_t *data = <uint8_t *> run + run.io.data_offset
        cdef bint into = run.io.direction == KVM_EXIT_IO_IN
        cdef Access access
        describe(&access, DIRECTION_IN if into else DIRECTION_OUT, run.io.port, run.io.size, self.path.number,
                 <void *> self, 0)
        if run.io.count != 1:
            enter(self, Crossing.STRING, 0)
            access.count = run.io.count
            access.data = data
            carry(self.path, &access)
        elif into:
            enter(self, Crossing.IN, 0)
            carry(self.path, &access)
            memcpy(data, &access.value, access.size)
        elif access.size != 1 or self.calls is None or access.port >= VECTORS \
                or not self.calls.rung_by[access.port] or not self.ring(access.port):
            enter(self, Crossing.OUT, 0)
            memcpy(&access.value, data, access.size)
            carry(self.path, &access)

    cdef bint ring(self, uint32_t port) noexcept nogil:
        """An OUT that may be a doorbell: do its call. False where it is an ordinary OUT."""
        cdef uint64_t address
        cdef uint32_t eip
        cdef int action
        cdef Doorbell *doorbell
        cdef Call *call
        self.failed = self.fetch_registers()
        if self.failed:
            return True
        address = self.code_address()
        eip = self.instruction_pointer()
        doorbell = self.calls.doorbell_at(address)
        if doorbell == NULL or self.calls.calls[doorbell.call].number != port:
            doorbell = self.calls.doorbell_behind(address)
            if doorbell == NULL or self.calls.calls[doorbell.call].number != port:
                return False
            eip -= doorbell.length              # EIP is already behind it
        call = &self.calls.calls[doorbell.call]
        enter(self, Crossing.DOORBELL, 0)
        action = self.guarded_answer(self.calls, call) if call.string else self.calls.answer(self, call)
        if action == FAULTED and self.calls.in_string:      # not the guest's fault: it is told what is left
            self.calls.end_string(self)
            action = ACTION_NOTHING
        self.failed = self.store_registers()
        if self.failed or action == ACTION_NOTHING:
            return True
        if action == ACTION_AGAIN or action == FAULTED:
            return self.restart_doorbell(eip, action == FAULTED)
        if action == ACTION_NOT_OURS:
            return False
        self.runs.perform(self, action, call.rules)
        return True

    cdef bint restart_doorbell(self, uint32_t eip, bint faulted) noexcept nogil:
        """Complete the OUT, and let the guest execute it again, after its fault if there was one."""
        self.vcpu.run.immediate_exit = 1
        self.failed = hp_enter(&self.vcpu)
        if self.failed == EINTR:
            self.failed = self.fetch_registers()
        if self.failed:
            return True
        if faulted:
            self.failed = self.inject_fault(eip)
            self.vcpu.run.ready_for_interrupt_injection = 0
        else:
            self.regs.rip = eip
            self.changed = True
            self.failed = self.store_registers()
        return True

    cdef void memory_exit(self) noexcept nogil:
        """Device memory, nobody, or a write to ROM."""
        cdef kvm_run *run = self.vcpu.run
        cdef const hp_range *found = hp_range_at(&self.memory.map.flat, run.mmio.phys_addr)
        cdef uint32_t length = min(run.mmio.len, <uint32_t> sizeof(run.mmio.data))
        self.runs.counters.mmio += 1
        if found != NULL and found.kind == HP_ROM:
            enter(self, Crossing.MMIO, 0)
        elif run.mmio.is_write:
            bytes_out(self, self.path.bus, self.memory.map, run.mmio.phys_addr, length, run.mmio.data)
        else:
            bytes_in(self, self.path.bus, self.memory.map, run.mmio.phys_addr, length, run.mmio.data)

    cdef void map_changed(self) noexcept nogil:
        """Give the kernel the pieces of the map that are memory, and take those back that are not there any more."""
        cdef hp_map *flat = &self.memory.map.flat
        cdef kvm_userspace_memory_region wanted[HP_RANGES]
        cdef bint there[HP_RANGES]
        cdef uint32_t count = 0, number, at
        self.map_error = 0
        for number in range(flat.count):
            there[count] = False
            wanted[count].flags = KVM_MEM_READONLY if flat.ranges[number].kind == HP_ROM else 0
            wanted[count].guest_phys_addr = flat.ranges[number].first
            wanted[count].memory_size = flat.ranges[number].end - flat.ranges[number].first
            wanted[count].userspace_addr = <uint64_t> flat.ranges[number].host
            count += flat.ranges[number].host != NULL
        for number in range(<uint32_t> HP_RANGES):
            if not self.slots[number].memory_size:
                continue
            for at in range(count):
                if same_slot(&wanted[at], &self.slots[number]):
                    there[at] = True
                    break
            else:
                self.slots[number].memory_size = 0
                self.put_slot(&self.slots[number])
        number = 0
        for at in range(count):
            if there[at]:
                continue
            while self.slots[number].memory_size:
                number += 1
            wanted[at].slot = number
            self.slots[number] = wanted[at]
            self.put_slot(&self.slots[number])

    cdef int put_slot(self, kvm_userspace_memory_region *slot) noexcept nogil:
        cdef int error = hp_ioctl(self.vm_fd, KVM_SET_USER_MEMORY_REGION, slot)
        if error:
            self.map_error = error
            slot.memory_size = 0
        return error

    cdef void drain(self) noexcept nogil:
        """Take the posted writes out of the kernel's ring, oldest first."""
        cdef uint32_t first = self.posted.first % HP_RING_SLOTS
        cdef uint32_t last = hp_ring_last(self.posted) % HP_RING_SLOTS
        cdef kvm_coalesced_mmio *entry
        cdef Access access
        if first != last:
            enter(self, Crossing.DRAIN, 0)
        while first != last:
            entry = &self.posted.coalesced_mmio[first]
            describe(&access, DIRECTION_OUT, <uint32_t> entry.phys_addr & 0xFFFF, entry.len, POSTED, NULL, 0)
            access.crossings = 0
            memcpy(&access.value, entry.data, entry.len if entry.len < 4 else 4)
            carry(self.path, &access)
            first = (first + 1) % HP_RING_SLOTS
            hp_ring_taken(self.posted, first)

    cdef int settle_event(self) noexcept nogil:
        """A CpuState has no room for an event on its way: let the guest run until its handler has been entered."""
        cdef timer_t timer
        cdef long patience = SETTLE_NS
        cdef int ended = GOES_ON
        self.failed = 0
        if not self.event_waits() or hp_make_timer(&timer):
            return ENDED_STOP
        while ended == GOES_ON and patience < LONGEST_SETTLE_NS and self.event_waits():
            hp_clear_immediate_exit(self.vcpu.run)
            hp_arm_timer(timer, patience, 0)
            while ended == GOES_ON:
                self.failed = hp_enter(&self.vcpu)
                if self.posted != NULL:
                    self.drain()
                if self.failed:
                    break
                self.vcpu.run.immediate_exit = 1        # what the guest has begun is completed, and no more
                ended = self.serve()
            self.failed = 0
            patience *= 2
        timer_delete(timer)
        return ENDED_STOP if ended == GOES_ON else ended

    cdef _abort(self):
        """The Stop for an exit that ends the machine: what KVM says of it, and all registers."""
        cdef kvm_run *run = self.vcpu.run
        cdef uint32_t reason = run.exit_reason
        state = None if self.failed else self.state()
        if self.failed:
            text = f"KVM_RUN failed: {os.strerror(self.failed)}"
        elif reason == KVM_EXIT_INTERNAL_ERROR:
            text = f"KVM internal error {run.internal.suberror} ({SUBERRORS.get(run.internal.suberror, 'unknown')})"
        elif reason == KVM_EXIT_FAIL_ENTRY:
            text = f"the processor refused to enter the guest, reason {run.fail_entry.hardware_entry_failure_reason:#x}"
        else:
            text = f"KVM gave exit {reason}, which this engine does not know"
        if state is not None:
            text += f" at {state.cs.selector:04x}:{state.eip:08x}{self._code_around(state)}"
        return Stop(StopKind.ENGINE_ABORT, text=text, state=state)

    def _code_around(self, state):
        """The bytes at CS:EIP in words, if they are in RAM."""
        cdef uint64_t address
        self.fetch_registers()
        address = self.code_address()
        return "" if address >= self.memory.size - 8 else f", code {self.memory.read(address, 8).hex(' ')}"

    # Registers.

    @property
    def halted(self):
        """True while the vCPU sits in HLT."""
        return self.waits

    @property
    def interrupts_enabled(self):
        """EFLAGS.IF."""
        return (self.state().eflags & EFLAGS_IF) != 0

    def connect_ferr(self, IrqLine line not None):
        """FERR# has no end here: KVM does not tell of x87 errors with CR0.NE clear."""

    @property
    def a20_pin(self):
        """A Listener that hears the A20 line and does nothing: KVM cannot mask addresses."""
        return self.pin

    def counters(self):
        """What was counted since power-on, as EngineCounters. KVM does not show exceptions."""
        return self.runs.counters.record()

    def cover(self):
        """Raises EngineError: the host's CPU does not tell what it executes."""
        raise EngineError("kvm: what code is executed is counted in translated code only: use --engine unicorn")

    def covered(self):
        """Nothing."""
        return [], 0


cdef uintptr_t address_of(object view) except 0:
    cdef Py_buffer buffer
    PyObject_GetBuffer(view, &buffer, PyBUF_WRITABLE)
    cdef uintptr_t address = <uintptr_t> buffer.buf
    PyBuffer_Release(&buffer)
    return address
