# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
"""Stage 1 of an access on Unicorn: what the core's IN and OUT call, in_byte() to out_long(). Next: io/path.pyx.

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
Ports.  The core's IN and OUT helpers call cpu_inb() to cpu_outl() through the library's import slots, which are
    redirected to in_byte() to out_long() below. The public hook would first restore EIP and flags from the
    translator's notes for every access; here that is done only where an access may fault.
    A REP INS or OUTS arrives here at its first element; look_at() finds out, once for each place in translated
    code, and does the string whole. Doorbells and the other hypercalls: hypercalls.pyx.
Port permission.  The core's IOPL and TSS-bitmap check is compiled out; port_allowed() in vcpu.pyx does it. Where that
    would come too late, code_filter.pyx makes the instruction another one.
Stores and slow loads.  See code_pages.pyx.
"""

cimport cython
from libc.stdint cimport int32_t, uint8_t, uint16_t, uint32_t, uint64_t, uintptr_t
from libc.string cimport memset

from hyperport.time.clock cimport Clock
from hyperport.lines.attention cimport Attention
from hyperport.bus.device cimport PortDevice
from hyperport.cpu.decode cimport PortInstruction
from hyperport.cpu.fetch cimport fetch_and_decode
from hyperport.cpu.vcpu cimport EDX, EFLAGS_IF, EFLAGS_RF, EFLAGS_VM, VECTOR_GP, VECTOR_PF, VECTOR_UD
from hyperport.engines.unicorn.code_filter cimport filtered_byte, forget_position
from hyperport.engines.shared.look_up cimport LookUp
from hyperport.engines.unicorn.fields cimport at, u32, u64
from hyperport.engines.unicorn.library cimport (
    Library,
    check_layout,
    guard_reason,
    guarded_start,
    load_library,
    redirect_calls,
    tlb_fill_function,
)
from hyperport.io.hypercall cimport CallTable
from hyperport.engines.unicorn.code_pages cimport PAGE_MASK, PAGE_SHIFT
from hyperport.engines.unicorn.fidelity.mend cimport (
    enter_guest,
    exception_begins,
    leave_guest,
    mend_core,
    mend_cpu,
    one_by_one,
    segments_changed,
)
from hyperport.engines.unicorn.hypercalls cimport CallingVcpu
from hyperport.memory.ram cimport HOLE, HOLE_END, GuestMemory
from hyperport.io.path cimport PortPath

from hyperport.lines.attention import StopKind
from hyperport.engines.base import EngineCounters, Stop
from hyperport.errors import EngineError

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
    CODE_BUFFER = 32 << 20          # bytes of translated code before the core starts afresh
    CR0_PE = 1
    FLAT_DATA = 0x00C09300           # present, DPL 0, 4 GiB, 32-bit, data, written
    DESCRIPTOR_CODE = 1 << 11
    LGUEST_VECTOR = 0x1F            # abi/lguest.py: INT 1Fh

cdef uint64_t TOP_OF_PHYSICAL = <uint64_t> 1 << 40      # all that page tables of this core can point to


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


# Hooks: all run on the vCPU's thread, inside uc_emu_start, without the GIL. `user` is the engine; `caller` is the
# return address into translated code, from which the core can restore EIP and flags.

cdef uint8_t in_byte(void *uc, uint32_t port, uintptr_t caller) noexcept nogil:
    if hp_current() == NULL:
        return library.in_byte(uc, port, caller)
    return <uint8_t> (<UnicornEngine> hp_current()).guest_in(port, 1, caller)


cdef uint16_t in_word(void *uc, uint32_t port, uintptr_t caller) noexcept nogil:
    if hp_current() == NULL:
        return library.in_word(uc, port, caller)
    return <uint16_t> (<UnicornEngine> hp_current()).guest_in(port, 2, caller)


cdef uint32_t in_long(void *uc, uint32_t port, uintptr_t caller) noexcept nogil:
    if hp_current() == NULL:
        return library.in_long(uc, port, caller)
    return (<UnicornEngine> hp_current()).guest_in(port, 4, caller)


cdef void out_byte(void *uc, uint32_t port, uint8_t value, uintptr_t caller) noexcept nogil:
    if hp_current() == NULL:
        library.out_byte(uc, port, value, caller)
    else:
        (<UnicornEngine> hp_current()).guest_out(port, 1, value, caller)


