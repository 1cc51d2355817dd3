# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
"""Port I/O without a crossing: posted writes wait in a ring in guest memory, shadow registers are read there. Next:
bus/port_bus.pyx.

Tables and ring lie beside the ROM (abi/numbers.py has the layout, guest/rom/vmi.S the code that uses them). A device says what
may be posted and what is shadowed just now (PortDevice.attributes()), and publishes each change; TableKeeper hears it.
docs/exitless.md says what each chip allows, and why.

Order.      drain() runs at every crossing, before it is served: so no posted write comes behind a later access, a delivery, a
            save or the end of a run. Until then nobody can tell, for else it might not be posted.
Time.       The ring is closed (LEFT is 0, as if it were full) until a call finds it so that could have posted. Then it is open
            for as long as the timer finds entries, each millisecond. A guest that posts nothing pays nothing.
Sequences.  From its first look at the tables to the store of LEFT, which commits, guest code relies on what it has read. What
            interrupts it may post itself, or change what is declared. So where guest code was left between two instructions,
            leave_sequence() moves EIP to the sequence's restart: the way by the doorbell, which always makes progress. So a
            guest that single-steps makes all its calls there.
Watching.   An access that the guest does not make hits no I/O breakpoint. While one is enabled, nothing is declared.
Hostility.  The guest may write anything into ring and page. Of an entry only port, size and value are believed, and only for a
            port that its device lets be posted now; LEFT is looked at once, and a value that it cannot have empties the ring.
            A caller and the counts of reads are numbers for reports, of registers that are shadowed. Sites are addresses that
            EIP may be set to, of code that runs at CPL 0 or 1 anyway, and ports. Nothing else is ever read from there.
Cells.      Code of the guest has addresses of cells in it. So a group of ports keeps its cells, also over a reset, and in
            another process that loads a saved machine.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t, uintptr_t
from libc.string cimport memcpy, memset

from hyperport.bus.access cimport Access, describe
from hyperport.bus.attributes cimport AttributeObserver, SHADOWED_SHIFT, SIZE_BITS, postable, shadowed
from hyperport.bus.device cimport PortDevice
from hyperport.bus.port_bus cimport (
    DIRECTION_IN,
    DIRECTION_OUT,
    POSTED,
    SHADOW,
    PortBus,
    Slot,
    Tally,
    carry_element,
    ones,
    tally_index,
)
from hyperport.cpu.vcpu cimport EBX, EDX, Place, Vcpu, token_for
from hyperport.io.crossing cimport Crossing, CrossingHook
from hyperport.io.path cimport PortPath
from hyperport.lines.saved cimport Fields
from hyperport.lines.service cimport Service
from hyperport.memory.map cimport hp_host_at
from hyperport.memory.ram cimport GuestMemory
from hyperport.time.clock cimport Clock, Timer

from hyperport.abi import numbers
from hyperport.errors import ConfigError, StateError
from hyperport.io.crossing import hook

LAYOUT = numbers.Exitless
PAGE_BYTES = 4096

cdef uint32_t BASE = numbers.EXITLESS_BASE
cdef uint32_t AT_CALLS = LAYOUT.CALLS
cdef uint32_t AT_LEVELS = LAYOUT.LEVELS
cdef uint32_t AT_DIRECTORY = LAYOUT.DIRECTORY
cdef uint32_t AT_POSTED = LAYOUT.POSTED
cdef uint32_t AT_SHADOWED = LAYOUT.SHADOWED
cdef uint32_t AT_ANSWERS = LAYOUT.ANSWERS
cdef uint32_t AT_LEFT = LAYOUT.LEFT
cdef uint32_t AT_SITE_COUNT = LAYOUT.SITE_COUNT
cdef uint32_t AT_REGISTERS = LAYOUT.REGISTERS
cdef uint32_t AT_SITES = LAYOUT.SITES
cdef uint32_t AT_RING = LAYOUT.RING
cdef uint32_t AT_CALLERS = LAYOUT.CALLERS
cdef uint32_t LONGEST_SITE = numbers.EXITLESS_SITE_LONGEST
cdef uint32_t FIRST_CALL = numbers.PORT_CALLS[0].number

cdef enum:
    PORTS = 65536
    PORTS_OF_A_GROUP = 256
    ALL_LEFT = ENTRIES          # LEFT of an empty ring
    MAY_POST = 0xFF
    CLOSED = 0
    # Of an answer: as in abi/numbers.py.
    ANSWER_SHOWN = 0x80000000
    ANSWER_READS_SHIFT = 8
    ANSWER_READS = 1 << 23      # as many, and the count has run over into ANSWER_SHOWN
    # Of an entry's head: as in abi/numbers.py.
    HEAD_SIZE_SHIFT = 16
    HEAD_SITE = 1 << 19
    HEAD_NUMBER_SHIFT = 20
    HEAD_NUMBER_BITS = 0x7FF
    HEAD_PORT = 0x80000000
    # Which bits of a head are the same as long as entries go to the same port.
    SAME_CALL = 0xFFFFFF        # port and size
    SAME_SITE = 0xFFFF0000      # all but the value
    SAME_SITE_AND_PORT = 0xFFFFFFFF
    HIGHEST_CPL = 1             # of code that may post, as of the ROM's calls
    SELECTOR_RPL = 3

cdef uint64_t LATEST_NS = 1000000       # of a posted write
cdef uint32_t BETWEEN = (               # crossings at which guest code stands between two instructions of its own
    1 << Crossing.FAULT | 1 << Crossing.EXIT | 1 << Crossing.DELIVERY | 1 << Crossing.STOP)


cdef uint32_t carry_alike(Slot *slot, const Entry *entry, const Posted *write, uint32_t most) noexcept nogil:
    """An entry and those behind it that go the same way, most in all, as a string; returns how many."""
    cdef uint8_t data[4 * ENTRIES + 4]
    cdef uint32_t head = entry.head, count = 0, place = 0
    cdef const uint32_t *value = write.value
    while count < most and not (entry.head ^ head) & write.same:
        memcpy(data + place, value, 4)      # whatever the size: what is too much is written over by the next one
        place += write.size
        count += 1
        entry, value = entry - 1, value - 2
    (<PortDevice> slot.device).io_write_block(slot.offset, write.size, count, data)
    return count


cdef inline bint understand(Exitless self, const Entry *entry, uint32_t number, Posted *write) noexcept nogil:
    """What this entry asks for. False where no code of ours makes one like it, or its device does not let it be posted."""
    cdef const Site *site
    cdef uint32_t head = entry.head, size = head >> HEAD_SIZE_SHIFT & 0xFF, place
    write.port, write.value, write.same = head & 0xFFFF, &entry.value, SAME_CALL
    if head & HEAD_SITE:
        place = head >> HEAD_NUMBER_SHIFT & HEAD_NUMBER_BITS
        if place >= self.site_count():
            return False
        site = <const Site *> (self.at + AT_SITES) + place
        size, write.same = size & SIZE_BITS, SAME_SITE_AND_PORT
        write.caller = site.first + site.length
        if not head & HEAD_PORT:
            write.port = site.port
            if size != 4:
                write.same, write.value = SAME_SITE, &entry.head
    else:
        write.caller = (<const uint32_t *> (self.at + AT_CALLERS))[number]
    write.size = size
    return (size == 1 or size == 2 or size == 4) and (
        self.bus.attributes.rows[write.port] & postable(size) or self.late and self.was_postable(write.port, size))


cdef inline uint32_t carry_run(Exitless self, uint32_t number, uint32_t most) noexcept nogil:
    """Carry out an entry, and those behind it (so downwards) that go the same way, most in all; returns how many."""
    cdef const Entry *entry = <const Entry *> (self.at + AT_RING) + number
    cdef Posted write
    cdef Slot *slot
    cdef Tally *tally
    cdef uint32_t count = 1
    if not understand(self, entry, number, &write):
        self.refused += 1
        return 1
    slot = &self.bus.slots[write.port]
    if slot.direct & write.size:
        if most == 1 or ((entry - 1).head ^ entry.head) & write.same:
            (<PortDevice> slot.device).io_write(slot.offset, write.size, write.value[0] & ones(write.size))
        else:
            count = carry_alike(slot, entry, &write, most)
        tally = &self.bus.tallies[tally_index(write.port, DIRECTION_OUT, write.size, POSTED)]
        tally.accesses += count
    else:
        self.carry_alone(&write)
    self.posted += count
    return count


cdef class ExitlessPath(PortPath):
    """`--io exitless`: the guest calls, and most calls do not leave it. Raw accesses are reported by the engine, as on `exit`."""

    name = "exitless"


cdef class Caller(Vcpu):
    """Stands for the vCPU where a posted write is drained: its place is the caller that the guest wrote down."""

    def __cinit__(self):
        self.selector = &self.known.cs

    cdef void place(self, uintptr_t token, Place *place) noexcept nogil:
        place[0] = self.known
        place.eip = <uint32_t> token


cdef class TableKeeper(AttributeObserver):
    """Hands what devices declare to an Exitless."""

    cdef void changed(self, uint32_t port, uint32_t attributes) noexcept nogil:
        (<Exitless> self.exitless).changed(port, attributes)

    cdef void shown(self, uint32_t port, uint32_t attributes) noexcept nogil:
        (<Exitless> self.exitless).shown(port, attributes)


cdef class DrainHook(CrossingHook):
    """Hands crossings to an Exitless."""

    cdef void crossed(self, Vcpu vcpu, uint32_t why) noexcept nogil:
        (<Exitless> self.exitless).crossed(vcpu, why)


cdef class Exitless(Service):
    """The VMM's end of tables and ring.

    bus: whose devices declare. memory: where they are; what is there belongs to this from now on. clock: the guest's. images:
    what the machine has laid into memory, for their sequences.
    """

    name = "exitless"

    def __init__(self, PortBus bus not None, GuestMemory memory not None, Clock clock not None, images=()):
        self.bus, self.memory, self.clock, self.layout = bus, memory, clock, numbers.EXITLESS_VERSION
        self.at = <char *> hp_host_at(&memory.map.flat, BASE, LAYOUT.END, False)
        if self.at == NULL:
            raise ConfigError(f"path exitless needs memory from {numbers.EXITLESS_BASE:#x} to "
                              f"{numbers.EXITLESS_BASE + LAYOUT.END - 1:#x}: give the machine 1 MiB at least")
        self.timer = Timer(clock, self, 0)
        self.caller = Caller()
        sequences = [(image.base, stub.sequence) for image in images for stub in image.stubs]
        if len(sequences) > SEQUENCES:
            raise ConfigError(f"path exitless: the images have more than {SEQUENCES} sequences")
        for number, (base, sequence) in enumerate(sequences):
            self.sequences[<int> number] = Site(base + sequence.first, base + sequence.restart, sequence.length, 0)
        self.sequence_count = <uint32_t> len(sequences)
        for image in images:
            for at, number in image.doorbells.items():
                if number - FIRST_CALL < CALLS:
                    self.calls[<int> (number - FIRST_CALL)] = image.base + at
        self.cells_used = PORTS_OF_A_GROUP
        memory.map.rom_in_ram("exitless-tables", BASE, LAYOUT.PAGE)
        memory.map.alias("exitless-ring", BASE + LAYOUT.PAGE, LAYOUT.END - LAYOUT.PAGE, None, BASE + LAYOUT.PAGE)
        self.build()
        self.keeper = TableKeeper()
        self.keeper.exitless = <void *> self
        bus.attributes.observe(self.keeper)

    def join(self, Vcpu vcpu not None):
        """From now on the ring is drained at every crossing of this vCPU."""
        self.hook = DrainHook()
        self.hook.exitless = <void *> self
        hook(vcpu, self.hook)

    def build(self):
        """Tables for nothing declared, and a closed ring that is empty."""
        cdef uint32_t selector
        memset(self.at, 0, LAYOUT.END)
        (<uint32_t *> self.at)[0] = numbers.EXITLESS_MAGIC
        (<uint32_t *> self.at)[1] = numbers.EXITLESS_VERSION
        (<uint32_t *> self.at)[2] = LAYOUT.END
        memcpy(self.at + AT_CALLS, self.calls, sizeof(self.calls))
        memcpy(self.at + AT_DIRECTORY + sizeof(self.first_cell), self.first_cell, sizeof(self.first_cell))
        for selector in range(256):
            if selector & SELECTOR_RPL <= HIGHEST_CPL:
                (<uint16_t *> (self.at + AT_LEVELS))[selector] = PORTS_OF_A_GROUP
        memset(self.register_of, 0, sizeof(self.register_of))
        memset(self.answering, 0, sizeof(self.answering))
        self.registers_used = 1         # 0 means none
        self.written = CLOSED
        self.found = 0
        self.watched = False            # asked at the crossing with which a run begins

    # Tables.

    cdef uint32_t cell_of(self, uint32_t port) noexcept nogil:
        """The cell of a port that is declared; 0 where there is none left for its group."""
        cdef uint32_t group = port >> 8
        if self.first_cell[group] == 0:
            if self.cells_used == CELLS:
                return 0
            self.first_cell[group] = <uint16_t> self.cells_used
            self.cells_used += PORTS_OF_A_GROUP
            (<uint16_t *> (self.at + AT_DIRECTORY))[PORTS_OF_A_GROUP + group] = self.first_cell[group]
        return self.first_cell[group] + (port & 0xFF)

    cdef void changed(self, uint32_t port, uint32_t attributes) noexcept nogil:
        """From now on these hold for a port."""
        cdef uint32_t cell = self.cell_of(port)
        cdef uint32_t index, size, place
        if self.draining:       # by a write that was posted: those behind it were posted while it was allowed
            self.late = True
            return
        if cell == 0:
            return
        if self.watched:
            attributes = 0
        for index in range(3):
            size = <uint32_t> 1 << index
            (<uint8_t *> (self.at + AT_POSTED))[index * CELLS + cell] = (
                MAY_POST if attributes & postable(size) else 0)
            place = 0
            if attributes & shadowed(size):
                if self.register_of[index * CELLS + cell] == 0 and self.registers_used < REGISTERS:
                    self.owners[self.registers_used] = Owner(<uint16_t> port, <uint8_t> size, 0)
                    self.register_of[index * CELLS + cell] = <uint16_t> self.registers_used
                    self.registers_used += 1
                place = self.register_of[index * CELLS + cell]
            (<uint16_t *> (self.at + AT_SHADOWED))[index * CELLS + cell] = <uint16_t> place
        self.answer(port, 0, False)
        self.shown(port, attributes)

    cdef void shown(self, uint32_t port, uint32_t attributes) noexcept nogil:
        """The answers of this port's shadow registers may be others now."""
        cdef uint32_t index, size, place, value, cell = self.first_cell[port >> 8] + (port & 0xFF)
        if not attributes >> SHADOWED_SHIFT & SIZE_BITS:
            return
        for index in range(3):
            size = <uint32_t> 1 << index
            place = self.register_of[index * CELLS + cell]
            if attributes & shadowed(size) and place:
                value = self.bus.route_read(port, size)
                (<Register *> (self.at + AT_REGISTERS))[place].value = value
                if size == 1:
                    self.answer(port, value, True)

    cdef void catch_up(self) noexcept nogil:
        """Bring the tables up to date with all ports that have ever been declared."""
        cdef uint32_t group, port
        self.late = False
        for group in range(256):
            if self.first_cell[group]:
                for port in range(group << 8, (group + 1) << 8):
                    self.changed(port, self.bus.attributes.rows[port])

    cdef void watch(self, bint watched) noexcept nogil:
        """An I/O breakpoint is enabled now, or none is any more."""
        cdef int port
        self.watched = watched
        for port in range(PORTS):
            if self.bus.attributes.rows[port]:
                self.changed(port, self.bus.attributes.rows[port])

    cdef void answer(self, uint32_t port, uint32_t value, bint shown) noexcept nogil:
        """Show this answer of a port for INs of one byte, or none; what was there has been read so often."""
        cdef uint32_t cell = self.first_cell[port >> 8] + (port & 0xFF)
        cdef uint32_t *at = <uint32_t *> (self.at + AT_ANSWERS) + cell
        cdef uint32_t reads = (at[0] & ~ANSWER_SHOWN) >> ANSWER_READS_SHIFT
        if self.answering[cell]:
            self.count_read(port, 1, reads if at[0] & ANSWER_SHOWN else reads + ANSWER_READS)
        self.answering[cell] = shown
        at[0] = ANSWER_SHOWN | value & 0xFF if shown else 0

    cdef void count_reads(self) noexcept nogil:
        """Put what the guest has read since the last time into the bus's tallies."""
        cdef uint32_t number, reads, cell
        cdef Owner *owner
        for number in range(1, self.registers_used):
            owner = &self.owners[number]
            reads = (<Register *> (self.at + AT_REGISTERS))[number].reads
            self.count_read(owner.port, owner.size, reads - owner.told)
            owner.told = reads
            cell = self.first_cell[owner.port >> 8] + (<uint32_t> owner.port & 0xFF)
            if owner.size == 1 and self.answering[cell]:
                self.answer(owner.port, (<uint32_t *> (self.at + AT_ANSWERS))[cell], True)

    cdef void count_read(self, uint32_t port, uint32_t size, uint32_t reads) noexcept nogil:
        cdef Tally *tally
        if not reads:
            return
        if not self.bus.slots[port].touched:
            self.bus.touch(port)
        tally = &self.bus.tallies[tally_index(port, DIRECTION_IN, size, SHADOW)]
        tally.accesses += reads

    cdef uint32_t site_count(self) noexcept nogil:
        """How many sequences the guest has, as far as there is room."""
        return min((<volatile uint32_t *> (self.at + AT_SITE_COUNT))[0], <uint32_t> SITES)

    # The ring.

    cdef void crossed(self, Vcpu vcpu, uint32_t why) noexcept nogil:
        if (<uint32_t *> (self.at + AT_LEFT))[0] != self.written:
            self.drain()
        if BETWEEN >> why & 1:
            self.leave_sequence(vcpu)
            if vcpu.watches_ports() != self.watched:
                self.watch(not self.watched)
            if why == Crossing.STOP:
                self.count_reads()
        elif self.written == CLOSED:
            if why == Crossing.DOORBELL:
                self.consider_opening(vcpu, vcpu.get(EDX))
            elif why == Crossing.INSTRUCTION or why == Crossing.VECTOR:
                self.consider_opening(vcpu, vcpu.get(EBX))

    cdef void consider_opening(self, Vcpu vcpu, uint32_t port) noexcept nogil:
        """A call was made; if it is one that could have been posted, let the next ones be."""
        cdef uint32_t attributes = self.bus.attributes.rows[port & 0xFFFF]
        if attributes & shadowed(1):
            self.count_reads()      # perhaps a count has run over
        if self.watched or not attributes & postable(SIZE_BITS):
            return
        vcpu.place(vcpu.token, &self.caller.known)
        self.written = ALL_LEFT
        (<uint32_t *> (self.at + AT_LEFT))[0] = ALL_LEFT
        self.found = 0
        self.timer.arm(self.clock.now() + LATEST_NS)

    cdef void on_timer(self, int number) noexcept nogil:
        """The ring was drained as guest code was left for this. Close it if it has been empty all the time."""
        self.count_reads()
        if self.found:
            self.found = 0
            self.timer.arm(self.clock.now() + LATEST_NS)
        else:
            self.written = CLOSED
            (<uint32_t *> (self.at + AT_LEFT))[0] = CLOSED

    cdef void drain(self) noexcept nogil:
        """Carry out what waits, oldest first; neighbours that go to one port as a string, unless somebody watches."""
        cdef uint32_t left = (<volatile uint32_t *> (self.at + AT_LEFT))[0]
        cdef uint32_t number = self.written     # entries from this one on are done
        (<uint32_t *> (self.at + AT_LEFT))[0] = self.written
        if left > number:
            self.refused += 1
            return
        self.draining = True
        while number != left:
            number -= carry_run(self, number - 1, number - left)
        self.draining = False
        if self.late:
            self.catch_up()
        self.found += 1
        self.drained += 1

    cdef bint was_postable(self, uint32_t port, uint32_t size) noexcept nogil:
        """Do the guest's tables, which are behind, say so?"""
        cdef uint32_t group = self.first_cell[port >> 8]
        return group and (<uint8_t *> (self.at + AT_POSTED))[(size >> 1) * CELLS + group + (port & 0xFF)] == MAY_POST

    cdef void carry_alone(self, const Posted *write) noexcept nogil:
        """The long way to the device, where somebody watches, or the port has not been accessed before."""
        cdef Access access
        describe(&access, DIRECTION_OUT, write.port, write.size, POSTED, <void *> self.caller,
                 token_for(write.caller, self.caller.known.cpl))
        access.crossings = 0
        access.value = write.value[0] & ones(write.size)
        carry_element(self.bus, &access)

    # Sequences.

    cdef void leave_sequence(self, Vcpu vcpu) noexcept nogil:
        """Guest code stands between two instructions. If it is inside a sequence, it goes on where that one restarts."""
        cdef uint32_t linear = 0
        cdef uint64_t physical = 0
        cdef uint32_t count = self.site_count()
        cdef const Site *site = NULL
        cdef Site copy
        if not self.sequence_count and not count or not vcpu.locate(&linear, &physical) or vcpu.privilege() > HIGHEST_CPL:
            return
        if physical >> 32 == 0:         # else beyond any image, or not there: a guest's own code may go on at an absent page
            site = self.site_at(self.sequences, self.sequence_count, <uint32_t> physical, &copy)
        if site != NULL:
            vcpu.jump(site.restart - <uint32_t> physical)
        elif count:
            site = self.site_at(<const Site *> (self.at + AT_SITES), count, linear, &copy)
            if site == NULL or site.length > LONGEST_SITE:
                return
            vcpu.jump(site.restart - linear)
        else:
            return
        self.restarted += 1

    cdef const Site *site_at(self, const Site *sites, uint32_t count, uint32_t address, Site *found) noexcept nogil:
        """A copy of the one that holds an address, in found; NULL if there is none."""
        cdef uint32_t number
        for number in range(count):
            if address - sites[number].first < sites[number].length:
                found[0] = sites[number]
                return found
        return NULL

    # For reports.

    def counts(self):
        """What --stats tells: {word: number}."""
        cdef uint32_t number
        self.count_reads()
        shadowed_reads = 0
        for number in range(1, self.registers_used):
            shadowed_reads += self.bus.tallies[
                tally_index(self.owners[number].port, DIRECTION_IN, self.owners[number].size, SHADOW)].accesses
        return {"posted": self.posted, "drained": self.drained, "shadowed": shadowed_reads, "refused": self.refused,
                "restarted": self.restarted}

    # Saved. A machine is held at a crossing, so the ring is empty, and no sequence is at work; tables are made anew, with the
    # cells that they had.

    cdef declare(self, Fields fields):
        fields.u32("layout", &self.layout)

    cdef consistent(self, dict record):
        if record["layout"] != self.layout:
            raise StateError(f"exitless: the machine was saved with layout {record['layout']} of the tables, which its guest "
                             f"knows; this hyperport has layout {self.layout}")

    cdef after_load(self, dict record):
        cdef const uint16_t *directory = <const uint16_t *> (self.at + AT_DIRECTORY) + PORTS_OF_A_GROUP
        sites = self.memory.read(BASE + LAYOUT.SITES, LAYOUT.RING - LAYOUT.SITES)
        count = (<uint32_t *> (self.at + AT_SITE_COUNT))[0]
        memset(self.first_cell, 0, sizeof(self.first_cell))
        self.cells_used = PORTS_OF_A_GROUP
        found = {directory[group]: group for group in range(<int> PORTS_OF_A_GROUP)}
        while self.cells_used < CELLS and self.cells_used in found:
            self.first_cell[<int> found[self.cells_used]] = <uint16_t> self.cells_used
            self.cells_used += PORTS_OF_A_GROUP
        self.reset()
        (<uint32_t *> (self.at + AT_SITE_COUNT))[0] = count
        self.memory.write(BASE + LAYOUT.SITES, sites)

    def reset(self):
        """The machine starts again, or its memory was written over: tables as the devices are, a closed ring, no sites."""
        self.timer.disarm()
        self.build()
        for port, attributes in self.bus.attributes.held():
            self.changed(port, attributes)
