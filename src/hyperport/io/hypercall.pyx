# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
"""Stage 2 of a hypercall: from the guest's registers to a port access. Next: bus/port_bus.pyx.

A CallTable is a machine's conventions (abi/), compiled into flat arrays. An engine that meets one of their entries asks here
which call it is, by place (doorbell_at), by code (instruction_at) or by vector, and then for its answer().

A call as_native is as restartable as the instruction it stands for: a string keeps its index and count registers up to
date, so a page fault in the middle, or an interrupt window, leaves a guest that can make the call again.

Any other port call changes nothing but its result register. While its string is at work the registers of count and
buffer hold the place; end_string() puts them back and tells the guest how many elements are left, be it that all are
done, that a page fault (which the guest then never gets) came between, or that MOST_WINDOWS is reached.
"""

from libc.stdint cimport uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memset

from hyperport.bus.access cimport Access, describe
from hyperport.bus.port_bus cimport DIRECTION_IN, HYPERCALL, PortBus
from hyperport.cpu.vcpu cimport Vcpu
from hyperport.io.path cimport PortPath
from hyperport.io.strings cimport StringAccess, run_string
from hyperport.lines.service cimport Service

from hyperport.cpu.state import REGISTERS
from hyperport.errors import ConfigError

cdef uint64_t DOORBELL_BYTES = 0    # of the OUT that rings, once there is a CallTable
cdef object convention_module = None    # abi/convention.py, imported with the first CallTable: few machines have one

cdef enum:
    CODE_SEGMENT = 1
    SEGMENT_ES = 0
    SEGMENT_DS = 3
    PAGE_MASK = 4095
    MOST_WINDOWS = 16           # of 4,096 elements in one counted string, so that its time is bounded
    ROOM = 4                    # slots of a hash table for each call: there is always an empty one
    LOWEST_PRIVILEGE = 3
    HASH = 0x9E3779B1           # odd: neighbours go to different slots (Knuth, TAOCP vol. 3, 6.4)


cdef class HypercallPath(PortPath):
    """`--io hypercall`: the guest calls. Its raw accesses are reported by the engine, as on `exit`."""

    name = "hypercall"


cdef inline uint32_t slot_of(uint32_t number, uint32_t mask) noexcept nogil:
    return (number * <uint32_t> HASH >> 16) & mask


cdef void *array(size_t count, size_t size) except NULL:
    """Zeroes, at least one element."""
    cdef void *made = calloc(count if count else 1, size)
    if made == NULL:
        raise MemoryError("no memory for the table of hypercalls")
    return made


