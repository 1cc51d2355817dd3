# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
"""Stage 1 of an access on Unicorn: what the core's IN and OUT call, in_byte() to out_long(). Next: paths/port_path.pyx.

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
Slow loads.  Whatever the core reads itself (descriptors, stacks, page tables) asks uc->memory_mapping first, which
    walks a table; region_of() knows where RAM is.
Port permission.  The core's IOPL and TSS-bitmap check is compiled out; check_port_permission() does it.
Stores.  The core believes every page holds translated code, which makes each store of a guest without NX slow.
    `pages` knows better: tlb_fill() lets stores to pages without code run at full speed, on_new_code() takes that
    back the moment code is translated from a page.
"""

cimport cython
from libc.stdint cimport int32_t, uint8_t, uint16_t, uint32_t, uint64_t, uintptr_t
from libc.stdlib cimport calloc, free

from hyperport.bus.attention cimport (
    ATTENTION_INPUT,
    ATTENTION_STOP,
    ATTENTION_TIMER,
    Attention,
)
from hyperport.bus.device cimport PortDevice
from hyperport.engines.unicorn.library cimport (
    Library,
    check_layout,
    guard_reason,
    guarded_start,
    load_library,
    redirect_port_access,
    tlb_fill_function,
)
from hyperport.paths.port_path cimport PortPath

from hyperport.bus.attention import StopKind
from hyperport.cpu import cpuid
from hyperport.cpu.state import REGISTERS, SEGMENTS, CpuState, Segment, Table
from hyperport.engines.base import EngineCounters, Stop
from hyperport.errors import ConfigError, EngineError

include "layout.pxi"

cdef extern from *:
    """
    #include <stdint.h>
    static inline void hp_set_bits(uint32_t *p, uint32_t v) { __atomic_fetch_or(p, v, __ATOMIC_SEQ_CST); }
    static inline void hp_clear_bits(uint32_t *p, uint32_t v) { __atomic_fetch_and(p, ~v, __ATOMIC_SEQ_CST); }
    static inline void hp_store_half(uint16_t *p, uint16_t v) { __atomic_store_n(p, v, __ATOMIC_SEQ_CST); }
    /* The engine that runs on this thread: the core's callbacks carry no user pointer of ours. */
    static __thread void *hp_current_engine;
    static inline void *hp_current(void) { return hp_current_engine; }
    static inline void hp_set_current(void *engine) { hp_current_engine = engine; }
    """
    void hp_set_bits(uint32_t *p, uint32_t v) nogil
    void hp_clear_bits(uint32_t *p, uint32_t v) nogil
    void hp_store_half(uint16_t *p, uint16_t v) nogil
    void *hp_current() nogil
    void hp_set_current(void *engine) nogil

cdef enum:
    PAGE_SHIFT = 12
    VGA_HOLE = 0xA0000              # up to 0xC0000: no RAM on a PC
    VGA_HOLE_END = 0xC0000
    CODE_BUFFER = 32 << 20          # bytes of translated code before the core starts afresh
    STORES_BEFORE_FORGETTING = 4    # slow store fills after which a code page counts as data again
    CR0_PE = 1
    EFLAGS_TF = 1 << 8
    EFLAGS_IF = 1 << 9
    EFLAGS_DF = 1 << 10
    EFLAGS_VM = 1 << 17
    EFLAGS_RF = 1 << 16
    EFLAGS_ARITHMETIC = 0x8D5       # CF PF AF ZF SF OF
    DESCRIPTOR_DPL_SHIFT = 13
    DESCRIPTOR_PRESENT = 1 << 15
    DESCRIPTOR_DEFAULT_32 = 1 << 22
    TSS_MAP_BASE = 0x66             # where a 32-bit TSS holds the offset of its I/O map
    TSS_SMALLEST = 103
    VECTOR_UD = 6
    VECTOR_GP = 13
    FLAT_DATA = 0x00C09300           # present, DPL 0, 4 GiB, 32-bit, data, written
    DESCRIPTOR_CODE = 1 << 11

cdef uint64_t PAGE_MASK = ~(<uint64_t> 0xFFF)
cdef uint64_t TOP_OF_PHYSICAL = <uint64_t> 1 << 36


