# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
"""The engine on Unicorn: makes a vCPU run, and is there for what the guest does besides port accesses (ports.pyx).

Unicorn is QEMU's CPU core without a machine around it. What it leaves out is done here, with functions that the
library exports and fields that layout.pxi names:

Exceptions and INT n.  UC_HOOK_INTR only names the vector; on_exception() calls the core's own delivery
    (IDT, stack switch, error code, double fault). A nested fault leaves that call by longjmp, so every hook here is
    a nogil frame without cleanup. Invalid instructions come through their own hook.
Interrupts.  cc->cpu_exec_interrupt is replaced by exec_interrupt(): the core calls it between two blocks of
    guest code whenever interrupt_request is set. It is the one place where the vCPU looks up: service() fires
    timers, moves host input, obeys stop requests and delivers what the interrupt controller offers. kick() sets
    interrupt_request from any thread and makes the next block return to the core.
    Nothing ever stops guest code between a load and a store of one instruction (no_exit_request).
HLT.  The core leaves the guest for it. Where the run loop allows, the vCPU sleeps inside instead: see sleep().
Ports, strings and doorbells.  See ports.pyx, which comes first on the way of an access. Other hypercalls: hypercalls.pyx.
Crossings.  Every function that the core calls because of what the guest does passes enter(). What code_pages.pyx hears,
    fetch_byte() and flush_code() are the core's own housekeeping, CPUID and SYSENTER its own instructions; none of them
    can reach a device.
Memory map, stores and slow loads.  See code_pages.pyx. Device memory: io/memory.pyx.
What the core gets wrong of the CPU.  See fidelity/mend.pyx and docs/cpu.md.
"""

cimport cython
from libc.stdint cimport int32_t, uint8_t, uint16_t, uint32_t, uint64_t, uintptr_t
from libc.stdlib cimport free

from hyperport.bus.port_bus cimport DIRECTION_IN
from hyperport.cpu.vcpu cimport EFLAGS_IF, VECTOR_GP, VECTOR_PF, VECTOR_UD
from hyperport.engines.shared.counters cimport count_exception, count_software
from hyperport.engines.shared.run cimport Runs
from hyperport.engines.unicorn.code_filter cimport filtered_byte, forget_position
from hyperport.engines.unicorn.code_pages cimport DEVICES_AT, CodePages
from hyperport.engines.unicorn.delivery cimport fault_of_delivery, mend_delivery
from hyperport.engines.unicorn.fidelity.mend cimport (
    add_bell,
    add_stub,
    count_instructions,
    do_calls,
    enter_guest,
    exception_begins,
    free_jumps,
    instructions_left,
    leave_guest,
    limit_block,
    mend_core,
    mend_cpu,
    new_jumps,
    one_by_one,
    remember_blocks,
    segments_changed,
    set_counting,
    set_coverage,
    set_tsc_base,
    withhold,
)
from hyperport.engines.unicorn.fidelity.vcpu cimport MendedVcpu
from hyperport.engines.unicorn.fields cimport at, u32, u64
from hyperport.engines.unicorn.fpu_error cimport install_fpu_error
from hyperport.engines.unicorn.hypercalls cimport Hypercalls
from hyperport.engines.unicorn.library cimport (
    Library,
    check_layout,
    guard_reason,
    guarded_close,
    guarded_start,
    load_library,
    redirect_call,
)
from hyperport.engines.unicorn.ports cimport Ports, flush_code, redirect_ports, ring_alone
from hyperport.engines.unicorn.translator_check cimport check_translator
from hyperport.engines.unicorn.vcpu cimport UnicornVcpu
from hyperport.io.crossing cimport Crossing, enter, leave
from hyperport.io.hypercall cimport Call, CallTable
from hyperport.io.memory cimport memory_in, memory_out
from hyperport.io.path cimport PortPath
from hyperport.lines.attention cimport ATTENTION_INTR, Attention
from hyperport.lines.interrupt_controller cimport InterruptController
from hyperport.lines.irq cimport IrqLine
from hyperport.lines.listener cimport Listener
from hyperport.memory.ram cimport GuestMemory
from hyperport.time.clock cimport Clock
from hyperport.time.insn_clock cimport InsnClock

