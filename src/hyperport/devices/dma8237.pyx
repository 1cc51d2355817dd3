# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
"""The two 8237A DMA controllers of a PC AT and the page registers beside them: channels 0 to 3 move bytes, 5 to 7 words.

Sources: Intel 8237A datasheet (231466); IBM PC AT Technical Reference, "System Board", for the pages, the shift of the
second controller and the ports; Intel 82371AB (290562), for the mask register that can be read at its last offset.

    offset 00h-0Fh  first controller, ports 00h-0Fh
           10h-2Fh  second controller, ports C0h-DFh: each register twice, for its A0 is the bus's A1
           30h-3Fh  page registers, ports 80h-8Fh; 80h is a spare one, on the board the POST code's (post_code.pyx)

What moves: address and count are 16 bits and wrap, the page stays. A byte channel reaches page << 16 | address; a word
channel counts words, and its address is shifted: (page & FEh) << 16 | address << 1. So a transfer never leaves its 64 KiB
(128 KiB) and runs around in them. A20 does not apply (memory/dma.pyx). Where there is no RAM, a read gives ones and a write
is lost. The count goes down with each element; when it passes 0 that was the terminal count: the status bit, the
request is over, and the channel is masked or, with autoinitialization, begins again.

A transfer takes no time: when a channel is granted its chip moves all that it has (lines/dma.pyx), until the terminal
count. So single and demand mode look the same, fixed and rotating priority too, and compressed timing and extended write
are only kept. Channels 0 to 3 go through channel 4: they are granted while it is unmasked and in cascade mode. Power-on
here is what a PC's firmware leaves: exactly this, all others masked.

A request by software is for block mode: it runs to the terminal count with nobody on the bus, so that a write stores ones.

Not modelled: memory to memory (the command bit is kept, the temporary register reads 0); DREQ active low (kept); block
mode that goes on without DREQ: it waits for the chip.
"""

cimport cython
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memset

from hyperport.bus.device cimport PortDevice
from hyperport.lines.dma cimport DmaChannel
from hyperport.lines.irq cimport IrqLine
from hyperport.lines.saved cimport Fields
from hyperport.memory.dma cimport DmaView

from hyperport.errors import ConfigError

cdef enum:
    SECOND = 0x10           # offsets
    PAGES = 0x30
    SPAN = 0x40

    STATUS = 0x8            # read: TC in bits 0-3, which it clears, and DREQ in 4-7
    COMMAND = 0x8           # write
    REQUEST = 0x9           # bit 2 is the new bit of channel bits 1-0
    MASK_ONE = 0xA          # the same for the mask
    MODE = 0xB              # bits 1-0: the channel
    CLEAR_FLIP_FLOP = 0xC
    MASTER_CLEAR = 0xD      # read: the temporary register
    CLEAR_MASK = 0xE
    MASK_ALL = 0xF          # read back, too

    DISABLE = 0x04          # command: the controller grants nothing

    TRANSFER = 0x0C         # mode: what is moved
    VERIFY = 0x00           # nothing; the count runs
    TO_MEMORY = 0x04
    FROM_MEMORY = 0x08
    AUTOINIT = 0x10
    DOWN = 0x20             # the address decrements
    KIND = 0xC0
    BLOCK = 0x80
    CASCADE = 0xC0
    MODE_KEPT = 0xFC

    CHANNELS = 8
    CASCADED = 4            # channel of the second controller that the first one hangs on
    MOST_GRANTS = 1024      # in a row: a chip that always has more must not hold the vCPU for ever
    CHUNK = 4096            # ones that a software request stores at a time

# Offset of the page register of each channel; that of 4 is the refresh's and never asked for.
cdef uint8_t[CHANNELS] PAGE_OF = [0x7, 0x3, 0x1, 0x2, 0xF, 0xB, 0x9, 0xA]


@cython.final
cdef class Channel8237(DmaChannel):
    """A channel, as its chip sees it."""

    cdef Dma8237 controller
    cdef int number

    cdef uint32_t move(self, uint8_t *data, uint32_t count, bint to_memory) noexcept nogil:
        self.terminal = False
        if self.controller.granted != self.number:
            return 0
        return self.controller.run(self.number, data, count, to_memory, &self.terminal)


