# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
"""What hard disk and CD-ROM have in common: the registers, the sector buffer, and moving blocks through the data port.

Names and clauses are those of ATA/ATAPI-6 (INCITS 361-2002). The channel (ide.pyx) selects a drive and hands it
register writes, commands and data; a subclass (ata_drive.pyx, atapi_cdrom.pyx) knows the commands.

A drive is in one of four phases. IDLE: a command may come. DATA_IN, DATA_OUT: the host moves a block through the
data port, from or to the buffer, and DRQ is set. PACKET_OUT: the host writes the command packet of a packet device.

    IDLE --command--> IDLE                      no data, or an error; INTRQ
    IDLE --command--> DATA_IN                   the block is in the buffer; INTRQ
    DATA_IN --last byte of the block read-->    DATA_IN with the next block and INTRQ, or IDLE
    IDLE --command--> DATA_OUT                  room for the block; no INTRQ for the first one (clause 9.7)
    DATA_OUT --last byte written-->             DATA_OUT for the next block, or IDLE; INTRQ either way

The host's disk is quick, so each arrow is done within the access that causes it, and BSY shows in a reset only: to
the guest these are very quick drives. INTRQ is dropped when the guest reads the status register or writes a command.
A new command clears what the last one left behind: ERR, the error register, DRQ and the rest of its block (clause 9.1).

The buffer, bytes 0 to filled - 1, may hold more than one block: position is the next byte to move, block_end the end of
the block that DRQ stands for. block_moved() is called when position has come to block_end. Bytes that are moved without
DRQ are lost, and read as ones.
"""

from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.stdint cimport uint8_t, uint32_t
from libc.string cimport memcpy, memset

from hyperport.host.disk cimport Disk
from hyperport.lines.saved cimport Fields

from hyperport.errors import StateError

cdef enum:
    MODE_DEFAULT = 0x01         # transfer modes: 00h and 01h are PIO's own, 08h + n is PIO n with flow control
    MODE_PIO = 0x08
    MODE_PIO_LAST = 0x0C
    INTEGRITY = 0xA5            # of word 255: its upper half is a checksum (clause 8.15.61)


