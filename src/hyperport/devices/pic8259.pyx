# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
"""Intel 8259A interrupt controllers, the pair of a PC: the slave's INT output feeds input 2 of the master.

Where a request lives. Each input has two bits behind it: the level of the wire, and an edge latch that a
rising edge sets and that falls with the wire, with the INTA that serves it, and with ICW1. The request
register is never stored. It is, at any moment,

    IRR = wire AND (level-triggered OR edge latch)

and all rules about requests follow from that line. An edge-triggered request whose wire falls before the
INTA is gone. After its INTA a high wire makes no second request until it has been low. A level-triggered
input asks again for as long as it is high. ICW1 forgets edges, so a wire that was already high stays silent.
An input is level-triggered if its ELCR bit says so, or if ICW1 set LTIM for the whole chip.

Who wins. Priority is a ring: the level after `lowest` is the highest, and rotation only moves `lowest`.
Turn a register right by lowest + 1 and the first bit set is its highest level; turn the unmasked requests
and the levels in service alike, and INT is high when the first request comes strictly before the first
level in service. Two modes bend this. In special mask mode a masked level in service holds nothing back
(nor can a non-specific EOI end it). In special fully nested mode the master lets its slave ask again while
the slave is being served: equal is enough for level 2, because the slave has levels of its own to compare.

INTA. The CPU's two pulses are one call here. The master latches its winner into ISR and drops the edge; if
that was the cascade, the slave does the same and gives the vector, else the master does. With automatic EOI
the ISR bit does not outlive the call. When no request is left, level 7 is answered and nothing is latched:
the spurious interrupt 7; a slave that has none left for a master that saw one answers 15 in the same way, and
the master's ISR bit 2 stays set. On a board that is a race between a falling wire and the CPU. Here INT follows
the wires at once, so only an INTA that nobody asked for finds nothing; a CPU that samples INTR late makes one.
The slave's INT falls in every INTA that it serves, even if it rises again at once, since the master latches edges.
A poll command is an INTA too, one for a single chip: the next read is the pulse and gives the level.

A request that is read. Chips may move their wires only where it makes a difference to the CPU. So `look`, a wire of the
board's own, goes high before a read of IRR and before a poll, and who hears it brings its wire up to date.

What is kept up to date. Each change ends in update(), which resolves both chips by a few operations on bytes
and stores the two winners and INTR. So intr() is a load, and a device that moves its wire pays the bill.

What is left out: 8080 vectors (ICW4 bit 0 clear) and buffered mode, which mean nothing on a PC's board.
Source: Intel 8259A data sheet (231468); ELCR: Intel 82371SB (PIIX3) data sheet (290550).
"""

cimport cython
from libc.stdint cimport uint8_t, uint32_t
from libc.string cimport memset

from hyperport.bus.attributes cimport shadowed
from hyperport.bus.device cimport PortDevice
from hyperport.lines.attention cimport ATTENTION_INTR, Attention
from hyperport.lines.interrupt_controller cimport InterruptController
from hyperport.lines.irq cimport IrqLine
from hyperport.lines.saved cimport Fields

from hyperport.errors import StateError

cdef extern from *:
    int first_bit "__builtin_ctz" (unsigned value) nogil