@cython.final
cdef class Dma8237(PortDevice):
    """memory: what it moves from and to; without one there is no RAM anywhere. Input n is DREQ of channel n."""

    name = "dma8237"
    span = SPAN

    cdef DmaView memory
    cdef list dacks                     # IrqLine or None of each channel
    cdef list lines                     # keeps the other ones
    cdef void *dack_of[CHANNELS]        # the same, for the hot way
    cdef void *dreq_of[CHANNELS]        # what the chips drive: its levels are their state
    cdef int[CHANNELS] wired            # the channels that have a chip
    cdef int chips                      # how many of them there are
    cdef int granted                    # the channel whose DACK is high, or -1
    cdef bint moved                     # the chip has moved something since it was granted
    cdef uint8_t[CHUNK] ones

    cdef uint8_t[2] command
    cdef uint8_t[2] mask, requests, done    # a bit for each channel; done: terminal counts since the last status
    cdef uint8_t[2] high_byte           # the flip-flop: the next byte is the upper one
    cdef uint8_t[CHANNELS] mode
    cdef uint32_t[CHANNELS] base_address, base_count, address, count
    cdef uint8_t[16] pages

    def __init__(self, DmaView memory=None):
        self.memory = memory
        self.dacks = [None] * CHANNELS
        self.lines = []
        memset(self.dack_of, 0, sizeof(self.dack_of))
        memset(self.dreq_of, 0, sizeof(self.dreq_of))
        memset(self.ones, 0xFF, CHUNK)
        self.granted = -1
        self.chips = 0
        self.reset()

    def channel(self, int number, IrqLine dack not None):
        """The DmaChannel for the chip on channel number; dack: its input that says go. Raises ConfigError if it is taken."""
        cdef Channel8237 channel
        if not 0 <= number < CHANNELS or number == CASCADED:
            raise ConfigError(f"DMA channel {number}: there are 0 to 3 for bytes and 5 to 7 for words")
        if self.dacks[number] is not None:
            raise ConfigError(f"DMA channel {number} is taken; choose another")
        channel = Channel8237(IrqLine(self, number))
        channel.controller, channel.number = self, number
        self.dacks[number] = dack
        self.lines.append(channel.dreq)
        self.dack_of[number] = <void *> dack
        self.dreq_of[number] = <void *> channel.dreq
        self.wired[self.chips] = number
        self.chips += 1
        return channel

    def reset(self):
        """What firmware leaves."""
        cdef int half
        memset(self.mode, 0, CHANNELS)
        memset(self.base_address, 0, sizeof(self.base_address))
        memset(self.base_count, 0, sizeof(self.base_count))
        memset(self.address, 0, sizeof(self.address))
        memset(self.count, 0, sizeof(self.count))
        memset(self.pages, 0, sizeof(self.pages))
        for half in range(2):
            self.clear(half)
        self.mode[CASCADED] = CASCADE
        self.mask[1] = 0x0E

    cdef void clear(self, int half) noexcept nogil:
        self.command[half] = self.requests[half] = self.done[half] = self.high_byte[half] = 0
        self.mask[half] = 0x0F

    cdef uint32_t io_read(self, uint32_t offset, uint32_t size) noexcept nogil:
        cdef int half = offset >= SECOND
        cdef uint32_t value, index
        if offset >= PAGES:
            return self.pages[offset - PAGES]
        index = (offset - SECOND) >> 1 if half else offset
        if index < STATUS:
            value = self.address[4 * half + (index >> 1)] if not index & 1 else self.count[4 * half + (index >> 1)]
            self.high_byte[half] ^= 1
            return value & 0xFF if self.high_byte[half] else value >> 8
        if index == STATUS:
            value = self.done[half] | self.wanted(half) << 4
            self.done[half] = 0
            return value
        return 0 if index == MASTER_CLEAR else 0xF0 | self.mask[half] if index == MASK_ALL else 0xFF

    cdef void io_write(self, uint32_t offset, uint32_t size, uint32_t value) noexcept nogil:
        cdef int half = offset >= SECOND
        cdef uint32_t index
        if offset >= PAGES:
            self.pages[offset - PAGES] = <uint8_t> value
            return
        index = (offset - SECOND) >> 1 if half else offset
        if index < STATUS:
            self.write_word(4 * half + <int> (index >> 1), index & 1, half, value)
        else:
            self.control(half, index, value)
            self.grant_all()

    cdef void write_word(self, int channel, bint is_count, int half, uint32_t byte) noexcept nogil:
        """Write one byte of a base register; the current register is then loaded with all of it."""
        cdef uint32_t *base = &self.base_count[channel] if is_count else &self.base_address[channel]
        base[0] = base[0] & 0x00FF | byte << 8 if self.high_byte[half] else base[0] & 0xFF00 | byte
        self.high_byte[half] ^= 1
        if is_count:
            self.count[channel] = base[0]
        else:
            self.address[channel] = base[0]

    cdef void control(self, int half, uint32_t index, uint32_t value) noexcept nogil:
        cdef uint8_t bit = <uint8_t> (1 << (value & 3))
        if index == COMMAND:
            self.command[half] = <uint8_t> value
        elif index == REQUEST:
            self.requests[half] = self.requests[half] | bit if value & 4 else self.requests[half] & ~bit
            if value & 4:
                self.done[half] &= ~bit
        elif index == MASK_ONE:
            self.mask[half] = self.mask[half] | bit if value & 4 else self.mask[half] & ~bit
        elif index == MODE:
            self.mode[4 * half + <int> (value & 3)] = <uint8_t> (value & MODE_KEPT)
        elif index == CLEAR_FLIP_FLOP:
            self.high_byte[half] = 0
        elif index == MASTER_CLEAR:
            self.clear(half)
        elif index == CLEAR_MASK:
            self.mask[half] = 0
        else:
            self.mask[half] = value & 0x0F

    # Side effects: who gets the bus, and what moves on it.

    cdef void on_line(self, int number, int level) noexcept nogil:
        """DREQ of a channel."""
        if level and 0 <= number < CHANNELS:
            self.grant(number)

    cdef bint asks(self, int channel) noexcept nogil:
        return self.dreq_of[channel] != NULL and (<IrqLine> self.dreq_of[channel]).level

    cdef uint8_t wanted(self, int half) noexcept nogil:
        """A bit for each channel with a request of either kind."""
        cdef uint8_t bits = self.requests[half]
        cdef int i
        for i in range(4):
            bits |= <uint8_t> (self.asks(4 * half + i) << i)
        return bits

    cdef bint open(self, int channel) noexcept nogil:
        """Whether a request of the channel would be granted, but for its mask."""
        if channel < CASCADED and (self.command[1] & DISABLE or self.mask[1] & 1 or self.mode[CASCADED] & KIND != CASCADE):
            return False
        return not self.command[channel >> 2] & DISABLE and self.mode[channel] & KIND != CASCADE

    cdef bint anybody(self) noexcept nogil:
        """Whether any channel has a request."""
        cdef int i
        for i in range(self.chips):
            if self.asks(self.wired[i]):
                return True
        return self.requests[0] | self.requests[1]

    cdef void grant_all(self) noexcept nogil:
        """After any change: let all channels go on that can."""
        cdef int channel
        if not self.anybody():
            return
        for channel in range(CHANNELS):
            if self.asks(channel):
                self.grant(channel)
            if self.requests[channel >> 2] >> (channel & 3) & 1 and self.mode[channel] & KIND == BLOCK and self.open(channel):
                self.run_alone(channel)

    cdef void grant(self, int channel) noexcept nogil:
        """Drive DACK for as long as the chip asks and moves bytes. One chip at a time has the bus."""
        cdef int again = MOST_GRANTS
        if (self.granted >= 0 or self.dack_of[channel] == NULL or self.mask[channel >> 2] >> (channel & 3) & 1
                or not self.open(channel)):
            return
        self.moved = True
        while again and self.moved and self.asks(channel) and not self.mask[channel >> 2] >> (channel & 3) & 1:
            again -= 1                      # with autoinitialization the rest comes after the terminal count
            self.moved = False
            self.granted = channel
            (<IrqLine> self.dack_of[channel]).drive(1)
            self.granted = -1
            (<IrqLine> self.dack_of[channel]).drive(0)

    cdef void run_alone(self, int channel) noexcept nogil:
        """A request by software: to the terminal count, with a floating bus."""
        cdef bint terminal = False
        while not terminal:
            self.run(channel, self.ones, CHUNK, True, &terminal)

    cdef uint32_t run(self, int channel, uint8_t *data, uint32_t size, bint to_memory, bint *terminal) noexcept nogil:
        """Move up to size bytes on the channel; returns how many were. terminal: it ended with the terminal count."""
        cdef int shift = channel >= CASCADED
        cdef uint8_t transfer = self.mode[channel] & TRANSFER
        cdef bint moves = transfer == (TO_MEMORY if to_memory else FROM_MEMORY)
        cdef bint down = self.mode[channel] & DOWN
        cdef uint32_t elements = min(size >> shift, self.count[channel] + 1)
        cdef uint32_t left = elements
        cdef uint32_t run
        while left:
            run = 1 if down else min(left, 0x10000 - self.address[channel])
            if moves:
                self.copy(channel, shift, data, run << shift, to_memory)
            elif not to_memory:
                memset(data, 0xFF, run << shift)
            data += run << shift
            left -= run
            self.address[channel] = (self.address[channel] - 1 if down else self.address[channel] + run) & 0xFFFF
        self.moved = self.moved or elements > 0
        terminal[0] = elements > self.count[channel]
        self.count[channel] = (self.count[channel] - elements) & 0xFFFF
        if terminal[0]:
            self.terminal_count(channel)
        return elements << shift

    cdef void copy(self, int channel, int shift, uint8_t *data, uint32_t size, bint to_memory) noexcept nogil:
        cdef uint64_t page = self.pages[PAGE_OF[channel]]
        cdef uint64_t address = ((page & 0xFE if shift else page) << 16) + (self.address[channel] << shift)
        cdef uint32_t i
        if self.memory is None:
            if not to_memory:
                memset(data, 0xFF, size)
        elif self.memory.store(address, size, data) if to_memory else self.memory.fetch(address, size, data):
            return
        elif size > 1:                      # not all of it is RAM
            for i in range(size):
                if to_memory:
                    self.memory.store(address + i, 1, data + i)
                elif not self.memory.fetch(address + i, 1, data + i):
                    data[i] = 0xFF
        elif not to_memory:
            data[0] = 0xFF

    cdef void terminal_count(self, int channel) noexcept nogil:
        cdef int half = channel >> 2
        cdef uint8_t bit = <uint8_t> (1 << (channel & 3))
        self.done[half] |= bit
        self.requests[half] &= ~bit
        if self.mode[channel] & AUTOINIT:
            self.address[channel] = self.base_address[channel]
            self.count[channel] = self.base_count[channel]
        else:
            self.mask[half] |= bit

    cdef declare(self, Fields fields):
        fields.u8s("command", self.command, 2)
        fields.u8s("mask", self.mask, 2, 0x0F)
        fields.u8s("requests", self.requests, 2, 0x0F)
        fields.u8s("done", self.done, 2, 0x0F)
        fields.u8s("high_byte", self.high_byte, 2, 1)
        fields.u8s("mode", self.mode, CHANNELS, MODE_KEPT)
        fields.u32s("base_address", self.base_address, CHANNELS, 0xFFFF)
        fields.u32s("base_count", self.base_count, CHANNELS, 0xFFFF)
        fields.u32s("address", self.address, CHANNELS, 0xFFFF)
        fields.u32s("count", self.count, CHANNELS, 0xFFFF)
        fields.u8s("pages", self.pages, 16)