cdef void out_word(void *uc, uint32_t port, uint16_t value, uintptr_t caller) noexcept nogil:
    if hp_current() == NULL:
        library.out_word(uc, port, value, caller)
    else:
        (<UnicornEngine> hp_current()).guest_out(port, 2, value, caller)


cdef void out_long(void *uc, uint32_t port, uint32_t value, uintptr_t caller) noexcept nogil:
    if hp_current() == NULL:
        library.out_long(uc, port, value, caller)
    else:
        (<UnicornEngine> hp_current()).guest_out(port, 4, value, caller)


cdef void flush_code(void *cpu) noexcept nogil:
    if hp_current() != NULL:
        (<UnicornEngine> hp_current()).forget_sites()
    library.flush_code(cpu)


cdef uint32_t fetch_byte(void *env, uint64_t address) noexcept nogil:
    if hp_current() == NULL:
        return library.fetch_byte(env, address)
    return filtered_byte(&(<UnicornEngine> hp_current()).filter, library, env, address, hp_return_address(0))


cdef Library *library = NULL
cdef void *redirections[8]
redirections[:] = [<void *> in_byte, <void *> in_word, <void *> in_long,
                   <void *> out_byte, <void *> out_word, <void *> out_long, <void *> flush_code,
                   <void *> fetch_byte]


cdef void on_exception(void *uc, uint32_t vector, void *user) noexcept nogil:
    (<UnicornEngine> user).guest_exception(vector & 0xFF)


cdef bint on_invalid_instruction(void *uc, void *user) noexcept nogil:
    (<UnicornEngine> user).guest_undefined()
    return True


cdef int on_cpuid(void *uc, void *user) noexcept nogil:
    (<UnicornEngine> user).guest_cpuid()
    return 1


cdef void on_sysenter(void *uc, void *user) noexcept nogil:
    (<UnicornEngine> user).guest_sysenter()


cdef uint64_t on_mmio_read(void *uc, uint64_t offset, unsigned size, void *user) noexcept nogil:
    (<UnicornEngine> user).guest_misses_memory()
    return <uint64_t> -1            # no memory there: the bus floats high


cdef void on_mmio_write(void *uc, uint64_t offset, unsigned size, uint64_t value, void *user) noexcept nogil:
    (<UnicornEngine> user).guest_misses_memory()


cdef struct BlockRecord:            # uc_tb of unicorn.h
    uint64_t pc
    uint16_t instructions
    uint16_t size


cdef void on_new_code(void *uc, BlockRecord *block, BlockRecord *previous, void *user) noexcept nogil:
    # A block lies in one page or two; at the top of the linear space the sum wraps.
    (<UnicornEngine> user).mark_code_at(block.pc)
    if (block.pc ^ (block.pc + block.size - 1)) & PAGE_MASK:
        (<UnicornEngine> user).mark_code_at(block.pc + block.size - 1)


cdef tlb_fill_function plain_tlb_fill = NULL


cdef bint tlb_fill(void *cpu, uint64_t address, int size, int access, int mmu, bint probe,
                   uintptr_t return_address) noexcept nogil:
    if not plain_tlb_fill(cpu, address, size, access, mmu, probe, return_address):
        return False
    if hp_current() != NULL:
        (<UnicornEngine> hp_current()).tlb_filled(address, access, mmu)
    return True


cdef void *memory_mapping(void *uc, uint64_t address) noexcept nogil:
    if hp_current() == NULL:
        return library.memory_mapping(uc, address)
    return (<UnicornEngine> hp_current()).region_of(address)


cdef bint exec_interrupt(void *cpu, int request) noexcept nogil:
    return (<UnicornEngine> hp_current()).service()


cdef void on_host_write(void *context, uint64_t address, uint64_t length) noexcept nogil:
    """The host wrote guest memory: drop the code that was translated from it."""
    cdef uint64_t page
    if length == 0:
        return
    for page in range(address >> PAGE_SHIFT, ((address + length - 1) >> PAGE_SHIFT) + 1):
        if (<UnicornEngine> context).pages[page].has_code:
            (<UnicornEngine> context).forget_code(page)


cdef class A20Pin(PortDevice):
    """Input 0 is the CPU's A20M# pin, high when address line 20 passes."""

    name = "a20-pin"
    cdef void *engine

    cdef void on_line(self, int number, int level) noexcept nogil:
        if self.engine != NULL:
            (<UnicornEngine> self.engine).switch_a20(level)