cdef enum:
    # offsets: per chip an even port (A0 = 0) and an odd port (A0 = 1), then one ELCR byte per chip
    MASTER_COMMAND = 0      # port 0x20: ICW1, OCW2, OCW3; reads IRR, ISR or the poll byte
    SLAVE_COMMAND = 2       # port 0xA0
    MASTER_ELCR = 4         # port 0x4D0: 1 = level-triggered
    SLAVE_ELCR = 5          # port 0x4D1
    A0 = 1                  # odd port: ICW2-4 while they are expected, else OCW1, the mask

    # ICW1
    ICW1 = 0x10             # tells ICW1 from OCW2 and OCW3
    ICW1_LTIM = 0x08        # all inputs level-triggered
    ICW1_SNGL = 0x02        # alone: no ICW3 will come
    ICW1_IC4 = 0x01         # ICW4 will come
    ICW1_KEPT = 0x0B
    # ICW2: vector bits 7-3; ICW3: master, inputs that have a slave; slave, its own number
    ICW2_BASE = 0xF8
    ICW3_ID = 0x07
    # ICW4
    ICW4_SFNM = 0x10        # special fully nested mode
    ICW4_AEOI = 0x02        # automatic EOI

    # OCW2: command in bits 7-5, level in bits 2-0
    OCW2_ROTATE = 0x80
    OCW2_SPECIFIC = 0x40
    OCW2_EOI = 0x20
    OCW2_COMMAND = 0xE0
    OCW2_LEVEL = 0x07
    # OCW3
    OCW3 = 0x08             # tells OCW3 from OCW2
    OCW3_ESMM = 0x40        # bit 5 counts
    OCW3_SMM = 0x20         # special mask mode
    OCW3_POLL = 0x04        # the next read is an INTA
    OCW3_RR = 0x02          # bit 0 counts
    OCW3_RIS = 0x01         # reads give ISR, else IRR
    POLL_REQUEST = 0x80     # poll byte: a level is given in bits 2-0

    MASTER = 0
    SLAVE = 1
    CASCADE = 2             # the master's input that the slave's INT drives
    CASCADE_BIT = 0x04
    SPURIOUS = 7
    NONE = 8                # no level

    # IRQ 0, 1, 2, 8 and 13 are wired to edge-making chips on the board: their ELCR bits are fixed at zero
    MASTER_ELCR_BITS = 0xF8
    SLAVE_ELCR_BITS = 0xDE

cdef struct Chip:
    uint8_t lines           # the wires' levels
    uint8_t edge            # edge latches
    uint8_t isr             # levels in service
    uint8_t imr             # mask
    uint8_t elcr            # inputs that ELCR makes level-triggered
    uint8_t icw1            # LTIM, SNGL, IC4
    uint8_t vector_base     # ICW2
    uint8_t icw3
    uint8_t icw4
    uint8_t next_icw        # which ICW the odd port takes next: 2, 3, 4, or 0 for none
    uint8_t lowest          # level with the lowest priority
    uint8_t read_isr        # the even port reads ISR
    uint8_t poll            # the next read is an INTA
    uint8_t special_mask    # special mask mode
    uint8_t rotate_aeoi     # rotate in automatic EOI mode
    uint8_t winner          # the level that INT stands for, or NONE: follows from all above


cdef inline uint8_t requests(const Chip *chip) noexcept nogil:
    """IRR."""
    cdef uint8_t level = 0xFF if chip.icw1 & ICW1_LTIM else chip.elcr
    return chip.lines & (level | chip.edge)


cdef inline int highest(uint8_t levels, uint8_t lowest) noexcept nogil:
    """Distance of the first of levels from the top of the priority ring, 8 if there is none."""
    cdef unsigned turn = (lowest + 1) & 7
    cdef unsigned twice = levels | <unsigned> levels << 8
    return first_bit((twice >> turn & 0xFF) | 0x100)


cdef inline uint8_t holding(const Chip *chip) noexcept nogil:
    """Levels in service that hold back others and that a non-specific EOI can end."""
    return chip.isr & ~chip.imr if chip.special_mask else chip.isr


cdef inline void resolve(Chip *chip, bint master) noexcept nogil:
    cdef uint8_t wanted = requests(chip) & ~chip.imr
    cdef int first, serving
    chip.winner = NONE
    if wanted:
        first = highest(wanted, chip.lowest)
        serving = highest(holding(chip), chip.lowest)
        if first < serving:
            chip.winner = (first + chip.lowest + 1) & 7
        elif first == serving and master and chip.icw4 & ICW4_SFNM:
            if (first + chip.lowest + 1) & 7 == CASCADE:
                chip.winner = CASCADE


cdef inline void set_line(Chip *chip, uint8_t bit, int level) noexcept nogil:
    if not level:
        chip.lines &= ~bit
        chip.edge &= ~bit
    elif not chip.lines & bit:
        chip.lines |= bit
        chip.edge |= bit