from hyperport.engines.base import Stop
from hyperport.errors import EngineError
from hyperport.lines.attention import StopKind
from hyperport.time.tsc import khz_of

include "layout.pxi"

cdef extern from "vcpu_thread.h":
    void hp_barrier_everywhere() nogil
    void hp_register_barrier() nogil
    void hp_set_bits(uint32_t *p, uint32_t v) nogil
    void hp_clear_bits(uint32_t *p, uint32_t v) nogil
    void hp_store_half(uint16_t *p, uint16_t v) nogil
    void *hp_current() nogil
    void hp_set_current(void *engine) nogil
    uintptr_t hp_return_address "(uintptr_t) __builtin_return_address"(int level) nogil

cdef enum:
    OUT_BYTES = 2                   # of OUT imm8, which a doorbell is
    CODE_BUFFER = 64 << 20          # bytes of translated code before the core starts afresh


cdef void kick(void *context) noexcept nogil:
    """Make the vCPU look up at the next block, from any thread.

    The core clears icount_decr and then reads interrupt_request without a barrier between; from another thread the
    barrier is ours to make, or its late store would undo this one.
    """
    cdef char *cpu = <char *> context
    hp_set_bits(u32(cpu, CPU_INTERRUPT_REQUEST), INTERRUPT_HARD)
    if hp_current() == NULL:
        hp_barrier_everywhere()
    hp_store_half(<uint16_t *> (<char *> at(cpu, CPU_ICOUNT_DECR_PTR) + 2), 0xFFFF)
    if hp_current() != NULL and (<UnicornEngine> hp_current()).counter != NULL:
        withhold((<UnicornEngine> hp_current()).counter)


RET = b"\xc3"

cdef Library *library = NULL


# Hooks: all run on the vCPU's thread, inside uc_emu_start, without the GIL. `user` is the engine.

cdef void *current_engine() noexcept nogil:
    return hp_current()


cdef uint32_t fetch_byte(void *env, uint64_t address) noexcept nogil:
    if hp_current() == NULL:
        return library.fetch_byte(env, address)
    cdef uint32_t byte = filtered_byte(&(<UnicornEngine> hp_current()).filter, library, env, address,
                                       hp_return_address(0))
    if (<UnicornEngine> hp_current()).pages.first_blocks:
        (<UnicornEngine> hp_current()).pages.mark_code_at(address)
    return byte


cdef void on_exception(void *uc, uint32_t vector, void *user) noexcept nogil:
    (<UnicornEngine> user).guest_exception(vector & 0xFF)


cdef bint on_invalid_instruction(void *uc, void *user) noexcept nogil:
    (<UnicornEngine> user).guest_invalid_instruction()
    return True


cdef int on_cpuid(void *uc, void *user) noexcept nogil:
    (<UnicornEngine> user).guest_cpuid()
    return 1


cdef void on_sysenter(void *uc, void *user) noexcept nogil:
    (<UnicornEngine> user).guest_sysenter()


cdef uint64_t on_mmio_read(void *uc, uint64_t offset, unsigned size, void *user) noexcept nogil:
    return (<UnicornEngine> user).guest_loads(offset, size)


cdef void on_mmio_write(void *uc, uint64_t offset, unsigned size, uint64_t value, void *user) noexcept nogil:
    (<UnicornEngine> user).guest_stores(offset, size, value)


cdef void on_map_change(void *context) noexcept nogil:
    (<UnicornEngine> context).map_changed()


cdef bint exec_interrupt(void *cpu, int request) noexcept nogil:
    return (<UnicornEngine> hp_current()).service()


cdef bint sleeps() noexcept nogil:
    return (<UnicornEngine> hp_current()).sleep()