# Fields of the core.

cdef inline uint32_t *u32(char *base, int offset) noexcept nogil:
    return <uint32_t *> (base + offset)


cdef inline uint64_t *u64(char *base, int offset) noexcept nogil:
    return <uint64_t *> (base + offset)


cdef inline void *at(char *base, int offset) noexcept nogil:
    return (<void **> (base + offset))[0]


cdef void kick(void *context) noexcept nogil:
    """Make the vCPU look up at the next block, from any thread."""
    cdef char *cpu = <char *> context
    hp_set_bits(u32(cpu, CPU_INTERRUPT_REQUEST), INTERRUPT_HARD)
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


cdef Library *library = NULL
cdef void *port_functions[6]
port_functions[:] = [<void *> in_byte, <void *> in_word, <void *> in_long,
                     <void *> out_byte, <void *> out_word, <void *> out_long]


cdef void on_exception(void *uc, uint32_t vector, void *user) noexcept nogil:
    (<UnicornEngine> user).guest_exception(vector & 0xFF)


cdef bint on_invalid_instruction(void *uc, void *user) noexcept nogil:
    (<UnicornEngine> user).guest_exception(VECTOR_UD)
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
    cdef uint64_t page = block.pc & PAGE_MASK
    while page < block.pc + block.size:
        (<UnicornEngine> user).mark_code_at(page)
        page += 1 << PAGE_SHIFT


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


cdef inline void load_flat(char *segment, uint32_t selector, uint32_t flags) noexcept nogil:
    (<uint32_t *> segment)[0] = selector
    u64(segment, SEGMENT_BASE)[0] = 0
    u32(segment, SEGMENT_LIMIT)[0] = 0xFFFFFFFF
    u32(segment, SEGMENT_FLAGS)[0] = flags


cdef class A20Pin(PortDevice):
    """Input 0 is the CPU's A20M# pin, high when address line 20 passes."""

    name = "a20-pin"
    cdef void *engine

    cdef void on_line(self, int number, int level) noexcept nogil:
        if self.engine != NULL:
            (<UnicornEngine> self.engine).switch_a20(level)