cdef inline int serve(Chip *chip) noexcept nogil:
    """One chip's part of an INTA: the level it answers with, 7 if there is no request."""
    cdef int level = chip.winner
    if level == NONE:
        return SPURIOUS
    chip.edge &= ~(1 << level)
    if not chip.icw4 & ICW4_AEOI:
        chip.isr |= 1 << level
    elif chip.rotate_aeoi:
        chip.lowest = level
    return level


@cython.final
cdef class Pic8259(PortDevice):
    """The two 8259A of a PC with their ELCR, as the bus sees them; pins() is what the CPU and the other chips see.

    attention: told of each change of the INTR output. Offsets 0-1 are ports 0x20-0x21, 2-3 are 0xA0-0xA1,
    4-5 are 0x4D0-0x4D1.
    """

    name = "pic8259"
    span = 6

    cdef Attention attention
    cdef IrqLine look
    cdef Chip chips[2]
    cdef int intr_level

    def __init__(self, Attention attention not None):
        self.attention = attention
        self.look = IrqLine()
        self.reset()

    def reset(self):
        """Power-on: wires keep their level; all is masked until ICW1 (the data sheet leaves this open)."""
        cdef uint8_t lines
        for i in range(2):
            lines = self.chips[i].lines
            memset(&self.chips[i], 0, sizeof(Chip))
            self.chips[i].lines = lines
            self.chips[i].imr = 0xFF
            self.chips[i].lowest = 7
        self.publish_masks()
        self.update()

    cdef uint32_t io_read(self, uint32_t offset, uint32_t size) noexcept nogil:
        cdef uint8_t byte
        self.io_read_block(offset, 1, 1, &byte)
        return byte

    cdef void io_read_block(self, uint32_t offset, uint32_t size, uint32_t count, uint8_t *data) noexcept nogil:
        """A string takes no time, so one look is enough."""
        cdef Chip *chip = &self.chips[offset >> 1 & 1]
        cdef uint32_t i
        if offset < MASTER_ELCR and (chip.poll or not offset & A0 and not chip.read_isr):
            self.look.drive(1)
            self.look.drive(0)
        for i in range(count):
            data[i] = <uint8_t> self.read_at(offset)

    cdef uint32_t read_at(self, uint32_t offset) noexcept nogil:
        cdef Chip *chip
        if offset >= MASTER_ELCR:
            return self.chips[offset & 1].elcr
        chip = &self.chips[offset >> 1]
        if chip.poll:
            return self.poll(offset >> 1)
        if offset & A0:
            return chip.imr
        return chip.isr if chip.read_isr else requests(chip)

    cdef void io_write(self, uint32_t offset, uint32_t size, uint32_t value) noexcept nogil:
        self.write_at(offset, <uint8_t> value)

    cdef void io_write_block(self, uint32_t offset, uint32_t size, uint32_t count, const uint8_t *data) noexcept nogil:
        cdef uint32_t i
        for i in range(count):
            self.write_at(offset, data[i])

    cdef void write_at(self, uint32_t offset, uint8_t byte) noexcept nogil:
        cdef Chip *chip
        cdef uint32_t index = offset & 1 if offset >= MASTER_ELCR else offset >> 1
        cdef uint8_t imr, poll
        if offset >= MASTER_ELCR:
            self.chips[index].elcr = byte & (SLAVE_ELCR_BITS if index else MASTER_ELCR_BITS)
        else:
            chip = &self.chips[index]
            imr, poll = chip.imr, chip.poll
            if offset & A0:
                write_odd(chip, byte)
            elif byte & ICW1:
                write_icw1(chip, byte)
            elif byte & OCW3:
                write_ocw3(chip, byte)
            else:
                write_ocw2(chip, byte)
            if chip.imr != imr or chip.poll != poll:
                self.publish(offset | A0)
        self.update_from(index)

    cdef void publish_masks(self) noexcept nogil:
        self.publish(MASTER_COMMAND | A0)
        self.publish(SLAVE_COMMAND | A0)

    cdef uint32_t attributes(self, uint32_t offset) noexcept nogil:
        """The mask, unless the next read is an INTA."""
        return shadowed(1) if offset & A0 and offset < MASTER_ELCR and not self.chips[offset >> 1].poll else 0

    cdef void on_line(self, int number, int level) noexcept nogil:
        if number != CASCADE and 0 <= number < 16:
            set_line(&self.chips[number >> 3], <uint8_t> (1 << (number & 7)), level)
            self.update_from(number >> 3)

    def pins(self):
        """The pair's pins, as the InterruptController that an engine and the wires take."""
        return Pic8259Pins(self)

    def look_by(self, IrqLine look not None):
        """Pulse this wire before requests are read."""
        self.look = look

    cdef int acknowledge(self) noexcept nogil:
        cdef Chip *chip = &self.chips[MASTER]
        cdef int level = serve(chip)
        cdef int vector = chip.vector_base | level
        if level == CASCADE and not chip.icw1 & ICW1_SNGL and chip.icw3 & CASCADE_BIT:
            vector = self.acknowledge_slave()
        self.update()
        return vector

    cdef int acknowledge_slave(self) noexcept nogil:
        """The slave's part, if it recognises the number that the master puts on the cascade bus."""
        cdef Chip *slave = &self.chips[SLAVE]
        cdef int vector
        if slave.icw3 & ICW3_ID != CASCADE:
            return 0xFF         # nobody drives the data bus
        vector = slave.vector_base | serve(slave)
        set_line(&self.chips[MASTER], CASCADE_BIT, 0)
        return vector

    cdef uint32_t poll(self, uint32_t index) noexcept nogil:
        cdef Chip *chip = &self.chips[index]
        cdef uint32_t answer = 0
        chip.poll = 0
        self.publish(2 * index | A0)
        if chip.winner != NONE:
            answer = POLL_REQUEST | <uint32_t> serve(chip)
            if index == SLAVE:
                set_line(&self.chips[MASTER], CASCADE_BIT, 0)
            self.update()
        return answer

    cdef void update(self) noexcept nogil:
        """Resolve the slave, hand its INT to the master, resolve the master, and drive INTR."""
        resolve(&self.chips[SLAVE], False)
        set_line(&self.chips[MASTER], CASCADE_BIT, self.chips[SLAVE].winner != NONE)
        self.update_master()

    cdef void update_from(self, uint32_t index) noexcept nogil:
        """update() where only this chip has changed: the slave reaches the master by its INT alone."""
        cdef Chip *slave = &self.chips[SLAVE]
        cdef bint before = slave.winner != NONE
        if index == SLAVE:
            resolve(slave, False)
            if (slave.winner != NONE) == before:
                return
            set_line(&self.chips[MASTER], CASCADE_BIT, not before)
        self.update_master()

    cdef void update_master(self) noexcept nogil:
        cdef int level
        resolve(&self.chips[MASTER], True)
        level = self.chips[MASTER].winner != NONE
        if level != self.intr_level:
            self.intr_level = level
            if level:
                self.attention.raise_flags(ATTENTION_INTR)
            else:
                self.attention.clear_flags(ATTENTION_INTR)

    cdef declare(self, Fields fields):
        """Registers, wires and latches, each of master and slave."""
        cdef Chip *chip = &self.chips[MASTER]
        fields.u8s("lines", &chip.lines, 2, 0xFF, sizeof(Chip))
        fields.u8s("edge", &chip.edge, 2, 0xFF, sizeof(Chip))
        fields.u8s("isr", &chip.isr, 2, 0xFF, sizeof(Chip))
        fields.u8s("imr", &chip.imr, 2, 0xFF, sizeof(Chip))
        fields.u8s("elcr", &chip.elcr, 2, 0xFF, sizeof(Chip))
        fields.u8s("icw1", &chip.icw1, 2, ICW1_KEPT, sizeof(Chip))
        fields.u8s("vector_base", &chip.vector_base, 2, ICW2_BASE, sizeof(Chip))
        fields.u8s("icw3", &chip.icw3, 2, 0xFF, sizeof(Chip))
        fields.u8s("icw4", &chip.icw4, 2, 0xFF, sizeof(Chip))
        fields.u8s("next_icw", &chip.next_icw, 2, 7, sizeof(Chip))
        fields.u8s("lowest", &chip.lowest, 2, 7, sizeof(Chip))
        fields.u8s("read_isr", &chip.read_isr, 2, 1, sizeof(Chip))
        fields.u8s("poll", &chip.poll, 2, 1, sizeof(Chip))
        fields.u8s("special_mask", &chip.special_mask, 2, 1, sizeof(Chip))
        fields.u8s("rotate_aeoi", &chip.rotate_aeoi, 2, 1, sizeof(Chip))

    cdef consistent(self, dict record):
        for next_icw, edge, lines in zip(record["next_icw"], record["edge"], record["lines"], strict=True):
            if next_icw not in (0, 2, 3, 4) or edge & ~lines:
                raise StateError(f"{self.name}: no 8259A has ICW{next_icw} next, or an edge on a low wire")

    cdef after_load(self, dict record):
        self.chips[MASTER].elcr &= MASTER_ELCR_BITS
        self.chips[SLAVE].elcr &= SLAVE_ELCR_BITS
        self.publish_masks()
        self.update()


