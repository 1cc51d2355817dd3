# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
from libc.stdint cimport uint8_t, uint16_t, uint32_t
from hyperport.host.disk cimport Disk
from hyperport.lines.saved cimport Saved

cdef enum:
    BUFFER = 65536      # bytes: 128 sectors, the most that one DRQ block may have

cdef enum Register:     # of the command block, by offset; clause 7
    DATA = 0
    ERROR = 1           # read
    FEATURES = 1        # write
    COUNT = 2           # sector count; interrupt reason of a packet device
    LBA_LOW = 3         # sector number
    LBA_MID = 4         # cylinder low; byte count, low
    LBA_HIGH = 5        # cylinder high; byte count, high
    DEVICE = 6
    STATUS = 7          # read
    COMMAND = 7         # write

cdef enum Status:       # clause 7.15
    ERR = 0x01          # the command failed, the error register says why; CHK of a packet device
    DRQ = 0x08          # the host is to move data
    DSC = 0x10          # seek complete; SERV of a packet device, which has no use for it here
    DRDY = 0x40
    BSY = 0x80

cdef enum Error:        # clause 7.9
    ABRT = 0x04         # the command was aborted: not known, not possible, or the host failed
    IDNF = 0x10         # there is no such sector
    UNC = 0x40          # the data cannot be read

cdef enum DeviceBit:    # clause 7.7
    HEADS = 0x0F        # head; bits 27 to 24 of a 28-bit sector number
    SECOND = 0x10       # device 1 is selected
    LBA = 0x40          # the address is a sector number, not cylinder, head and sector

cdef enum Phase:
    IDLE = 0
    DATA_IN = 1         # the host reads a block
    DATA_OUT = 2        # the host writes a block
    PACKET_OUT = 3      # the host writes a command packet

cdef class IdeDrive(Saved):
    cdef readonly Disk disk          # of a CD-ROM drive: the disc that is in it
    cdef uint8_t error
    cdef uint8_t device
    cdef uint16_t features, count, low, mid, high   # the value written last, and above it the one before
    cdef bint failed, ready, interrupt, sleeping
    cdef int phase
    cdef uint32_t position, block_end, filled
    cdef uint8_t buffer[BUFFER]
    cdef uint8_t status(self) noexcept nogil
    cdef void command(self, uint8_t code) noexcept nogil
    cdef void block_moved(self) noexcept nogil
    cdef void signature(self) noexcept nogil
    cdef void power_on(self) noexcept nogil
    cdef void offer(self, uint32_t block) noexcept nogil
    cdef void want(self, int phase, uint32_t block) noexcept nogil
    cdef void take(self, uint8_t *data, uint32_t size) noexcept nogil
    cdef void put(self, const uint8_t *data, uint32_t size) noexcept nogil
    cdef bint pio_mode(self) noexcept nogil
    cdef void put_checksum(self) noexcept nogil
    cdef void put_text(self, uint32_t word, uint32_t words, const char *text) noexcept nogil
    cdef void put_word(self, uint32_t word, uint32_t value) noexcept nogil

    # From phase to phase, for the subclasses.

    cdef inline void begin(self) noexcept nogil:
        """A command has come."""
        self.stop()
        self.error = 0
        self.failed = False
        self.interrupt = False

    cdef inline void stop(self) noexcept nogil:
        self.phase = IDLE
        self.position = self.block_end = self.filled = 0

    cdef inline void done(self) noexcept nogil:
        """The end of a command that has gone well."""
        self.stop()
        self.error = 0
        self.failed = False
        self.ready = True
        self.interrupt = True

    cdef inline void fail(self, uint8_t error) noexcept nogil:
        self.done()
        self.error = error
        self.failed = True