cdef uint64_t tsc_of(void *clock) noexcept nogil:
    return (<InsnClock> clock).tsc()


cdef void on_host_write(void *context, const uint8_t *host, uint64_t length) noexcept nogil:
    (<UnicornEngine> context).pages.written(<uint64_t> host, length)


cdef class A20Pin(Listener):
    """Input 0 is the CPU's A20M# pin, high when address line 20 passes."""

    cdef void *engine

    cdef void on_line(self, int number, int level) noexcept nogil:
        if self.engine != NULL:
            (<UnicornEngine> self.engine).switch_a20(level)


@cython.final
@cython.no_gc_clear         # __dealloc__ needs memory, path, runs and pin
cdef class UnicornEngine(MendedVcpu):
    """One i386 vCPU on libunicorn.

    memory: the guest's RAM. path: where port accesses go. controller: owner of the INTR line. attention: what may
    interrupt the run. clock: whose timers to fire. Raises EngineError where the library is missing or another build.
    """

    name = "unicorn"
    paths = ("trap", "exit", "hypercall", "exitless")

    def __init__(self, GuestMemory memory not None, PortPath path not None, InterruptController controller not None,
                 Attention attention not None, Clock clock not None):
        self.path = path
        self.ports = Ports(path)
        self.memory = memory
        self.runs = Runs(self.name, attention, controller, clock)
        self.pin = A20Pin()
        self.ferr = IrqLine()
        self.lib = load_library()
        self.pages = CodePages(memory.map)
        forget_position(&self.filter)
        self._open()
        self._map()
        self._hook()
        self.khz = khz_of(clock)
        if isinstance(clock, InsnClock):
            self.insns = clock
            self._count()
        self.identify({}, self.khz)
        memory.map.invalidate_context = memory.map.changed_context = <void *> self
        memory.map.invalidate = on_host_write
        memory.map.changed = on_map_change
        hp_register_barrier()
        self.map_changed()
        attention.kick_context = self.cpu
        attention.kick = kick
        (<A20Pin> self.pin).engine = <void *> self
        path.connect(self)

    cdef _ok(self, int error, str doing):
        if error:
            raise EngineError(f"unicorn: {doing}: {self.lib.strerror(error).decode()}")

    cdef _open(self):
        self._ok(self.lib.open(UC_ARCH_X86, UC_MODE_32, &self.uc), "opening a CPU")
        self._ok(self.lib.ctl(self.uc, UC_CTL_CPU_MODEL, UC_CPU_X86_QEMU32), "choosing the CPU model")
        self._ok(self.lib.ctl(self.uc, UC_CTL_TCG_BUFFER_SIZE, <uint32_t> CODE_BUFFER), "sizing the code buffer")
        self._ok(self.lib.ctl(self.uc, UC_CTL_USE_EXITS, 1), "switching stop addresses off")

    cdef _map(self):
        """What the core has at addresses of its own, for as long as it lives: see code_pages.pyx."""
        self.map = &self.memory.map.flat
        self._ok(self.lib.mem_map_ptr(self.uc, 0, self.memory.size, UC_PROT_ALL, self.memory.base), "mapping RAM")
        self._ok(self.lib.mmio_map(self.uc, DEVICES_AT, DEVICES_AT, <void *> on_mmio_read, <void *> self,
                                   <void *> on_mmio_write, <void *> self), "mapping device memory")
        # Fetches float high too (FFh FFh is #UD); MMIO of the core cannot be executed by itself.
        self._ok(self.lib.mem_protect(self.uc, DEVICES_AT, DEVICES_AT, UC_PROT_ALL), "mapping device memory")

    cdef _hook(self):
        global library
        cdef size_t handle
        cdef void *me = <void *> self
        cdef uint64_t first = 1         # begin > end: every address
        cdef uint64_t last = 0
        self._ok(self.lib.hook_add(self.uc, &handle, UC_HOOK_INTR, <void *> on_exception, me, first, last), "hooks")
        self._ok(self.lib.hook_add(self.uc, &handle, UC_HOOK_INSN_INVALID, <void *> on_invalid_instruction, me,
                                   first, last), "hooks")
        for instruction, callback in ((UC_X86_INS_CPUID, <uintptr_t> on_cpuid),
                                      (UC_X86_INS_SYSENTER, <uintptr_t> on_sysenter)):
            self._ok(self.lib.hook_add(self.uc, &handle, UC_HOOK_INSN, <void *> <uintptr_t> callback, me, first, last,
                                       <int> instruction), "hooks")
        # The CPU exists from the first hook on.
        check_layout(self.lib, self.uc)
        self.cpu = <char *> at(<char *> self.uc, UC_CPU)
        self.env = <char *> at(self.cpu, CPU_ENV_PTR)
        self.selector = u32(self.env, ENV_SEGS + SEGMENT_SIZE)
        self.pointer, self.privileged = u64(self.env, ENV_EIP), u32(self.env, ENV_HFLAGS)
        self.filter.tcg = <char *> at(<char *> self.uc, UC_TCG)
        (<uint8_t *> self.uc)[UC_NO_EXIT_REQUEST] = 1
        library = self.lib
        check_translator(self.lib)
        redirect_ports(self.lib)
        redirect_call("fetch_byte", <void *> fetch_byte)
        mend_delivery(self.lib)
        install_fpu_error(current_engine)
        mend_core(<void *> flush_code, <void *> sleeps)
        mend_cpu(self.lib, self.uc)
        self.jumps = new_jumps(self.uc)
        self.ports.connect(self)
        self._ok(self.pages.connect(self.lib, self.uc, self.cpu, self.env), "hooks")
        (<void **> (<char *> at(self.cpu, CPU_CLASS) + CLASS_CPU_EXEC_INTERRUPT))[0] = <void *> exec_interrupt

    cdef _count(self):
        """Let the core count instructions for the clock."""
        cdef int32_t *left = instructions_left(self.cpu)
        self.insns.drive(left)
        self.left = left
        self.counter = count_instructions(self.uc, &self.insns.target, tsc_of, <void *> self.insns)

    def offer(self, CallTable calls not None, cpuid_leaves=None):
        """Answer these calls. cpuid_leaves: what CPUID shows besides the CPU, leaf -> (EAX, EBX, ECX, EDX)."""
        from hyperport.abi.convention import Entry

        self.runs.take_calls(calls, tuple(Entry))
        self.calls = Hypercalls(self.runs, self.memory)
        self.ports.offer(self.calls)
        self.identify(cpuid_leaves or {}, self.khz)

    def take_images(self, images):
        """Make the port calls of these images, for one element, without running their code (fidelity/rom_calls.h)."""
        from hyperport.abi.numbers import EXITLESS_BASE

        cdef const char *code
        cdef const Call *call
        do_calls(self.jumps, <char *> self.memory.base + <size_t> EXITLESS_BASE, ring_alone, <void *> self.ports)
        for image in images:
            code = <const char *> self.memory.base + <size_t> image.base
            for offset in image.doorbells:
                call = &self.calls.table.calls[self.calls.table.doorbell_at(image.base + offset).call]
                if call.alone and image.data[offset + OUT_BYTES:][:1] == RET:
                    add_bell(self.jumps, call.direction == DIRECTION_IN, call.size, code + <size_t> offset, call)
            for stub in image.stubs:
                add_stub(self.jumps, stub, code)

    cdef void release(self) noexcept:
        """Let go of whoever could still call us, then of the CPU."""
        if self.uc == NULL:
            return
        if self.memory.map.invalidate_context == <void *> self:
            self.memory.map.invalidate = ignore_host_write
            self.memory.map.changed = ignore_map_change
        self.runs.let_go(self.cpu)
        self.path.disconnect(self)
        (<A20Pin> self.pin).engine = NULL
        if self.left != NULL:
            self.insns.release()
            self.left = NULL
        guarded_close(self.lib, self.uc)
        free(self.counter)
        free_jumps(self.jumps)
        self.counter = self.jumps = NULL
        self.uc = NULL
        self.cpu = NULL
        self.env = NULL
        self.selector = NULL

    def close(self):
        """Give the CPU back; only counters() and covered() work afterwards. Raises EngineError while the guest runs."""
        self.runs.close()
        self.release()

    def __dealloc__(self):
        self.release()

    # Running.

    def listen(self, Listener listener not None):
        """Let listener hear on_input() when host input has arrived."""
        self.runs.looks.listen(listener)

    def run(self, bint sleep=False):
        """Run until HLT, a stop request, a triple fault or an abort of the engine; returns a Stop.

        sleep: in HLT go on with the next interrupt where nobody else has to do anything meanwhile, see LookUp.rest().
        """
        cdef int error
        cdef uint64_t begin
        self.runs.begin(hp_current() != NULL)
        if self.unmappable:
            raise EngineError("unicorn: the host has no room for the tables of a memory region; ask for less")
        if self.dead is not None:
            return Stop(StopKind.ENGINE_ABORT, text=self.dead)
        stop = self.runs.asked()
        if stop is not None:
            return stop
        if self.halted and not (self.interrupts_enabled and self.runs.controller.intr()):
            return Stop(StopKind.HALT)
        self.runs.running = self.running = True
        self.delivering = False
        self.may_sleep = sleep
        begin = u64(self.env, ENV_EIP)[0]
        with nogil:
            self.runs.looks.begin_turn()
            hp_set_current(<void *> self)
            self.ports.enter_guest()
            self.pages.enter_guest()
            leave(self)
            enter_guest(self.env, &self.memory.map.flat, self.code_limits)
            set_tsc_base(self.tsc_base)
            set_counting(self.counter)
            set_coverage(self.coverage)
            remember_blocks(self.jumps)
            kick(self.cpu)
            error = guarded_start(self.lib.emu_start, self.uc, begin)
            set_counting(NULL)
            set_coverage(NULL)
            leave_guest()
            self.pages.leave_guest()
            self.ports.leave_guest()
            hp_set_current(NULL)
        self.runs.running = self.running = False
        if error == -1:
            self.dead = f"the CPU engine cannot go on: {guard_reason()}"
            return Stop(StopKind.ENGINE_ABORT, text=self.dead)
        stop = self.runs.asked()
        if stop is not None or error or not self.halted:
            enter(self, Crossing.STOP, 0)
        if stop is not None:
            return stop
        if error:
            return Stop(StopKind.ENGINE_ABORT, text=f"the CPU engine stopped: {self.lib.strerror(error).decode()} "
                                                    f"at eip {u64(self.env, ENV_EIP)[0]:#x}")
        if self.halted:
            return Stop(StopKind.HALT)
        return Stop(StopKind.TRIPLE_FAULT)

    cdef bint deaf(self) noexcept nogil:
        """Is there nothing but an interrupt that the guest does not take now? Then the request stays as it is: a fault of code
        that has interrupts off need not ask the controller each time."""
        return not (u64(self.env, ENV_EFLAGS)[0] & EFLAGS_IF or self.runs.attention.flags & ~<uint32_t> ATTENTION_INTR
                    or self.event_waits or self.beyond or self.counter != NULL)

    cdef bint service(self) noexcept nogil:
        """Look up from guest code. True where an interrupt was delivered, or EIP has moved: the block that comes next does not
        follow from the last one."""
        cdef uint32_t *request = u32(self.cpu, CPU_INTERRUPT_REQUEST)
        cdef uint64_t eip = u64(self.env, ENV_EIP)[0]
        if self.deaf():
            return False
        hp_clear_bits(request, INTERRUPT_HARD)      # first: a flag raised from here on sets it again
        enter(self, Crossing.DELIVERY, 0)
        if self.counter != NULL:
            self.insns.look_up()
            limit_block(self.counter, self.insns.exact)
        if self.runs.looks.now():
            self.lib.emu_stop(self.uc)
            return False
        leave(self)
        if self.event_waits:
            self.deliver_event()
            hp_set_bits(request, INTERRUPT_HARD)
            return True
        if not self.runs.controller.intr():
            return eip != u64(self.env, ENV_EIP)[0]
        hp_set_bits(request, INTERRUPT_HARD)        # stays until the guest takes it
        if not self.lib.pending_interrupt(self.cpu, INTERRUPT_HARD) & INTERRUPT_HARD:
            return eip != u64(self.env, ENV_EIP)[0]
        # Not cleared here: that could undo a kick which came after the flags were read.
        self.delivering = True
        self.lib.do_hardware_interrupt(self.env, self.runs.acknowledge(), 1)
        self.delivering = False
        segments_changed(self.env)
        return True

    cdef bint sleep(self) noexcept nogil:
        """HLT. True where the vCPU has slept here and an interrupt waits for it; else the core leaves the guest."""
        enter(self, Crossing.HLT, 0)
        self.runs.counters.hlts += 1
        if not self.may_sleep or not u64(self.env, ENV_EFLAGS)[0] & EFLAGS_IF:
            return False
        u32(self.cpu, CPU_HALTED)[0] = 1            # for who looks from a timer
        if not self.runs.looks.rest(self.runs.controller):
            return False
        u32(self.cpu, CPU_HALTED)[0] = 0
        leave(self)
        kick(self.cpu)                              # the interrupt may have asked before HLT
        return True

    cdef void deliver_event(self) noexcept nogil:
        """What a state that was loaded had still to deliver."""
        self.event_waits = False
        self.delivering = True
        if self.event_interrupt:
            self.lib.do_hardware_interrupt(self.env, self.event_vector, 1)
            segments_changed(self.env)
        else:
            self.deliver(<uint32_t> self.event_vector, self.event_error)
        self.delivering = False

    def state(self):
        """All registers as a CpuState."""
        if self.running or self.counter == NULL:
            return UnicornVcpu.state(self)
        set_counting(self.counter)      # the time-stamp counter is made of what was counted
        try:
            return UnicornVcpu.state(self)
        finally:
            set_counting(NULL)

    def set_state(self, state):
        """Load all registers; the guest must be stopped."""
        set_counting(self.counter)
        try:
            UnicornVcpu.set_state(self, state)
        finally:
            set_counting(NULL)
        self.ports.forget()         # breakpoints may have thrown code away

    def look_up(self):
        """What service() does, for a vCPU that waits in HLT: fire timers, move input. Delivers nothing."""
        self._require_open()
        if self.guard is not None:
            self.guard.check("look_up")
        with nogil:
            self.runs.looks.in_halt()

    # What the guest does.

    cdef uint64_t guest_loads(self, uint64_t address, uint32_t size) noexcept nogil:
        """A load where no memory is. The core gives at most 4 bytes, aligned; of a fetch its place is 0."""
        self.runs.counters.mmio += 1
        return memory_in(self, self.path.bus, self.memory.map, address, size, u64(self.cpu, CPU_MEM_IO_PC)[0])

    cdef void guest_stores(self, uint64_t address, uint32_t size, uint64_t value) noexcept nogil:
        self.runs.counters.mmio += 1
        memory_out(self, self.path.bus, self.memory.map, address, size, <uint32_t> value, u64(self.cpu, CPU_MEM_IO_PC)[0])

    cdef void map_changed(self) noexcept nogil:
        """Let the guest find the map as it is now: at the next access, and for code at the next block."""
        if self.uc == NULL:
            return
        if not self.pages.add_blocks():
            self.unmappable = True
        self.lib.flush_tlb(self.cpu)
        kick(self.cpu)

    cdef void guest_invalid_instruction(self) noexcept nogil:
        enter(self, Crossing.INSTRUCTION, 0)
        self.undo_begin()
        if self.calls is None or not self.calls.by_instruction(self):
            self.begin()
            if not self.did_undefined() and not (one_by_one(self.env) and self.ports.did_port_instruction(VECTOR_UD)):
                self.guest_exception(VECTOR_UD)
            self.begun = False
        leave(self)

    cdef void guest_exception(self, uint32_t vector) noexcept nogil:
        cdef char *env = self.env
        cdef uint64_t next_eip, cs_base
        cdef uint32_t length = 2
        cdef bint external = self.delivering        # still set: this is a fault of that delivery
        cdef bint decided = self.decided
        self.delivering = self.decided = False
        self.undo_begin()
        if u32(env, ENV_EXCEPTION_IS_INT)[0] and vector != VECTOR_UD:
            # The core has already moved EIP past the INT; a fault during delivery must point at it.
            next_eip = u64(env, ENV_EXCEPTION_NEXT_EIP)[0]
            if vector == 3 or vector == 4:      # INT3 and INTO have one byte, INT 3 and INT 4 two
                cs_base = u64(env, ENV_SEGS + SEGMENT_SIZE + SEGMENT_BASE)[0]
                length = self.lib.load_byte(env, <uint32_t> (cs_base + next_eip - 1), MMU_KERNEL, 0)
                length = 1 if length == 0xCC or length == 0xCE else 2
            u64(env, ENV_EIP)[0] = <uint32_t> (next_eip - length)
            enter(self, Crossing.VECTOR, 0)
            if self.calls is not None:
                self.begun = self.left != NULL      # the core has counted it
                if self.calls.by_vector(self, vector, length):
                    leave(self)
                    return
                self.begun = False
            count_software(self.runs.counters, vector)
        else:
            enter(self, Crossing.FAULT, 0)
            if vector == VECTOR_PF and self.calls is not None and self.calls.string_faulted(self):
                return
            self.hits = 0               # what was to hit them was not done
            vector = fault_of_delivery(self.cpu, vector, external)
            count_exception(self.runs.counters, vector)
            if vector == VECTOR_GP and not u32(env, ENV_ERROR_CODE)[0] and not decided:
                # Not delivered yet: what the handler raises in its place is a first fault, not a double one.
                (<int32_t *> (env + ENV_OLD_EXCEPTION))[0] = -1
                self.begin()
                if self.ports.did_port_instruction(vector) if one_by_one(env) else self.path.simulate(self):
                    leave(self)
                    return
                self.undo_begin()
                (<int32_t *> (env + ENV_OLD_EXCEPTION))[0] = VECTOR_GP
            exception_begins(env, vector)
            self.delivering = True
        leave(self)
        self.lib.do_interrupt(self.cpu)
        self.delivering = False
        segments_changed(env)

    # Registers.

    @property
    def halted(self):
        """True while the vCPU sits in HLT."""
        self._require_open()
        return u32(self.cpu, CPU_HALTED)[0] != 0

    @property
    def interrupts_enabled(self):
        """EFLAGS.IF."""
        self._require_open()
        return (u64(self.env, ENV_EFLAGS)[0] & EFLAGS_IF) != 0

    @property
    def a20_pin(self):
        """The Listener whose input 0 is A20M#."""
        return self.pin

    def connect_ferr(self, IrqLine line not None):
        """The wire of FERR#, which rises with each x87 error that CR0.NE does not make #MF."""
        self.ferr = line

    cdef void switch_a20(self, int level) noexcept nogil:
        self.lib.set_a20(self.cpu, level)
        kick(self.cpu)          # what is chained to the block at hand may be elsewhere now

    def counters(self):
        """What was counted since power-on, as EngineCounters."""
        return self.runs.counters.record()


cdef void ignore_host_write(void *context, const uint8_t *host, uint64_t length) noexcept nogil:
    pass


cdef void ignore_map_change(void *context) noexcept nogil:
    pass