cdef class CallTable:
    """What calls a machine offers, and their answers.

    offered: the Convention of each. images: name of each doorbell convention among them -> its Image in memory.
    services: name of a convention -> the Service that answers its calls with Action.SERVICE.
    """

    def __init__(self, PortBus bus not None, offered, images=None, services=None):
        self.bus = bus
        self.services = dict(services or {})
        self.conventions = tuple(offered)
        self.reasons = []
        self.killed_by = -1
        if self.calls != NULL:
            raise ConfigError("a CallTable is made once")
        import_conventions()
        tables = [table_of(convention) for convention in self.conventions]
        self.rules = <Rules *> array(len(tables), sizeof(Rules))
        self.calls = <Call *> array(sum(len(table) + 2 for table in tables), sizeof(Call))
        self.slots = <int32_t *> array(sum(slot_count(table) for table in tables), sizeof(int32_t))
        self.compile_calls(tables)
        self.compile_entries()
        self.compile_doorbells(images or {})

    def __dealloc__(self):
        free(self.rules)
        free(self.calls)
        free(self.slots)
        free(self.instructions)
        free(self.doorbells)

    def compile_calls(self, tables):
        """Rules, calls and the hash tables of their numbers."""
        cdef uint32_t used = 0, first_slot = 0, slot
        cdef Rules *rules
        cdef Service service
        for index, (convention, table) in enumerate(zip(self.conventions, tables, strict=True)):
            rules = &self.rules[<int> index]
            rules[0] = rules_of(convention)
            service = self.services.get(convention.name)
            rules.service = <void *> service
            rules.first_slot = first_slot
            rules.slot_mask = slot_count(table) - 1
            first_slot += slot_count(table)
            for slot in range(rules.slot_mask + 1):
                self.slots[rules.first_slot + slot] = -1
            for number, what in table.items():
                self.compile_call(used, index, number, what)
                slot = slot_of(number, rules.slot_mask)
                while self.slots[rules.first_slot + slot] >= 0:
                    slot = (slot + 1) & rules.slot_mask
                self.slots[rules.first_slot + slot] = used
                used += 1
            rules.unknown, rules.forbidden = used, used + 1
            self.compile_call(used, index, 0, convention.unknown)
            self.compile_call(used + 1, index, 0, convention.forbidden)
            used += 2

    def compile_call(self, uint32_t place, rules, number, what):
        """what: a VmiCall for a port call, an Answer, or None where the instruction is left to the guest."""
        cdef Call *call = &self.calls[place]
        call.number, call.rules, call.reason = number, rules, -1
        if what is None:
            call.action = ACTION_NOT_OURS
        elif isinstance(what, convention_module.Answer):
            call.action = what.action
            call.has_result = what.result is not None
            call.result = <int32_t> <uint32_t> ((what.result or 0) & 0xFFFFFFFF)
            call.words = what.words
            if what.action == convention_module.Action.KILL:
                call.reason = <int32_t> len(self.reasons)
                self.reasons.append((what.reason, what is self.conventions[rules].unknown))
        else:
            call.is_port, call.direction, call.size, call.string = (
                True, what.port.direction, what.port.size, what.port.string)
            call.alone = not call.string
            call.highest_cpl = <uint8_t> min(self.rules[<int> rules].highest_cpl, <uint32_t> LOWEST_PRIVILEGE)
            call.port_register = <uint8_t> self.rules[<int> rules].port
            call.value_register = <uint8_t> self.rules[<int> rules].value
            call.result_register = <uint8_t> self.rules[<int> rules].result
            call.has_result = call.direction == DIRECTION_IN or not self.rules[<int> rules].as_native
            if self.rules[<int> rules].as_native and call.size < 4:
                call.kept = <uint32_t> 0xFFFFFFFF << (8 * call.size)

    def compile_entries(self):
        """The code of instructions, and the vectors. Raises ConfigError where two conventions want the same."""
        memset(self.vectors, 0xFF, sizeof(self.vectors))
        taken = {}
        for index, convention in enumerate(self.conventions):
            for code in () if convention.kind == convention_module.Entry.DOORBELL else convention.instructions:
                if code in taken:
                    raise ConfigError(f"ABI {convention.name}: {code.hex(' ')} belongs to {taken[code]}; offer one of them")
                taken[code] = convention.name
                if convention.kind == convention_module.Entry.VECTOR:
                    self.vectors[<int> convention_module.operand(code)] = index
        entries = [(index, code) for index, convention in enumerate(self.conventions)
                   if convention.kind == convention_module.Entry.INSTRUCTION for code in convention.instructions]
        self.instructions = <Instruction *> array(len(entries), sizeof(Instruction))
        for place, (index, code) in enumerate(entries):
            self.instructions[<int> place].rules = index
            self.instructions[<int> place].length = <uint8_t> len(code)
            for at, byte in enumerate(code):
                self.instructions[<int> place].code[<int> at] = byte
        self.instruction_count = <uint32_t> len(entries)

    def compile_doorbells(self, images):
        """Raises ConfigError for an image without its convention, or a doorbell that its table does not have."""
        cdef Call *call
        found = {}
        self.doorbell_names = {}
        for index, convention in enumerate(self.conventions):
            if convention.kind != convention_module.Entry.DOORBELL or convention.name not in images:
                continue
            lengths = {convention_module.operand(code): len(code) for code in convention.instructions}
            image = images[convention.name]
            for offset, number in image.doorbells.items():
                call = self.numbered(index, number)
                unknown = call == &self.calls[self.rules[<int> index].unknown]
                if not 0 <= offset < len(image.data) or number not in lengths or unknown:
                    raise ConfigError(f"ABI {convention.name}: its image has no doorbell {number} at {offset:#x}")
                found[image.base + offset] = (call - self.calls, lengths[number], number)
                port_call = convention.ports.get(number)
                called = number if port_call is None else port_call.name.lower()
                self.doorbell_names[image.base + offset] = f"{convention.name}-rom:{called}"
        self.doorbells = <Doorbell *> array(len(found), sizeof(Doorbell))
        for place, (address, (call_at, length, number)) in enumerate(sorted(found.items())):
            self.doorbells[<int> place] = Doorbell(address, call_at, length)
            self.rung_by[<int> number] = 1
        self.doorbell_count = <uint32_t> len(found)

    def served(self):
        """{number of a call that is no port access: how often a service has answered it}, by convention; no zeros."""
        cdef Call *call
        told = {}
        for index, convention in enumerate(self.conventions):
            numbers = {}
            for number in sorted(convention.calls):
                call = self.numbered(index, number)
                if call.served:
                    numbers[number] = call.served
            if numbers:
                told[convention.name] = numbers
        return told

    def reason(self):
        """Why the guest was killed, in words."""
        if self.killed_by < 0:
            return ""
        text, unknown = self.reasons[self.killed_by]
        return f"{text} {self.killed_with:#x}" if unknown else text

    # Which call is it?

    cdef Doorbell *doorbell_at(self, uint64_t address) noexcept nogil:
        """The doorbell at a physical address, or NULL."""
        cdef uint32_t low = 0, high = self.doorbell_count, middle
        while low < high:
            middle = (low + high) >> 1
            if self.doorbells[middle].address < address:
                low = middle + 1
            else:
                high = middle
        if low < self.doorbell_count and self.doorbells[low].address == address:
            return &self.doorbells[low]
        return NULL

    cdef Doorbell *doorbell_behind(self, uint64_t address) noexcept nogil:
        """The doorbell that ends at a physical address, or NULL."""
        return self.doorbell_at(address - DOORBELL_BYTES)

    cdef int instruction_at(self, Vcpu vcpu, uint32_t *length) noexcept nogil:
        """The Rules whose instruction stands at CS:EIP, and its length; or -1. No byte behind it is read. May fault."""
        cdef uint32_t linear = vcpu.segment_base(CODE_SEGMENT) + vcpu.instruction_pointer()
        cdef const uint8_t *byte = NULL
        cdef uint8_t code[LONGEST_ENTRY]
        cdef uint32_t known = 0, i, at
        cdef Instruction *entry
        for i in range(self.instruction_count):
            entry = &self.instructions[i]
            for at in range(entry.length):
                if at == known:
                    byte = byte + 1 if at and (linear + at) & PAGE_MASK else vcpu.code_at(linear + at)
                    if byte == NULL:
                        return -1
                    code[at] = byte[0]
                    known += 1
                if code[at] != entry.code[at]:
                    break
            else:
                length[0] = entry.length
                return entry.rules
        return -1

    cdef Call *numbered(self, int rules, uint32_t number) noexcept nogil:
        """The call with this number, any at all; never NULL."""
        cdef Rules *found = &self.rules[rules]
        cdef uint32_t slot = slot_of(number, found.slot_mask)
        cdef int32_t call = self.slots[found.first_slot + slot]
        while call >= 0:
            if self.calls[call].number == number:
                return &self.calls[call]
            slot = (slot + 1) & found.slot_mask
            call = self.slots[found.first_slot + slot]
        return &self.calls[found.unknown]

    # The answer.

    cdef int answer(self, Vcpu vcpu, Call *call) noexcept nogil:
        """Do a call; returns the CallAction that is left to do. May fault.

        A fault in a string that is left to count is not the guest's: in_string is then set, and end_string() answers.
        """
        cdef Rules *rules = &self.rules[call.rules]
        if vcpu.privilege() > rules.highest_cpl:
            call = &self.calls[rules.forbidden]
        elif call.is_port:
            return self.port_call(vcpu, rules, call)
        if call.action == ACTION_KILL:
            self.killed_by = call.reason
            self.killed_with = vcpu.get(rules.number)
        elif call.action == ACTION_SERVICE:
            return self.serve(vcpu, rules, call)
        if call.has_result:
            vcpu.put(rules.result, <uint32_t> call.result)
        return call.action

    cdef int serve(self, Vcpu vcpu, Rules *rules, Call *call) noexcept nogil:
        """Let the convention's service answer; without one the call is not ours."""
        cdef uint32_t arguments[MAX_ARGUMENTS]
        cdef uint64_t result
        cdef uint32_t i
        if <Service> rules.service is None:
            return ACTION_NOT_OURS
        for i in range(rules.argument_count):
            arguments[i] = vcpu.get(rules.arguments[i])
        call.served += 1
        result = (<Service> rules.service).serve(call.number, arguments)
        if call.words:
            vcpu.put(rules.result, <uint32_t> result)
        if call.words > 1:
            vcpu.put(rules.result_high, <uint32_t> (result >> 32))
        return ACTION_NOTHING

    cdef int port_call(self, Vcpu vcpu, Rules *rules, Call *call) noexcept nogil:
        cdef Access access
        cdef uint32_t result
        if call.string:
            if rules.as_native:
                return self.native_string(vcpu, rules, call)
            self.counted_string(vcpu, rules, call)
            return ACTION_NOTHING
        describe(&access, call.direction, vcpu.get(call.port_register) & 0xFFFF, call.size, HYPERCALL, <void *> vcpu, vcpu.token)
        access.value = vcpu.get(call.value_register)
        result = carry_call(self.bus, call, &access, vcpu.get(call.result_register))
        if call.has_result:
            vcpu.put(call.result_register, result)
        return ACTION_NOTHING

    cdef int native_string(self, Vcpu vcpu, Rules *rules, Call *call) noexcept nogil:
        cdef StringAccess access
        cdef bint into = call.direction == DIRECTION_IN
        describe_string(vcpu, rules, call, &access)
        access.segment = SEGMENT_ES if into else SEGMENT_DS
        access.base = vcpu.segment_base(access.segment)
        access.checked = vcpu.segment_checked(access.segment)
        access.stepped = vcpu.steps()
        return ACTION_NOTHING if run_string(vcpu, self.bus, &access) else ACTION_AGAIN

    cdef void counted_string(self, Vcpu vcpu, Rules *rules, Call *call) noexcept nogil:
        cdef StringAccess access
        cdef int _window
        describe_string(vcpu, rules, call, &access)
        self.string_count = vcpu.get(access.count_register)
        self.string_buffer = vcpu.get(access.index_register)
        self.string_call = call
        self.in_string = True
        for _window in range(MOST_WINDOWS):
            if run_string(vcpu, self.bus, &access):
                break
        self.end_string(vcpu)

    cdef void end_string(self, Vcpu vcpu) noexcept nogil:
        """Answer the counted string that is at work, however far it came."""
        cdef Rules *rules = &self.rules[self.string_call.rules]
        cdef uint32_t left = vcpu.get(rules.count)
        vcpu.put(rules.count, self.string_count)
        vcpu.put(rules.destination if self.string_call.direction == DIRECTION_IN else rules.source, self.string_buffer)
        vcpu.put(rules.result, left)
        self.in_string = False


