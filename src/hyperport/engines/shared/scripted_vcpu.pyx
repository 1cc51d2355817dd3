# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
"""A vCPU that executes nothing by itself: registers, flat memory with holes, and faults, for scripts and for unit tests.

It crosses, and uses the paths, as the vCPU of an engine does: access() is an access that an engine knows whole, execute() an
instruction that it does not know, call() a hypercall.
"""

from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memset

from hyperport.bus.access cimport Access, describe
from hyperport.bus.port_bus cimport DIRECTION_IN
from hyperport.cpu.decode cimport PortInstruction
from hyperport.cpu.fetch cimport fetch_and_decode
from hyperport.cpu.vcpu cimport VECTOR_GP, VECTOR_PF, Vcpu
from hyperport.io.crossing cimport Crossing, enter, leave
from hyperport.io.hypercall cimport Call, CallTable
from hyperport.io.memory cimport load_at, store_at
from hyperport.io.path cimport PortPath, carry
from hyperport.memory.map cimport hp_host_at
from hyperport.memory.ram cimport GuestMemory

from hyperport.cpu.state import REGISTERS
from hyperport.errors import ConfigError

cdef extern from "way_out.h":
    enum:
        HP_FAULTED
    int hp_guarded(int (*call)(void *context, uint32_t number) noexcept nogil, void *context, uint32_t number) nogil
    void hp_leave() nogil

cdef enum:
    PAGE_SHIFT = 12

cdef struct Work:
    void *vcpu
    Call *call
    PortInstruction instruction


cdef int simulate_it(void *context, uint32_t unused) noexcept nogil:
    cdef Work *work = <Work *> context
    return (<ScriptedVcpu> work.vcpu).path.simulate(<Vcpu> work.vcpu)


cdef int answer_it(void *context, uint32_t unused) noexcept nogil:
    cdef Work *work = <Work *> context
    return (<ScriptedVcpu> work.vcpu).table.answer(<Vcpu> work.vcpu, work.call)


cdef int decode_it(void *context, uint32_t unused) noexcept nogil:
    cdef Work *work = <Work *> context
    return fetch_and_decode(<Vcpu> work.vcpu, &work.instruction)


class GuestFaultError(Exception):
    """The exception that the guest got: vector, and for a page fault the linear address."""

    def __init__(self, vector, address):
        super().__init__(f"vector {vector}, address {address:#x}")
        self.vector = vector
        self.address = address