cdef class Pic8259Pins(InterruptController):
    """Inputs 0-15 are IRQ 0-15, of which 2 is not connected; INTR and INTA to the CPU. chip: the pair they belong to."""

    cdef readonly Pic8259 chip

    def __init__(self, Pic8259 chip not None):
        self.chip = chip

    cdef void on_line(self, int number, int level) noexcept nogil:
        self.chip.on_line(number, level)

    cdef int intr(self) noexcept nogil:
        return self.chip.intr_level

    cdef int acknowledge(self) noexcept nogil:
        return self.chip.acknowledge()


cdef void write_icw1(Chip *chip, uint8_t byte) noexcept nogil:
    chip.icw1 = byte & ICW1_KEPT
    chip.edge = 0
    chip.isr = 0
    chip.imr = 0
    chip.lowest = 7
    chip.icw3 = ICW3_ID         # "the slave mode address is set to 7"
    chip.icw4 = 0
    chip.read_isr = 0
    chip.poll = 0
    chip.special_mask = 0
    chip.rotate_aeoi = 0
    chip.next_icw = 2


cdef void write_odd(Chip *chip, uint8_t byte) noexcept nogil:
    cdef uint8_t fourth = 4 if chip.icw1 & ICW1_IC4 else 0
    if chip.next_icw == 0:
        chip.imr = byte
    elif chip.next_icw == 2:
        chip.vector_base = byte & ICW2_BASE
        chip.next_icw = fourth if chip.icw1 & ICW1_SNGL else 3
    elif chip.next_icw == 3:
        chip.icw3 = byte
        chip.next_icw = fourth
    else:
        chip.icw4 = byte
        chip.next_icw = 0


cdef void write_ocw2(Chip *chip, uint8_t byte) noexcept nogil:
    cdef uint8_t level = byte & OCW2_LEVEL
    cdef uint8_t command = byte & OCW2_COMMAND
    cdef int distance
    if command & OCW2_EOI:
        if not command & OCW2_SPECIFIC:
            distance = highest(holding(chip), chip.lowest)
            if distance == NONE:
                return
            level = (distance + chip.lowest + 1) & 7
        chip.isr &= ~(1 << level)
        if command & OCW2_ROTATE:
            chip.lowest = level
    elif command == OCW2_ROTATE | OCW2_SPECIFIC:
        chip.lowest = level         # set priority
    elif not command & OCW2_SPECIFIC:
        chip.rotate_aeoi = 1 if command & OCW2_ROTATE else 0


cdef void write_ocw3(Chip *chip, uint8_t byte) noexcept nogil:
    if byte & OCW3_ESMM:
        chip.special_mask = 1 if byte & OCW3_SMM else 0
    if byte & OCW3_RR:
        chip.read_isr = byte & OCW3_RIS
    if byte & OCW3_POLL:
        chip.poll = 1