@cython.final
cdef class UnicornEngine:
    """One i386 vCPU on libunicorn.

    memory: the guest's RAM. path: where port accesses go. controller: owner of the INTR line. attention: what may
    interrupt the run. clock: whose timers to fire. Raises EngineError where the library is missing or another build.
    """

    name = "unicorn"
    paths = ("exit",)

    def __init__(self, GuestMemory memory not None, PortPath path not None, InterruptController controller not None,
                 Attention attention not None, Clock clock not None):
        self.memory = memory
        self.path = path
        self.controller = controller
        self.attention = attention
        self.clock = clock
        self._listening = []
        self.pin = A20Pin()
        self.lib = load_library()
        self.page_count = memory.size >> PAGE_SHIFT
        self.pages = <CodePage *> calloc(self.page_count, sizeof(CodePage))
        if self.pages == NULL:
            raise MemoryError("no memory for the engine's page table")
        self._open()
        self._map()
        self._hook()
        self._identify()
        memory.invalidate_context = <void *> self
        memory.invalidate = on_host_write
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
        self._ok(self.lib.mem_map_ptr(self.uc, 0, VGA_HOLE, UC_PROT_ALL, base), "mapping low RAM")
        self._ok(self.lib.mem_map_ptr(self.uc, VGA_HOLE_END, size - VGA_HOLE_END, UC_PROT_ALL, base + VGA_HOLE_END),
                 "mapping RAM")
        self._ok(self.lib.mmio_map(self.uc, VGA_HOLE, VGA_HOLE_END - VGA_HOLE, read, <void *> self, write,
                                   <void *> self), "mapping the VGA hole")
        self._ok(self.lib.mmio_map(self.uc, size, TOP_OF_PHYSICAL - size, read, <void *> self, write,
                                   <void *> self), "mapping the space above RAM")

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
        redirect_port_access(port_functions)
        self.low_ram = self.lib.memory_mapping(self.uc, 0)
        self.high_ram = self.lib.memory_mapping(self.uc, VGA_HOLE_END)
        (<void **> (<char *> self.uc + UC_MEMORY_MAPPING))[0] = <void *> memory_mapping
        (<void **> (<char *> cpu_class + CLASS_TLB_FILL))[0] = <void *> tlb_fill
        (<void **> (<char *> cpu_class + CLASS_CPU_EXEC_INTERRUPT))[0] = <void *> exec_interrupt

    cdef _identify(self):
        """Answer CPUID from our table, and let the core decode just what it promises."""
        table = cpuid.leaves()
        for index, (leaf, (eax, ebx, ecx, edx)) in enumerate(sorted(table.items())):
            self.leaves[<int> index] = CpuidLeaf(leaf, eax, ebx, ecx, edx)
        self.leaf_count = len(table)
        cdef uint64_t *features = u64(self.env, ENV_FEATURES)
        features[FEATURE_1_EDX] = cpuid.FEATURES_EDX
        features[FEATURE_1_ECX] = cpuid.FEATURES_ECX
        features[FEATURE_80000001_EDX] = cpuid.EXTENDED_EDX

    cdef _require_open(self):
        if self.uc == NULL:
            raise EngineError("unicorn: the machine has been closed; make a new one")

    cdef void release(self) noexcept:
        """Let go of whoever could still call us, then of the CPU; one that died inside the library stays as it is."""
        if self.memory is not None and self.memory.invalidate_context == <void *> self:
            self.memory.invalidate = ignore_host_write
        if self.attention is not None and self.attention.kick_context == self.cpu:
            self.attention.kick = ignore_kick
        if self.pin is not None:
            (<A20Pin> self.pin).engine = NULL
        if self.uc != NULL and self.dead is None:
            self.lib.close(self.uc)
        self.uc = NULL
        self.cpu = NULL
        self.env = NULL

    def close(self):
        """Give the CPU back. Raises EngineError while the guest runs."""
        if self.running:
            raise EngineError("unicorn: close() was called while the guest runs; stop it first")
        self.release()

    def __dealloc__(self):
        self.release()
        free(self.pages)

    # Running.

    def listen(self, PortDevice device not None):
        """Let device hear on_input() when host input has arrived."""
        if self.listener_count == MAX_LISTENERS:
            raise ConfigError(f"more than {MAX_LISTENERS} devices with host input")
        self._listening.append(device)
        self.listeners[self.listener_count] = <void *> device
        self.listener_count += 1

    def run(self):
        """Run until HLT, a stop request, a triple fault or an abort of the engine; returns a Stop."""
        cdef int error
        cdef uint64_t begin
        if self.dead is not None:
            return Stop(StopKind.ENGINE_ABORT, text=self.dead)
        if self.running:
            raise EngineError("unicorn: run() was called while the guest runs")
        self._require_open()
        kind, value, failure, text = self.attention.take_stop()
        if kind != StopKind.NONE:
            return Stop(kind, value, failure, text)
        if self.halted and not self.controller.intr():
            return Stop(StopKind.HALT)
        self.running = True
        begin = u64(self.env, ENV_EIP)[0]
        with nogil:
            hp_set_current(<void *> self)
            self.mark_code_at(self.linear_eip())
            self.mark_code_at(self.linear_eip() + (1 << PAGE_SHIFT))
            kick(self.cpu)
            error = guarded_start(self.lib.emu_start, self.uc, begin)
            hp_set_current(NULL)
        self.running = False
        if error == -1:
            self.dead = f"the CPU engine cannot go on: {guard_reason()}"
            return Stop(StopKind.ENGINE_ABORT, text=self.dead)
        kind, value, failure, text = self.attention.take_stop()
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
        cdef uint32_t flags
        cdef int vector, i
        cdef uint32_t *request = u32(self.cpu, CPU_INTERRUPT_REQUEST)
        hp_clear_bits(request, INTERRUPT_HARD)      # first: a flag raised from here on sets it again
        flags = self.attention.pending()
        if flags & ATTENTION_TIMER:
            self.attention.clear_flags(ATTENTION_TIMER)
            self.clock.run_due()
        if flags & ATTENTION_INPUT:
            self.attention.clear_flags(ATTENTION_INPUT)
            for i in range(self.listener_count):
                (<PortDevice> self.listeners[i]).on_input()
        if self.attention.pending() & ATTENTION_STOP:
            self.lib.emu_stop(self.uc)
            return False
        if not self.controller.intr():
            return False
        hp_set_bits(request, INTERRUPT_HARD)        # stays until the guest takes it
        if not self.lib.pending_interrupt(self.cpu, INTERRUPT_HARD) & INTERRUPT_HARD:
            return False
        vector = self.controller.acknowledge() & 0xFF
        if not self.controller.intr():
            hp_clear_bits(request, INTERRUPT_HARD)
        self.interrupt_count[vector] += 1
        self.lib.do_hardware_interrupt(self.env, vector, 1)
        return True

    def look_up(self):
        """What service() does, for a vCPU that waits in HLT: fire timers, move input. Delivers nothing."""
        cdef int i
        with nogil:
            self.attention.clear_flags(ATTENTION_TIMER | ATTENTION_INPUT)
            self.clock.run_due()
            for i in range(self.listener_count):
                (<PortDevice> self.listeners[i]).on_input()

    # What the guest does.

    cdef uint32_t guest_in(self, uint32_t port, uint32_t size, uintptr_t caller) noexcept nogil:
        if u32(self.env, ENV_HFLAGS)[0] & HFLAG_CPL:
            self.check_port_permission(port & 0xFFFF, size, caller)
        return self.path.port_in(port & 0xFFFF, size)

    cdef void guest_out(self, uint32_t port, uint32_t size, uint32_t value, uintptr_t caller) noexcept nogil:
        if u32(self.env, ENV_HFLAGS)[0] & HFLAG_CPL:
            self.check_port_permission(port & 0xFFFF, size, caller)
        self.path.port_out(port & 0xFFFF, size, value)

    cdef void guest_misses_memory(self) noexcept nogil:
        self.mmio_count += 1

    cdef void guest_exception(self, uint32_t vector) noexcept nogil:
        cdef char *env = self.env
        cdef uint64_t next_eip, cs_base
        cdef uint32_t length = 2
        if u32(env, ENV_EXCEPTION_IS_INT)[0] and vector != VECTOR_UD:
            # The core has already moved EIP past the INT; a fault during delivery must point at it.
            self.software_count[vector] += 1
            next_eip = u64(env, ENV_EXCEPTION_NEXT_EIP)[0]
            if vector == 3 or vector == 4:      # INT3 and INTO have one byte, INT 3 and INT 4 two
                cs_base = u64(env, ENV_SEGS + SEGMENT_SIZE + SEGMENT_BASE)[0]
                length = self.lib.load_byte(env, <uint32_t> (cs_base + next_eip - 1), MMU_KERNEL, 0)
                length = 1 if length == 0xCC or length == 0xCE else 2
            u64(env, ENV_EIP)[0] = <uint32_t> (next_eip - length)
        else:
            self.exception_count[vector] += 1
        self.lib.do_interrupt(self.cpu)

    cdef void guest_cpuid(self) noexcept nogil:
        cdef uint64_t *registers = u64(self.env, ENV_REGS)
        cdef uint32_t leaf = <uint32_t> registers[0]
        cdef int i
        registers[0] = registers[1] = registers[2] = registers[3] = 0
        for i in range(self.leaf_count):
            if self.leaves[i].leaf == leaf:
                registers[0] = self.leaves[i].eax
                registers[1] = self.leaves[i].ecx
                registers[2] = self.leaves[i].edx
                registers[3] = self.leaves[i].ebx
                break

    cdef void guest_sysenter(self) noexcept nogil:
        """SYSENTER (SDM vol. 2B): flat ring-0 CS and SS from the MSR, IF and VM cleared."""
        cdef char *env = self.env
        cdef uint32_t selector = u32(env, ENV_SYSENTER_CS)[0] & 0xFFFC
        if selector == 0 or not u64(env, ENV_CR)[0] & CR0_PE:
            self.lib.raise_exception(env, VECTOR_GP, 0)
        u64(env, ENV_EFLAGS)[0] &= ~(<uint64_t> (EFLAGS_VM | EFLAGS_IF | EFLAGS_RF))
        load_flat(env + ENV_SEGS + SEGMENT_SIZE, selector, FLAT_DATA | DESCRIPTOR_CODE)
        load_flat(env + ENV_SEGS + 2 * SEGMENT_SIZE, (selector + 8) & 0xFFFC, FLAT_DATA)
        self.refresh_hidden_flags()
        u64(env, ENV_REGS)[4] = <uint32_t> u64(env, ENV_SYSENTER_ESP)[0]
        u64(env, ENV_EIP)[0] = <uint32_t> (u64(env, ENV_SYSENTER_EIP)[0] - 2)   # the core steps over SYSENTER

    cdef void check_port_permission(self, uint32_t port, uint32_t size, uintptr_t caller) noexcept nogil:
        """SDM vol. 1, 18.5: CPL against IOPL, then the I/O map of the TSS; #GP(0) leaves by longjmp."""
        cdef char *env = self.env
        cdef uint64_t eflags = u64(env, ENV_EFLAGS)[0]
        cdef uint32_t cpl = u32(env, ENV_HFLAGS)[0] & HFLAG_CPL
        cdef uint32_t limit, flags, offset
        cdef uint64_t base
        if cpl <= ((eflags >> 12) & 3) and not eflags & EFLAGS_VM:
            return
        self.lib.restore_state(self.cpu, caller, False)     # a fault below must find EIP at this instruction
        base = u64(env, ENV_TR + SEGMENT_BASE)[0]
        limit = u32(env, ENV_TR + SEGMENT_LIMIT)[0]
        flags = u32(env, ENV_TR + SEGMENT_FLAGS)[0]
        if flags & DESCRIPTOR_PRESENT and flags >> 8 & 0xD == 9 and limit >= TSS_SMALLEST:
            offset = self.lib.load_word(env, base + TSS_MAP_BASE, MMU_KERNEL, 0) + (port >> 3)
            if offset + 1 <= limit:
                if not self.lib.load_word(env, base + offset, MMU_KERNEL, 0) >> (port & 7) & ((1 << size) - 1):
                    return
        self.lib.raise_exception(env, VECTOR_GP, 0)

    # Translated code and stores.

    cdef uint64_t linear_eip(self) noexcept nogil:
        return <uint32_t> (u64(self.env, ENV_SEGS + SEGMENT_SIZE + SEGMENT_BASE)[0] + u64(self.env, ENV_EIP)[0])

    cdef void mark_code(self, void *host) noexcept nogil:
        cdef uint64_t offset = (<uint64_t> host & PAGE_MASK) - <uint64_t> self.memory.base
        cdef CodePage *page
        if offset >= self.memory.size:
            return
        page = &self.pages[offset >> PAGE_SHIFT]
        if not page.has_code:
            page.has_code = 1
            page.stores = 0
            self.lib.tlb_reset_dirty(self.cpu, <uintptr_t> host & PAGE_MASK, 1 << PAGE_SHIFT)

    cdef void mark_code_at(self, uint64_t address) noexcept nogil:
        cdef void *host = NULL
        self.lib.code_page_host(self.env, <uint32_t> address, &host)
        if host != NULL:
            self.mark_code(host)

    cdef void *region_of(self, uint64_t address) noexcept nogil:
        """The core's MemoryRegion at a physical address; RAM, which never moves, without its table walk."""
        if address < VGA_HOLE:
            return self.low_ram
        if address < self.memory.size and address >= VGA_HOLE_END:
            return self.high_ram
        return self.lib.memory_mapping(self.uc, address)

    cdef void tlb_filled(self, uint64_t address, int access, int mmu) noexcept nogil:
        """The core has filled a TLB entry: is a store to this page slow for a reason?"""
        cdef char *fast = self.cpu + X86CPU_TLB_FAST + mmu * TLB_FAST_SIZE
        cdef uint64_t index = (address >> PAGE_SHIFT) & (u64(fast, 0)[0] >> TLB_ENTRY_SHIFT)
        cdef char *entry = <char *> at(fast, 8) + (index << TLB_ENTRY_SHIFT)
        cdef uint64_t write = u64(entry, TLB_WRITE)[0]
        cdef uint64_t offset
        cdef CodePage *page
        if write == <uint64_t> -1 or not write & TLB_NOT_DIRTY:
            return
        offset = (address & PAGE_MASK) + u64(entry, TLB_ADDEND)[0] - <uint64_t> self.memory.base
        if offset >= self.memory.size:
            return
        page = &self.pages[offset >> PAGE_SHIFT]
        if page.has_code and access == ACCESS_STORE:
            page.stores += 1
            if page.stores >= STORES_BEFORE_FORGETTING:
                self.forget_code(offset >> PAGE_SHIFT)
        if page.has_code:
            # Keep the store slow: the core drops the dirty mark of pages it believes not executable.
            if u64(entry, TLB_CODE)[0] == <uint64_t> -1:
                u64(entry, TLB_CODE)[0] = (address & PAGE_MASK) | TLB_INVALID
        elif access != ACCESS_FETCH:
            u64(entry, TLB_WRITE)[0] = write & ~(<uint64_t> TLB_NOT_DIRTY)

    cdef void forget_code(self, uint64_t page) noexcept nogil:
        cdef uint64_t start = self.lib.ram_address(self.uc, self.memory.base + (page << PAGE_SHIFT))
        self.lib.invalidate_range(self.uc, start, start + (1 << PAGE_SHIFT))
        self.pages[page].has_code = 0
        self.pages[page].stores = 0

    # Registers.

    @property
    def halted(self):
        """True while the vCPU sits in HLT."""
        return self.cpu != NULL and u32(self.cpu, CPU_HALTED)[0] != 0

    @property
    def interrupts_enabled(self):
        """EFLAGS.IF."""
        return self.env != NULL and (u64(self.env, ENV_EFLAGS)[0] & EFLAGS_IF) != 0

    @property
    def a20_pin(self):
        """The PortDevice whose input 0 is A20M#."""
        return self.pin

    cdef void switch_a20(self, int level) noexcept nogil:
        self.lib.set_a20(self.cpu, level)

    cdef object get_segment(self, int offset):
        return Segment(u32(self.env, offset)[0] & 0xFFFF, <uint32_t> u64(self.env, offset + SEGMENT_BASE)[0],
                       u32(self.env, offset + SEGMENT_LIMIT)[0], u32(self.env, offset + SEGMENT_FLAGS)[0] & 0xF0FF00)

    cdef void set_segment(self, int offset, object segment):
        u32(self.env, offset)[0] = segment.selector
        u64(self.env, offset + SEGMENT_BASE)[0] = segment.base
        u32(self.env, offset + SEGMENT_LIMIT)[0] = segment.limit
        u32(self.env, offset + SEGMENT_FLAGS)[0] = segment.attributes

    cdef void refresh_hidden_flags(self) noexcept nogil:
        """Recompute what the core caches of CS, SS, DS and ES in hflags, as its segment loads do."""
        cdef char *env = self.env
        cdef char *segs = env + ENV_SEGS
        cdef uint32_t cs_flags = u32(segs + SEGMENT_SIZE, SEGMENT_FLAGS)[0]
        cdef uint32_t ss_flags = u32(segs + 2 * SEGMENT_SIZE, SEGMENT_FLAGS)[0]
        cdef uint32_t hflags = u32(env, ENV_HFLAGS)[0] & ~<uint32_t> (HFLAG_CPL | HFLAG_CS32 | HFLAG_SS32 | HFLAG_ADDSEG)
        cdef uint64_t bases
        hflags |= ss_flags >> DESCRIPTOR_DPL_SHIFT & HFLAG_CPL
        if cs_flags & DESCRIPTOR_DEFAULT_32:
            hflags |= HFLAG_CS32
        if ss_flags & DESCRIPTOR_DEFAULT_32:
            hflags |= HFLAG_SS32
        bases = (u64(segs, SEGMENT_BASE)[0] | u64(segs + 2 * SEGMENT_SIZE, SEGMENT_BASE)[0]
                 | u64(segs + 3 * SEGMENT_SIZE, SEGMENT_BASE)[0])
        if bases or not u64(env, ENV_CR)[0] & CR0_PE or u64(env, ENV_EFLAGS)[0] & EFLAGS_VM or not hflags & HFLAG_CS32:
            hflags |= HFLAG_ADDSEG
        u32(env, ENV_HFLAGS)[0] = hflags

    def state(self):
        """All registers as a CpuState."""
        cdef uint32_t eflags = 0
        cdef char *env = self.env
        self._require_open()
        self.lib.reg_read(self.uc, UC_X86_REG_EFLAGS, &eflags)
        cdef uint64_t *cr = u64(env, ENV_CR)
        state = CpuState(
            eip=<uint32_t> u64(env, ENV_EIP)[0], eflags=eflags, cr0=<uint32_t> cr[0], cr2=<uint32_t> cr[2],
            cr3=<uint32_t> cr[3], cr4=<uint32_t> cr[4], efer=u64(env, ENV_EFER)[0],
            ldtr=self.get_segment(ENV_LDT), tr=self.get_segment(ENV_TR),
            gdtr=Table(<uint32_t> u64(env, ENV_GDT + SEGMENT_BASE)[0], u32(env, ENV_GDT + SEGMENT_LIMIT)[0]),
            idtr=Table(<uint32_t> u64(env, ENV_IDT + SEGMENT_BASE)[0], u32(env, ENV_IDT + SEGMENT_LIMIT)[0]),
            sysenter_cs=u32(env, ENV_SYSENTER_CS)[0], sysenter_esp=<uint32_t> u64(env, ENV_SYSENTER_ESP)[0],
            sysenter_eip=<uint32_t> u64(env, ENV_SYSENTER_EIP)[0], halted=self.halted,
        )
        for index, name in enumerate(REGISTERS):
            setattr(state, name, <uint32_t> u64(env, ENV_REGS)[<int> index])
        for index, name in enumerate(SEGMENTS):
            setattr(state, name, self.get_segment(ENV_SEGS + <int> index * SEGMENT_SIZE))
        return state

    def set_state(self, state):
        """Load all registers; the guest must be stopped."""
        cdef char *env = self.env
        cdef uint32_t eflags = state.eflags
        if self.running:
            raise EngineError("unicorn: registers cannot be loaded while the guest runs")
        self._require_open()
        for index, name in enumerate(REGISTERS):
            u64(env, ENV_REGS)[<int> index] = <uint32_t> getattr(state, name)
        u64(env, ENV_EIP)[0] = <uint32_t> state.eip
        u64(env, ENV_CC_SRC)[0] = eflags & EFLAGS_ARITHMETIC
        u32(env, ENV_CC_OP)[0] = CC_OP_EFLAGS
        (<int32_t *> (env + ENV_DF))[0] = -1 if eflags & EFLAGS_DF else 1
        u64(env, ENV_EFLAGS)[0] = eflags | 2    # on entry the core takes all flags from here, until then from cc_src and df
        u64(env, ENV_EFER)[0] = state.efer
        u32(env, ENV_SYSENTER_CS)[0] = state.sysenter_cs
        u64(env, ENV_SYSENTER_ESP)[0] = <uint32_t> state.sysenter_esp
        u64(env, ENV_SYSENTER_EIP)[0] = <uint32_t> state.sysenter_eip
        for index, name in enumerate(SEGMENTS):
            self.set_segment(ENV_SEGS + <int> index * SEGMENT_SIZE, getattr(state, name))
        self.set_segment(ENV_LDT, state.ldtr)
        self.set_segment(ENV_TR, state.tr)
        u64(env, ENV_GDT + SEGMENT_BASE)[0] = <uint32_t> state.gdtr.base
        u32(env, ENV_GDT + SEGMENT_LIMIT)[0] = state.gdtr.limit
        u64(env, ENV_IDT + SEGMENT_BASE)[0] = <uint32_t> state.idtr.base
        u32(env, ENV_IDT + SEGMENT_LIMIT)[0] = state.idtr.limit
        self.lib.update_cr4(env, <uint32_t> state.cr4)
        self.lib.update_cr3(env, <uint32_t> state.cr3)
        self.lib.update_cr0(env, <uint32_t> state.cr0)
        u64(env, ENV_CR)[2] = <uint32_t> state.cr2
        u32(self.cpu, CPU_HALTED)[0] = 1 if state.halted else 0
        (<int32_t *> (env + ENV_OLD_EXCEPTION))[0] = -1
        self.refresh_hidden_flags()

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