cdef void describe_string(Vcpu vcpu, Rules *rules, Call *call, StringAccess *access) noexcept nogil:
    access.direction = call.direction
    access.port = vcpu.get(rules.port) & 0xFFFF
    access.size = call.size
    access.path = HYPERCALL
    access.segment = SEGMENT_DS
    access.base = 0
    access.mask = 0xFFFFFFFF
    access.repeated = True
    access.checked = access.stepped = False
    access.index_register = rules.destination if call.direction == DIRECTION_IN else rules.source
    access.count_register = rules.count


def import_conventions():
    """Only now: a machine without calls starts sooner."""
    global convention_module, DOORBELL_BYTES
    from hyperport.abi import convention

    convention_module = convention
    DOORBELL_BYTES = len(convention.doorbell(0))


def table_of(convention):
    """number -> VmiCall or Answer."""
    if wrong := sorted(set(convention.ports) & set(convention.calls)):
        raise ConfigError(f"ABI {convention.name}: the number {wrong[0]:#x} is in two tables")
    return {**convention.ports, **convention.calls}


def slot_count(table):
    """A power of two with ROOM for the table."""
    return 1 << (ROOM * len(table)).bit_length()


cdef Rules rules_of(convention) except *:
    """What a convention says of registers and privilege."""
    cdef Rules rules
    memset(&rules, 0, sizeof(Rules))
    where = convention.registers
    rules.as_native = convention.as_native
    rules.highest_cpl = convention.highest_cpl
    rules.number = register_of(convention, convention.number)
    rules.port, rules.value, rules.count, rules.source, rules.destination, rules.result = (
        register_of(convention, name)
        for name in (where.port, where.value, where.count, where.source, where.destination, where.result))
    rules.result_high = register_of(convention, convention.result_high)
    rules.argument_count = <uint32_t> len(convention.arguments)
    for index, name in enumerate(convention.arguments):
        rules.arguments[<int> index] = register_of(convention, name)
    return rules


def register_of(convention, name):
    """The number of a register in encodings. Raises ConfigError."""
    if name not in REGISTERS:
        raise ConfigError(f"ABI {convention.name}: there is no register {name!r}")
    return REGISTERS.index(name)