cdef class ScriptedVcpu(Vcpu):
    """path: where its accesses go. memory: its RAM, linear addresses are physical. table: its hypercalls."""

    def __init__(self, PortPath path not None, GuestMemory memory not None, CallTable table=None):
        self.path = path
        self.memory = memory
        self.table = table
        self.eflags = 2
        self.code32 = True
        self.absent = set()
        self.limits = {}
        path.connect(self)

    def __dealloc__(self):
        if self.path is not None:
            self.path.disconnect(self)

    def __getitem__(self, name):
        return self.registers[<int> REGISTERS.index(name)]

    def __setitem__(self, name, uint32_t value):
        self.registers[<int> REGISTERS.index(name)] = value

    def access(self, int direction, uint32_t port, uint32_t size, uint32_t value=0):
        """One element, as an engine reports it; returns what an IN gave."""
        cdef Access access
        if port > 0xFFFF or size not in (1, 2, 4):
            raise ConfigError(f"script: no port access of {size} bytes at {port:#x}")
        enter(self, Crossing.IN if direction == DIRECTION_IN else Crossing.OUT, 0)
        describe(&access, direction, port, size, self.path.number, <void *> self, 0)
        access.value = value
        carry(self.path, &access)
        leave(self)
        return access.value

    def load_store(self, int direction, uint32_t address, uint32_t size, uint32_t value=0):
        """A load or store of 1, 2 or 4 bytes at a physical address, as an engine's MMU makes it; returns what a load gave."""
        if size not in (1, 2, 4):
            raise ConfigError(f"script: no memory access of {size} bytes")
        if direction == DIRECTION_IN:
            return load_at(self, self.path.bus, self.memory.map, address, <uint64_t> address + size - 1, size, 0)
        store_at(self, self.path.bus, self.memory.map, address, <uint64_t> address + size - 1, size, value, 0)
        return 0

    def execute(self):
        """What stands at CS:EIP, as a #GP(0) handler does it: False if it is none of its accesses. Raises GuestFaultError."""
        cdef Work work
        work.vcpu = <void *> self
        enter(self, Crossing.FAULT, 0)
        return self.finish(hp_guarded(simulate_it, &work, 0)) != 0

    def decode(self):
        """(length, direction, string, size) of what stands at CS:EIP; length 0 or less: no port access."""
        cdef Work work
        work.vcpu = <void *> self
        memset(&work.instruction, 0, sizeof(PortInstruction))
        length = self.finish(hp_guarded(decode_it, &work, 0))
        return length, work.instruction.direction, work.instruction.string, work.instruction.size

    def call(self, int convention, uint32_t number):
        """A hypercall of the table's conventions by number: the CallAction that is left to do. Raises GuestFaultError."""
        cdef Work work
        work.vcpu = <void *> self
        work.call = self.table.numbered(convention, number)
        enter(self, Crossing.INSTRUCTION, 0)
        return self.finish(hp_guarded(answer_it, &work, 0))

    def find(self):
        """(convention, length) of the hypercall instruction at CS:EIP; (-1, 0) if there is none."""
        cdef uint32_t length = 0
        cdef int found = self.table.instruction_at(self, &length)
        return found, length if found >= 0 else 0

    def end_string(self):
        """What an engine does where a string that counts what is left has faulted."""
        self.table.end_string(self)

    def finish(self, int result):
        """result of hp_guarded(). Raises the GuestFaultError there was."""
        if result == HP_FAULTED:
            raise GuestFaultError(self.fault_vector, self.fault_address)
        leave(self)
        return result

    # Vcpu.

    cdef uint32_t get(self, int register) noexcept nogil:
        return self.registers[register]

    cdef void put(self, int register, uint32_t value) noexcept nogil:
        self.registers[register] = value

    cdef uint32_t instruction_pointer(self) noexcept nogil:
        return self.eip

    cdef bint locate(self, uint32_t *linear, uint64_t *physical) noexcept nogil:
        linear[0] = self.eip
        physical[0] = self.eip
        return True

    cdef void jump(self, uint32_t distance) noexcept nogil:
        self.eip += distance

    cdef uint32_t flags(self) noexcept nogil:
        return self.eflags

    cdef uint32_t privilege(self) noexcept nogil:
        return self.cpl

    cdef bint code_is_32_bit(self) noexcept nogil:
        return self.code32

    cdef const uint8_t *code_at(self, uint32_t linear) noexcept nogil:
        return self.probe(linear, 1, False)

    cdef uint8_t *probe(self, uint32_t linear, uint32_t length, bint store) noexcept nogil:
        cdef bint missing
        with gil:
            missing = linear >> PAGE_SHIFT in self.absent
        if missing:
            self.fault_address = linear
            self.fault(VECTOR_PF, 2 if store else 0)
        return hp_host_at(&self.memory.map.flat, linear, length, store)

    cdef uint32_t load(self, uint32_t linear, uint32_t size) noexcept nogil:
        self.probe(linear, 1, False)
        self.probe(linear + size - 1, 1, False)
        return load_at(self, self.path.bus, self.memory.map, linear, <uint64_t> linear + size - 1, size, 0)

    cdef void store(self, uint32_t linear, uint32_t size, uint32_t value) noexcept nogil:
        self.probe(linear, 1, True)
        self.probe(linear + size - 1, 1, True)
        store_at(self, self.path.bus, self.memory.map, linear, <uint64_t> linear + size - 1, size, value, 0)

    cdef bint port_allowed(self, uint32_t port, uint32_t size) noexcept nogil:
        with gil:
            return self.allowed is None or all(number in self.allowed for number in range(port, port + size))

    cdef bint segment_checked(self, int segment) noexcept nogil:
        with gil:
            return segment in self.limits

    cdef int segment_fault(self, int segment, uint32_t offset, uint32_t size, bint store) noexcept nogil:
        with gil:
            return 0 if <uint64_t> offset + size - 1 <= self.limits[segment] else VECTOR_GP

    cdef void retire(self, uint32_t length) noexcept nogil:
        self.eip += length
        self.retired = length

    cdef void fault(self, int vector, int error_code) noexcept nogil:
        self.fault_vector = vector
        hp_leave()