cdef class IdeDrive:
    """disk: where the sectors are. Base of AtaDrive and AtapiCdrom."""

    name = "drive"

    def __init__(self, Disk disk not None):
        self.disk = disk
        self.reset()

    def reset(self):
        """Power-on."""
        memset(self.buffer, 0, BUFFER)
        self.power_on()
        self.signature()

    cdef void power_on(self) noexcept nogil:
        """The settings that a software reset leaves alone."""
        pass

    cdef void signature(self) noexcept nogil:
        """Registers after a reset or the device diagnostic (clause 9.12): here what both kinds have in common."""
        self.stop()
        self.error = 0x01       # the diagnostic found no fault
        self.features = 0
        self.count = 1
        self.low = 1
        self.device = 0         # DEVICE RESET alone leaves DEV as the host has selected
        self.failed = False
        self.interrupt = False
        self.sleeping = False

    cdef uint8_t status(self) noexcept nogil:
        return ((DRDY | DSC if self.ready else 0) | (ERR if self.failed else 0)
                | (DRQ if self.phase != IDLE else 0))

    cdef void command(self, uint8_t code) noexcept nogil:
        """The host has written the command register."""
        self.fail(ABRT)

    cdef void block_moved(self) noexcept nogil:
        """The host has moved the last byte of the block."""
        self.stop()

    # For the subclasses.

    cdef void offer(self, uint32_t block) noexcept nogil:
        """The next block bytes of the buffer, or what there is left of it, are for the host to read."""
        self.phase = DATA_IN
        self.ready = True
        self.block_end = min(self.position + block, self.filled)
        self.interrupt = True

    cdef void want(self, int phase, uint32_t block) noexcept nogil:
        """The host is to write block bytes."""
        self.phase = phase
        self.ready = True
        self.position = 0
        self.block_end = self.filled = block

    # The data port: size is even, for words are what it moves.

    cdef void take(self, uint8_t *data, uint32_t size) noexcept nogil:
        """The host reads size bytes."""
        cdef uint32_t part
        while size:
            if self.phase != DATA_IN:
                memset(data, 0xFF, size)
                return
            part = min(size, self.block_end - self.position)
            memcpy(data, self.buffer + self.position, part)
            self.position += part
            data += part
            size -= part
            if self.position == self.block_end:
                self.block_moved()

    cdef void put(self, const uint8_t *data, uint32_t size) noexcept nogil:
        """The host writes size bytes."""
        cdef uint32_t part
        while size and self.phase >= DATA_OUT:
            part = min(size, self.block_end - self.position)
            memcpy(self.buffer + self.position, data, part)
            self.position += part
            data += part
            size -= part
            if self.position == self.block_end:
                self.block_moved()

    cdef bint pio_mode(self) noexcept nogil:
        """SET FEATURES 03h: the count register names a mode that IDENTIFY claims."""
        cdef uint32_t mode = self.count & 0xFF
        return mode <= MODE_DEFAULT or MODE_PIO <= mode <= MODE_PIO_LAST

    # The 512 bytes of IDENTIFY: words, and text with its characters swapped in each word (clause 8.15.9).

    cdef void put_word(self, uint32_t word, uint32_t value) noexcept nogil:
        self.buffer[2 * word] = value & 0xFF
        self.buffer[2 * word + 1] = value >> 8 & 0xFF

    cdef void put_text(self, uint32_t word, uint32_t words, const char *text) noexcept nogil:
        cdef uint32_t i
        cdef bint ended = False
        for i in range(2 * words):
            ended = ended or text[i] == 0
            self.buffer[2 * word + (i ^ 1)] = c' ' if ended else <uint8_t> text[i]

    cdef void put_checksum(self) noexcept nogil:
        """The last word: all 512 bytes add up to 0."""
        cdef uint32_t i
        cdef uint8_t sum = 0
        self.buffer[510] = INTEGRITY
        for i in range(511):
            sum = <uint8_t> (sum + self.buffer[i])
        self.buffer[511] = <uint8_t> (0x100 - sum)

    cdef declare(self, Fields fields):
        fields.u8("error", &self.error)
        fields.u8("device", &self.device)
        fields.u16("features", &self.features)
        fields.u16("count", &self.count)
        fields.u16("low", &self.low)
        fields.u16("mid", &self.mid)
        fields.u16("high", &self.high)
        fields.flag("failed", &self.failed)
        fields.flag("ready", &self.ready)
        fields.flag("interrupt", &self.interrupt)
        fields.flag("sleeping", &self.sleeping)
        fields.number("phase", &self.phase, PACKET_OUT)
        fields.u32("position", &self.position)
        fields.u32("block_end", &self.block_end)
        fields.u32("filled", &self.filled)
        fields.derived_data("buffer", BUFFER)

    cdef dict derived(self):
        cdef uint32_t used = self.position if self.phase >= DATA_OUT else self.filled
        return {"buffer": PyBytes_FromStringAndSize(<const char *> self.buffer, used)}

    cdef consistent(self, dict record):
        phase, at, end, filled = (record[field] for field in ("phase", "position", "block_end", "filled"))
        if phase == IDLE:
            possible = at == end == filled == 0
        else:
            possible = at < end <= filled <= BUFFER and at % 2 == end % 2 == filled % 2 == 0
        if not possible or len(record["buffer"]) != (at if phase >= DATA_OUT else filled):
            raise StateError(f"{self.name}: bytes {at} to {end} of {filled} are no block of phase {phase}")

    cdef after_load(self, dict record):
        cdef bytes data = record["buffer"]
        memcpy(self.buffer, <const uint8_t *> data, len(data))