@cython.final
@cython.no_gc_clear         # __dealloc__ needs memory, attention and pin
cdef class UnicornEngine(CallingVcpu):
    """One i386 vCPU on libunicorn.

    memory: the guest's RAM. path: where port accesses go. controller: owner of the INTR line. attention: what may
    interrupt the run. clock: whose timers to fire. Raises EngineError where the library is missing or another build.
    """

    name = "unicorn"
    paths = ("trap", "exit", "hypercall")

    def __init__(self, GuestMemory memory not None, PortPath path not None, InterruptController controller not None,
                 Attention attention not None, Clock clock not None):
        self.path = path
        self.controller = controller
        self.attention = attention
        self.looks = LookUp(attention, clock)
        self.pin = A20Pin()
        self.lib = load_library()
        self.watch_pages(memory)
        forget_position(&self.filter)
        self._open()
        self._map()
        self._hook()
        self.identify({})
        memory.invalidate_context = <void *> self
        memory.invalidate = on_host_write
        hp_register_barrier()
        attention.kick_context = self.cpu
        attention.kick = kick
        (<A20Pin> self.pin).engine = <void *> self

    cdef _ok(self, int error, str doing):
        if error:
            raise EngineError(f"unicorn: {doing}: {self.lib.strerror(error).decode()}")

    cdef _open(self):
        self._ok(self.lib.open(UC_ARCH_X86, UC_MODE_32, &self.uc), "opening a CPU")
        self._ok(self.lib.ctl(self.uc, UC_CTL_CPU_MODEL, UC_CPU_X86_QEMU32), "choosing the CPU model")
        self._ok(self.lib.ctl(self.uc, UC_CTL_TCG_BUFFER_SIZE, <uint32_t> CODE_BUFFER), "sizing the code buffer")
        self._ok(self.lib.ctl(self.uc, UC_CTL_USE_EXITS, 1), "switching stop addresses off")

    cdef _map(self):
        cdef uint64_t size = self.memory.size
        cdef uint8_t *base = self.memory.base
        cdef void *read = <void *> on_mmio_read
        cdef void *write = <void *> on_mmio_write
        self._ok(self.lib.mem_map_ptr(self.uc, 0, HOLE, UC_PROT_ALL, base), "mapping low RAM")
        self._ok(self.lib.mem_map_ptr(self.uc, HOLE_END, size - HOLE_END, UC_PROT_ALL, base + HOLE_END),
                 "mapping RAM")
        self._ok(self.lib.mmio_map(self.uc, HOLE, HOLE_END - HOLE, read, <void *> self, write,
                                   <void *> self), "mapping the hole")
        self._ok(self.lib.mmio_map(self.uc, size, TOP_OF_PHYSICAL - size, read, <void *> self, write,
                                   <void *> self), "mapping the space above RAM")
        # Fetches float high too (FFh FFh is #UD); MMIO of the core cannot be executed by itself.
        self._ok(self.lib.mem_protect(self.uc, HOLE, HOLE_END - HOLE, UC_PROT_ALL), "mapping the hole")
        self._ok(self.lib.mem_protect(self.uc, size, TOP_OF_PHYSICAL - size, UC_PROT_ALL), "mapping the space above RAM")

    cdef _hook(self):
        global plain_tlb_fill, library
        cdef size_t handle
        cdef void *me = <void *> self
        cdef uint64_t first = 1         # begin > end: every address
        cdef uint64_t last = 0
        cdef void *cpu_class
        self._ok(self.lib.hook_add(self.uc, &handle, UC_HOOK_INTR, <void *> on_exception, me, first, last), "hooks")
        self._ok(self.lib.hook_add(self.uc, &handle, UC_HOOK_INSN_INVALID, <void *> on_invalid_instruction, me,
                                   first, last), "hooks")
        self._ok(self.lib.hook_add(self.uc, &handle, UC_HOOK_EDGE_GENERATED, <void *> on_new_code, me, first, last),
                 "hooks")
        for instruction, callback in ((UC_X86_INS_CPUID, <uintptr_t> on_cpuid),
                                      (UC_X86_INS_SYSENTER, <uintptr_t> on_sysenter)):
            self._ok(self.lib.hook_add(self.uc, &handle, UC_HOOK_INSN, <void *> <uintptr_t> callback, me, first, last,
                                       <int> instruction), "hooks")
        # The CPU exists from the first hook on.
        check_layout(self.lib, self.uc)
        self.cpu = <char *> at(<char *> self.uc, UC_CPU)
        self.env = <char *> at(self.cpu, CPU_ENV_PTR)
        (<uint8_t *> self.uc)[UC_NO_EXIT_REQUEST] = 1
        cpu_class = at(self.cpu, CPU_CLASS)
        plain_tlb_fill = self.lib.tlb_fill
        library = self.lib
        redirect_calls(redirections)
        mend_core(<void *> flush_code)
        mend_cpu(self.lib, self.uc)
        self.filter.vcpu = <void *> self
        self.filter.tcg = at(<char *> self.uc, UC_TCG)
        self.find_ram()
        (<void **> (<char *> self.uc + UC_MEMORY_MAPPING))[0] = <void *> memory_mapping
        (<void **> (<char *> cpu_class + CLASS_TLB_FILL))[0] = <void *> tlb_fill
        (<void **> (<char *> cpu_class + CLASS_CPU_EXEC_INTERRUPT))[0] = <void *> exec_interrupt

    def offer(self, CallTable calls not None, rom_base=0, doorbells=None, cpuid_leaves=None):
        """See CallingVcpu; what was found out about places in translated code is forgotten."""
        CallingVcpu.offer(self, calls, rom_base, doorbells, cpuid_leaves)
        self.forget_sites()

    cdef void release(self) noexcept:
        """Let go of whoever could still call us, then of the CPU; one that died inside the library stays as it is."""
        if self.uc == NULL:
            return
        if self.memory.invalidate_context == <void *> self:
            self.memory.invalidate = ignore_host_write
        if self.attention.kick_context == self.cpu:
            self.attention.kick = ignore_kick
        (<A20Pin> self.pin).engine = NULL
        if self.dead is None:
            self.lib.close(self.uc)
        self.uc = NULL
        self.cpu = NULL
        self.env = NULL

    def close(self):
        """Give the CPU back; only counters() works afterwards. Raises EngineError while the guest runs."""
        if self.running:
            raise EngineError("unicorn: close() was called while the guest runs; stop it first")
        self.release()

    def __dealloc__(self):
        self.release()

    # Running.

    def listen(self, PortDevice device not None):
        """Let device hear on_input() when host input has arrived."""
        self.looks.listen(device)

    def run(self):
        """Run until HLT, a stop request, a triple fault or an abort of the engine; returns a Stop."""
        cdef int error
        cdef uint64_t begin
        self._require_open()
        if self.dead is not None:
            return Stop(StopKind.ENGINE_ABORT, text=self.dead)
        if self.running:
            raise EngineError("unicorn: run() was called while the guest runs")
        if hp_current() != NULL:
            raise EngineError("unicorn: run() was called by a device of another guest; use another thread")
        kind, value, failure, text = self.attention.take_stop()
        if kind != StopKind.NONE:
            return Stop(kind, value, failure, text)
        if self.halted and not self.controller.intr():
            return Stop(StopKind.HALT)
        self.running = True
        begin = u64(self.env, ENV_EIP)[0]
        with nogil:
            hp_set_current(<void *> self)
            enter_guest(self.env, self.memory.base, self.memory.size)
            kick(self.cpu)
            error = guarded_start(self.lib.emu_start, self.uc, begin)
            leave_guest()
            hp_set_current(NULL)
        self.running = False
        if error == -1:
            self.dead = f"the CPU engine cannot go on: {guard_reason()}"
            return Stop(StopKind.ENGINE_ABORT, text=self.dead)
        kind, value, failure, text = self.attention.take_stop()
        if kind == StopKind.GUEST_KILLED:
            text = self.calls.reason(value)
        if kind != StopKind.NONE:
            return Stop(kind, value, failure, text)
        if error:
            return Stop(StopKind.ENGINE_ABORT, text=f"the CPU engine stopped: {self.lib.strerror(error).decode()} "
                                                    f"at eip {u64(self.env, ENV_EIP)[0]:#x}")
        if u32(self.cpu, CPU_HALTED)[0]:
            self.hlt_count += 1
            return Stop(StopKind.HALT)
        return Stop(StopKind.TRIPLE_FAULT)

    cdef bint service(self) noexcept nogil:
        """Look up from guest code. True where an interrupt was delivered."""
        cdef int vector
        cdef uint32_t *request = u32(self.cpu, CPU_INTERRUPT_REQUEST)
        hp_clear_bits(request, INTERRUPT_HARD)      # first: a flag raised from here on sets it again
        if self.looks.now():
            self.lib.emu_stop(self.uc)
            return False
        if not self.controller.intr():
            return False
        hp_set_bits(request, INTERRUPT_HARD)        # stays until the guest takes it
        if not self.lib.pending_interrupt(self.cpu, INTERRUPT_HARD) & INTERRUPT_HARD:
            return False
        # Not cleared here: that could undo a kick which came after the flags were read.
        vector = self.controller.acknowledge() & 0xFF
        self.interrupt_count[vector] += 1
        self.lib.do_hardware_interrupt(self.env, vector, 1)
        segments_changed(self.env)
        return True

    def look_up(self):
        """What service() does, for a vCPU that waits in HLT: fire timers, move input. Delivers nothing."""
        self._require_open()
        with nogil:
            self.looks.everything()

    # What the guest does.

    cdef uint32_t guest_in(self, uint32_t port, uint32_t size, uintptr_t caller) noexcept nogil:
        cdef Site *site = &self.sites[(caller >> 2) & (SITES - 1)]
        port &= 0xFFFF
        if self.path.traps:
            if self.path.profile:
                self.path.fault_begins()
            self.lib.raise_exception_from(self.env, VECTOR_GP, 0, caller)
        if site.caller != caller or site.kind != SITE_PLAIN:
            self.look_at(port, False, caller)
        if u32(self.env, ENV_HFLAGS)[0] & HFLAG_CPL:
            self.lib.restore_state(self.cpu, caller, False)
            if not self.port_allowed(port, size):
                self.fault(VECTOR_GP, 0)
        return self.path.port_in(port, size)

    cdef void guest_out(self, uint32_t port, uint32_t size, uint32_t value, uintptr_t caller) noexcept nogil:
        cdef Site *site = &self.sites[(caller >> 2) & (SITES - 1)]
        port &= 0xFFFF
        if site.caller == caller and site.kind == SITE_DOORBELL:
            if self.ring(site.number, caller):
                return
        elif site.caller != caller or site.kind != SITE_PLAIN:
            if self.calls is not None or not self.path.traps:
                if self.look_at(port, True, caller):
                    return
        if self.path.traps:
            if self.path.profile:
                self.path.fault_begins()
            self.lib.raise_exception_from(self.env, VECTOR_GP, 0, caller)
        if u32(self.env, ENV_HFLAGS)[0] & HFLAG_CPL:
            self.lib.restore_state(self.cpu, caller, False)
            if not self.port_allowed(port, size):
                self.fault(VECTOR_GP, 0)
        self.path.port_out(port, size, value)

    cdef bint look_at(self, uint32_t port, bint out, uintptr_t caller) noexcept nogil:
        """What stands at this place? True for a doorbell, which is now answered; a REP string does not return."""
        cdef Site *site = &self.sites[(caller >> 2) & (SITES - 1)]
        cdef PortInstruction instruction
        cdef uint32_t number
        self.lib.restore_state(self.cpu, caller, False)
        if out and self.calls is not None:
            number = self.doorbell_here()
            if number and number == port:
                site.caller = caller
                site.kind = SITE_DOORBELL
                site.number = <uint8_t> number
                return self.ring(number, caller)
        if not self.path.traps and fetch_and_decode(self, &instruction) > 0 and instruction.string and instruction.rep:
            if self.path.port_string(self, &instruction):       # CPL and IOPL allow it: see code_filter.pyx
                self.retire(instruction.length)
            else:
                self.retire(0)
            self.lib.leave_block(self.cpu)
        site.caller = caller
        site.kind = SITE_PLAIN
        return False

    cdef void forget_sites(self) noexcept nogil:
        """Translated code is thrown away, and with it every place that was looked at."""
        memset(self.sites, 0, sizeof(self.sites))

    cdef void guest_misses_memory(self) noexcept nogil:
        self.mmio_count += 1

    cdef void guest_exception(self, uint32_t vector) noexcept nogil:
        cdef char *env = self.env
        cdef uint64_t next_eip, cs_base
        cdef uint32_t length = 2
        if u32(env, ENV_EXCEPTION_IS_INT)[0] and vector != VECTOR_UD:
            # The core has already moved EIP past the INT; a fault during delivery must point at it.
            next_eip = u64(env, ENV_EXCEPTION_NEXT_EIP)[0]
            if vector == 3 or vector == 4:      # INT3 and INTO have one byte, INT 3 and INT 4 two
                cs_base = u64(env, ENV_SEGS + SEGMENT_SIZE + SEGMENT_BASE)[0]
                length = self.lib.load_byte(env, <uint32_t> (cs_base + next_eip - 1), MMU_KERNEL, 0)
                length = 1 if length == 0xCC or length == 0xCE else 2
            u64(env, ENV_EIP)[0] = <uint32_t> (next_eip - length)
            if vector == LGUEST_VECTOR and self.calls_by_int():
                return
            self.software_count[vector] += 1
        else:
            if vector == VECTOR_PF and self.string_call_faulted():
                return
            self.hits = 0               # what was to hit them was not done
            self.exception_count[vector] += 1
            if vector == VECTOR_GP and not u32(env, ENV_ERROR_CODE)[0]:
                # Not delivered yet: what the handler raises in its place is a first fault, not a double one.
                (<int32_t *> (env + ENV_OLD_EXCEPTION))[0] = -1
                if not one_by_one(env):
                    if self.path.on_fault(self):
                        return
                elif self.did_port_instruction(VECTOR_GP):
                    return
                (<int32_t *> (env + ENV_OLD_EXCEPTION))[0] = VECTOR_GP
            exception_begins(env, vector)
        self.lib.do_interrupt(self.cpu)
        segments_changed(env)

    cdef void guest_undefined(self) noexcept nogil:
        """What the translator took for undefined, or was made to: see code_filter.pyx."""
        if self.calls_by_vmcall() or self.did_undefined():
            return
        if one_by_one(self.env) and self.did_port_instruction(VECTOR_UD):
            return
        self.guest_exception(VECTOR_UD)

    cdef bint did_port_instruction(self, uint32_t vector) noexcept nogil:
        """While breakpoints are enabled or segments are not flat: a port instruction, or an element of one, by the path.

        vector: of the exception that brought us here. True if it was done, or its own exception was delivered.
        """
        cdef PortInstruction instruction
        cdef int fault
        if fetch_and_decode(self, &instruction) <= 0 or (vector == VECTOR_UD and not instruction.string):
            return False
        if instruction.string and self.port_allowed(self.get(EDX) & 0xFFFF, instruction.size):
            fault = self.string_fault(&instruction)
            if fault:
                self.exception_count[fault] += 1
                self.deliver(fault, 0)
                return True
        (<int32_t *> (self.env + ENV_OLD_EXCEPTION))[0] = -1
        self.note_hits(&instruction)
        if self.path.on_fault(self):
            return True
        self.hits = 0
        return False

    cdef void guest_sysenter(self) noexcept nogil:
        """SYSENTER (SDM vol. 2B): flat ring-0 CS and SS from the MSR, IF and VM cleared."""
        cdef char *env = self.env
        cdef uint32_t selector = u32(env, ENV_SYSENTER_CS)[0] & 0xFFFC
        if selector == 0 or not u64(env, ENV_CR)[0] & CR0_PE:
            self.lib.raise_exception(env, VECTOR_GP, 0)
        u64(env, ENV_EFLAGS)[0] &= ~(<uint64_t> (EFLAGS_VM | EFLAGS_IF | EFLAGS_RF))
        self.load_flat(ENV_SEGS + SEGMENT_SIZE, selector, FLAT_DATA | DESCRIPTOR_CODE)
        self.load_flat(ENV_SEGS + 2 * SEGMENT_SIZE, (selector + 8) & 0xFFFC, FLAT_DATA)
        self.refresh_hidden_flags()
        segments_changed(env)
        u64(env, ENV_REGS)[4] = <uint32_t> u64(env, ENV_SYSENTER_ESP)[0]
        u64(env, ENV_EIP)[0] = <uint32_t> (u64(env, ENV_SYSENTER_EIP)[0] - 2)   # the core steps over SYSENTER

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
        """The PortDevice whose input 0 is A20M#."""
        return self.pin

    cdef void switch_a20(self, int level) noexcept nogil:
        self.lib.set_a20(self.cpu, level)

    def counters(self):
        """What was counted since power-on, as EngineCounters."""
        return EngineCounters(
            exceptions={v: self.exception_count[v] for v in range(256) if self.exception_count[v]},
            software_interrupts={v: self.software_count[v] for v in range(256) if self.software_count[v]},
            interrupts={v: self.interrupt_count[v] for v in range(256) if self.interrupt_count[v]},
            hlts=self.hlt_count, mmio=self.mmio_count,
        )


cdef void ignore_host_write(void *context, uint64_t address, uint64_t length) noexcept nogil:
    pass


cdef void ignore_kick(void *context) noexcept nogil:
    pass
