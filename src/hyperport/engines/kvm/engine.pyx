# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
"""Stage 1 of an access on KVM: loop() gets it as an exit of KVM_RUN. Next: io/path.pyx.

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
from libc.string cimport memcpy, memset

from hyperport.io.hypercall cimport BY_INT, BY_VMCALL, CALL_AGAIN, CALL_DONE, CallTable
from hyperport.time.clock cimport Clock
from hyperport.lines.attention cimport Attention
from hyperport.lines.listener cimport Listener
from hyperport.lines.interrupt_controller cimport InterruptController
from hyperport.lines.irq cimport IrqLine
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
    timer_delete,
    timer_t,
)
from hyperport.engines.shared.look_up cimport LookUp
from hyperport.memory.ram cimport HOLE, HOLE_END, GuestMemory
from hyperport.io.path cimport PortPath

import os

from hyperport.lines.attention import StopKind
from hyperport.cpu import cpuid
from hyperport.engines.base import EngineCounters, Stop
from hyperport.engines.kvm import api
from hyperport.errors import ConfigError, EngineError

cdef enum Ended:            # how loop() ended
    GOES_ON = -1
    ENDED_STOP = 0          # a stop was asked for
    ENDED_HALT = 1
    ENDED_TRIPLE_FAULT = 2
    ENDED_ABORT = 3

cdef enum:
    DOORBELL_LENGTH = 2     # bytes of `out %al, $number`
    PAGE_SIZE = 4096
    DRAIN_NS = 1000000      # posted writes wait no longer
    SETTLE_NS = 20000       # first guess of the time in which an event reaches its handler
    LONGEST_SETTLE_NS = 10000000

SUBERRORS = {1: "emulation failed", 2: "simultaneous exceptions", 3: "delivery of an event failed",
             4: "an exit that KVM does not know"}


cdef void kick(void *context) noexcept nogil:
    """Make KVM_RUN return, from any thread."""
    hp_kick(<hp_vcpu *> context)


cdef void ignore_kick(void *context) noexcept nogil:
    pass


@cython.final
@cython.no_gc_clear         # __dealloc__ needs memory, attention and the descriptors
cdef class KvmEngine(KvmVcpu):
    """One i386 vCPU on /dev/kvm.

    memory: the guest's RAM. path: where port accesses go. controller: owner of the INTR line. attention: what may
    interrupt the run. clock: whose timers to fire. Raises EngineError where KVM cannot be had.

    With a KernelIrqchip as controller the kernel has the chips, the timer and HLT: run() does not return Stop(HALT), and
    a CpuState is not all there is to the machine.
    """

    name = "kvm"
    paths = ("exit", "hypercall")

    def __init__(self, GuestMemory memory not None, PortPath path not None, InterruptController controller not None,
                 Attention attention not None, Clock clock not None):
        cdef uint64_t host = <uint64_t> memory.base
        self.memory = memory
        self.path = path
        self.controller = controller
        self.attention = attention
        self.looks = LookUp(attention, clock)
        self.pin = Listener()         # KVM has no A20 gate: address line 20 always passes
        self.ram.base = memory.base
        self.ram.size = memory.size
        self.ram.hole = HOLE
        self.ram.hole_end = HOLE_END
        if not hp_take_kick_signal():
            raise EngineError("kvm: every real-time signal is taken: free one, or use --engine unicorn")
        self.irqchip = isinstance(controller, KernelIrqchip)
        self.vm = api.VirtualMachine([(start, end - start, host + start) for start, end in memory.regions()],
                                     irqchip=self.irqchip)
        if self.irqchip:
            (<KernelIrqchip> controller).vm = self.vm.vm
        self.shared = memoryview(self.vm.shared)
        self.vcpu.fd = self.vm.vcpu
        self.vcpu.run = <kvm_run *> address_of(self.shared)
        self.share_registers(False)
        if self.vm.has(api.Cap.SET_TSS_ADDR):
            self._ioctl_on(self.vm.vm, api.SET_TSS_ADDR, api.TSS_AT)
        self.vm.set_cpuid(cpuid.leaves())
        attention.kick_context = &self.vcpu
        attention.kick = kick

    def _ioctl_on(self, int descriptor, unsigned long request, unsigned long argument):
        cdef int error = hp_ioctl(descriptor, request, <void *> argument)
        if error:
            raise EngineError(f"kvm: setting up the machine: {os.strerror(error)}; {api.ADVICE}")

    def offer(self, CallTable calls not None, rom_base=0, doorbells=None, cpuid_leaves=None):
        """Answer the calls of the VMI ROM; doorbells maps offsets in the ROM at rom_base to their numbers.

        Raises ConfigError for other conventions: KVM answers VMCALL itself, and INT never leaves it.
        """
        doorbells = doorbells or {}
        if cpuid_leaves or calls.offers(BY_VMCALL) or calls.offers(BY_INT):
            raise ConfigError("engine kvm offers the ABI vmi only: VMCALL and INT 1Fh do not reach us; use --engine unicorn")
        if any(not 0 <= offset < ROM_SIZE for offset in doorbells):
            raise ConfigError(f"a doorbell lies outside the first {ROM_SIZE} bytes of the ROM")
        self.calls = calls
        self.rom_base = rom_base
        memset(self.doorbells, 0, sizeof(self.doorbells))
        memset(self.rung_by, 0, sizeof(self.rung_by))
        for offset, number in doorbells.items():
            self.doorbells[<int> offset] = number
            self.rung_by[<int> number] = 1
        self.share_registers(self.vm.has(api.Cap.SYNC_REGS) & 3 == 3)

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
        if self.attention.kick_context == &self.vcpu:
            self.attention.kick = ignore_kick
        self.vcpu.run = NULL
        self.posted = NULL
        if self.irqchip:
            (<KernelIrqchip> self.controller).vm = -1
        self.shared.release()
        self.vm.close()

    def close(self):
        """Give the vCPU back; only counters() works afterwards. Raises EngineError while the guest runs."""
        if self.running:
            raise EngineError("kvm: close() was called while the guest runs; stop it first")
        self.release()

    def __dealloc__(self):
        if self.vm is not None:
            self.release()

    def listen(self, Listener listener not None):
        """Let listener hear on_input() when host input has arrived."""
        self.looks.listen(listener)

    # Running.

    def run(self):
        """Run until HLT, a stop request, a triple fault or a failure of KVM; returns a Stop."""
        cdef int ended
        cdef timer_t drain_timer
        if self.vcpu.run == NULL:
            raise EngineError("kvm: the machine has been closed; make a new one")
        if self.running:
            raise EngineError("kvm: run() was called while the guest runs")
        if hp_vcpu_of_this_thread() != NULL:
            raise EngineError("kvm: run() was called by a device of another guest; use another thread")
        kind, value, failure, text = self.attention.take_stop()
        if kind != StopKind.NONE:
            return Stop(kind, value, failure, text)
        if self.final:
            return self.stop_of(self.final)
        if self.waits and not self.irqchip and not (self.controller.intr() and self.interrupts_enabled):
            return Stop(StopKind.HALT)
        if self.posted != NULL and hp_make_timer(&drain_timer):
            raise EngineError("kvm: the host has no timer left")
        if self.waits:
            self.vcpu.run.ready_for_interrupt_injection = 1
        self.waits = False
        self.running = True
        with nogil:
            hp_be_vcpu(&self.vcpu)
            if self.posted != NULL:
                hp_arm_timer(drain_timer, DRAIN_NS, DRAIN_NS)
            ended = self.loop()
            if self.posted != NULL:
                timer_delete(drain_timer)
            hp_be_vcpu(NULL)
        self.running = False
        if ended == ENDED_HALT:
            self.waits = True
            self.hlt_count += 1
        elif ended != ENDED_STOP:
            self.final = ended
        kind, value, failure, text = self.attention.take_stop()
        return Stop(kind, value, failure, text) if kind != StopKind.NONE else self.stop_of(ended)

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
            stopping = self.looks.now()
            if stopping:
                run.immediate_exit = 1
            else:
                self.offer_interrupt()
            self.entries += 1
            self.failed = hp_enter(&self.vcpu)
            if self.posted != NULL:
                self.drain()
            if self.failed == EINTR or self.failed == EAGAIN:
                if stopping:
                    return self.settle_event()
                continue
            if self.failed:
                return ENDED_ABORT
            ended = self.serve()
            if ended == ENDED_HALT and not stopping and run.if_flag and self.controller.intr():
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
            return ENDED_HALT
        elif reason == KVM_EXIT_SHUTDOWN:
            return ENDED_TRIPLE_FAULT
        elif reason != KVM_EXIT_IRQ_WINDOW_OPEN:
            return ENDED_ABORT
        return ENDED_ABORT if self.failed else GOES_ON

    def look_up(self):
        """Fire timers and move host input while the vCPU sits in HLT; a stop request stays."""
        with nogil:
            self.looks.everything()

    cdef void offer_interrupt(self) noexcept nogil:
        cdef kvm_run *run = self.vcpu.run
        cdef uint32_t vector
        if not self.controller.intr():
            run.request_interrupt_window = 0
            return
        if run.ready_for_interrupt_injection:
            run.ready_for_interrupt_injection = 0       # one at a time
            vector = <uint32_t> self.controller.acknowledge() & 0xFF
            self.interrupt_count[vector] += 1
            hp_ioctl(self.vcpu.fd, KVM_INTERRUPT, &vector)
        run.request_interrupt_window = self.controller.intr() != 0

    cdef void port_exit(self) noexcept nogil:
        cdef kvm_run *run = self.vcpu.run
        cdef uint8_t *data = <uint8_t *> run + run.io.data_offset
        cdef uint32_t port = run.io.port, size = run.io.size, count = run.io.count
        cdef uint32_t value = 0
        if count != 1:
            self.path.port_block(DIRECTION_IN if run.io.direction == KVM_EXIT_IO_IN else DIRECTION_OUT, port, size, count,
                                 data)
        elif run.io.direction == KVM_EXIT_IO_IN:
            value = self.path.port_in(port, size)
            memcpy(data, &value, size)
        elif size == 1:
            if self.calls is None or port >= DOORBELL_PORTS or not self.rung_by[port] or not self.ring(port):
                self.path.port_out(port, 1, data[0])
        else:
            memcpy(&value, data, size)
            self.path.port_out(port, size, value)

    cdef bint ring(self, uint32_t number) noexcept nogil:
        """An OUT that may be a doorbell: do its call. False where it is an ordinary OUT."""
        cdef uint64_t offset
        cdef uint32_t eip
        cdef int result
        self.failed = self.fetch_registers()
        if self.failed:
            return True
        offset = self.code_address() - self.rom_base
        eip = self.instruction_pointer()
        if offset >= ROM_SIZE or self.doorbells[offset] != number:
            offset -= DOORBELL_LENGTH           # EIP is already behind it
            eip -= DOORBELL_LENGTH
            if offset >= ROM_SIZE or self.doorbells[offset] != number:
                return False
        if self.privilege() > 1:
            return False
        if self.calls.shapes[number].string:
            result = self.guarded_call(self.calls, number)
        else:
            result = self.calls.vmi_call(self, number)
        self.failed = self.store_registers()
        if self.failed or result == CALL_DONE:
            return True
        if result == CALL_AGAIN or result < 0:
            return self.restart_doorbell(eip, result < 0)
        return False

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
        """Nobody is there: reads float high, writes vanish."""
        self.mmio_count += 1
        if not self.vcpu.run.mmio.is_write:
            memset(self.vcpu.run.mmio.data, 0xFF, sizeof(self.vcpu.run.mmio.data))

    cdef void drain(self) noexcept nogil:
        """Take the posted writes out of the kernel's ring, oldest first."""
        cdef uint32_t first = self.posted.first % HP_RING_SLOTS
        cdef uint32_t last = hp_ring_last(self.posted) % HP_RING_SLOTS
        cdef kvm_coalesced_mmio *entry
        cdef uint32_t value
        while first != last:
            entry = &self.posted.coalesced_mmio[first]
            value = 0
            memcpy(&value, entry.data, entry.len if entry.len < 4 else 4)
            self.path.bus.write_block(<uint32_t> entry.phys_addr & 0xFFFF, entry.len, 1, <const uint8_t *> &value, POSTED, 0)
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
        return "" if address >= self.ram.size - 8 else f", code {self.memory.read(address, 8).hex(' ')}"

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
        return EngineCounters(
            interrupts={v: self.interrupt_count[v] for v in range(256) if self.interrupt_count[v]},
            hlts=self.hlt_count, mmio=self.mmio_count,
        )


cdef uintptr_t address_of(object view) except 0:
    cdef Py_buffer buffer
    PyObject_GetBuffer(view, &buffer, PyBUF_WRITABLE)
    cdef uintptr_t address = <uintptr_t> buffer.buf
    PyBuffer_Release(&buffer)
    return address
