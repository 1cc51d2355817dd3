# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
"""A CD-ROM drive on an IDE channel: the PACKET command of ATA/ATAPI-6, and in it the commands of MMC-3 for data.

A command comes in two steps. PACKET asks for the 12 bytes of the command packet, without INTRQ (IDENTIFY PACKET DEVICE
says so in word 0). The packet is then performed: it ends at once, or offers its reply in DRQ blocks of at most as many
bytes as the host has put into the byte count registers with PACKET (ATA/ATAPI-6, clause 9.8). The interrupt reason, in
the count register, says what is wanted: 1 the packet, 2 the host is to read, 3 the command has ended. Each block and
the end have an INTRQ of their own.

A packet that fails ends with ERR, its sense key in the error register, and the sense data kept for REQUEST SENSE. The
first packet after a reset or a change of the disc fails with UNIT ATTENTION, but INQUIRY and REQUEST SENSE, as SPC-2,
clause 5.6, wants. The disc is one data track, in blocks of 2,048 bytes.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t
from libc.string cimport memcpy, memset

from hyperport.host.disk cimport SECTOR
from hyperport.devices.ide_drive cimport ABRT, BUFFER, DATA_OUT, PACKET_OUT, IdeDrive

from hyperport.errors import StateError

cdef enum:
    BLOCK = 2048
    RATIO = BLOCK // SECTOR
    MOST = BUFFER // BLOCK          # blocks in the buffer
    LEAD_IN = 150                   # frames of two seconds before block 0, in times

cdef enum Code:                     # ATA/ATAPI-6, clause 8
    DEVICE_RESET = 0x08
    READ_SECTORS = 0x20
    PACKET = 0xA0
    IDENTIFY_PACKET_DEVICE = 0xA1
    STANDBY_IMMEDIATE = 0xE0
    IDLE_IMMEDIATE = 0xE1
    CHECK_POWER_MODE = 0xE5
    SLEEP = 0xE6
    IDENTIFY_DEVICE = 0xEC
    SET_FEATURES = 0xEF

cdef enum Reason:                   # interrupt reason, clause 7.12
    TO_COMMAND = 0x01               # 1: the command packet, or the end; 0: data
    TO_HOST = 0x02

cdef enum:
    DMA_OR_OVERLAP = 0x03           # PACKET: features that are not there
    FEATURE_TRANSFER_MODE = 0x03    # SET FEATURES
    MODE_PIO_LAST = 0x0C

cdef enum Packet:                   # the first byte of a packet (MMC-3, clause 6; SPC-2, clause 7)
    TEST_UNIT_READY = 0x00
    REQUEST_SENSE = 0x03
    INQUIRY = 0x12
    START_STOP_UNIT = 0x1B
    PREVENT_ALLOW = 0x1E
    READ_CAPACITY = 0x25
    READ_10 = 0x28
    SEEK_10 = 0x2B
    READ_TOC = 0x43
    GET_CONFIGURATION = 0x46
    GET_EVENT_STATUS = 0x4A
    MODE_SENSE_10 = 0x5A
    READ_12 = 0xA8

cdef enum Sense:                    # key; additional code and qualifier follow as two bytes
    NOT_READY = 2
    MEDIUM_ERROR = 3
    ILLEGAL_REQUEST = 5
    UNIT_ATTENTION = 6
    BAD_OPERATION = 0x20            # invalid command operation code
    BAD_ADDRESS = 0x21              # logical block address out of range
    BAD_FIELD = 0x24                # invalid field in the packet
    NEW_MEDIUM = 0x28               # not ready to ready change
    WAS_RESET = 0x29
    UNREADABLE = 0x11
    NO_MEDIUM = 0x3A
    LOCKED = 0x53                   # with qualifier 2: removal is prevented

FIELDS = IdeDrive.fields | {
    "packet": (8, PACKET_SIZE), "limit": 16, "odd": 1, "lba": 32, "left": 32,
    "key": 4, "asc": 8, "ascq": 8, "attention": 8, "open_tray": 1, "locked": 1,
}


cdef class AtapiCdrom(IdeDrive):
    """A CD-ROM drive with a disc in it. disk: the disc's image, as sectors of 512 bytes."""

    kind = "CD-ROM drive"
    fields = FIELDS

    cdef uint32_t blocks(self) noexcept nogil:
        return <uint32_t> min(self.disk.sectors // RATIO, <unsigned long long> 0xFFFFFFFF)

    cdef void power_on(self) noexcept nogil:
        memset(self.packet, 0, PACKET_SIZE)
        self.limit = 0
        self.odd = False
        self.lba = 0
        self.left = 0
        self.key = self.asc = self.ascq = 0
        self.open_tray = False

    cdef void signature(self) noexcept nogil:
        IdeDrive.signature(self)
        self.mid = 0x14
        self.high = 0xEB
        self.ready = False
        self.left = 0
        self.attention = WAS_RESET
        self.locked = False

    cdef void command(self, uint8_t code) noexcept nogil:
        if code == DEVICE_RESET:
            self.signature()
            return
        if self.sleeping:
            return
        self.interrupt = False
        self.stop()
        self.left = 0
        if code == PACKET and not self.features & DMA_OR_OVERLAP:
            self.failed = False
            self.error = 0
            self.limit = (self.mid & 0xFF) | (self.high & 0xFF) << 8
            self.count = TO_COMMAND
            self.want(PACKET_OUT, PACKET_SIZE)
        elif code == IDENTIFY_PACKET_DEVICE:
            self.identify()
        elif code in (STANDBY_IMMEDIATE, IDLE_IMMEDIATE):
            self.done()
        elif code == SLEEP:
            self.done()
            self.sleeping = True
        elif code == CHECK_POWER_MODE:
            self.count = 0xFF       # active
            self.done()
        elif code == SET_FEATURES and (self.features & 0xFF) == FEATURE_TRANSFER_MODE and \
                (self.count & 0xFF) <= MODE_PIO_LAST:
            self.done()
        else:
            if code in (IDENTIFY_DEVICE, READ_SECTORS):     # how a host tells the kinds apart (clause 8.15.5)
                self.count = self.low = 1
                self.mid = 0x14
                self.high = 0xEB
            self.fail(ABRT)

    cdef void block_moved(self) noexcept nogil:
        if self.phase == PACKET_OUT:
            memcpy(self.packet, self.buffer, PACKET_SIZE)
            self.stop()
            self.perform()
        elif self.position < self.filled:
            self.pass_on()
        elif self.left:
            self.fetch()
        else:
            self.finished()

    # Packets.

    cdef void perform(self) noexcept nogil:
        cdef uint8_t action = self.packet[0]
        if self.attention and action not in (INQUIRY, REQUEST_SENSE):
            self.sense(UNIT_ATTENTION, self.attention, 0)
            self.attention = 0
        elif self.open_tray and action in (TEST_UNIT_READY, READ_CAPACITY, READ_10, READ_12, SEEK_10, READ_TOC):
            self.sense(NOT_READY, NO_MEDIUM, 2)
        else:
            self.answer(action)

    cdef void answer(self, uint8_t action) noexcept nogil:
        memset(self.buffer, 0, 64)
        if action == TEST_UNIT_READY:
            self.finished()
        elif action == REQUEST_SENSE:
            self.buffer[0] = 0x70       # current error, fixed format
            self.buffer[2] = self.key
            self.buffer[7] = 10         # bytes that follow
            self.buffer[12] = self.asc
            self.buffer[13] = self.ascq
            self.reply(18, self.packet[4])
            self.key = self.asc = self.ascq = 0
        elif action == INQUIRY:
            if self.packet[1] & 0x01:   # vital product data
                self.sense(ILLEGAL_REQUEST, BAD_FIELD, 0)
                return
            self.buffer[0] = 0x05       # CD-ROM
            self.buffer[1] = 0x80       # removable
            self.buffer[3] = 0x21       # ATAPI
            self.buffer[4] = 31
            memcpy(self.buffer + 8, b"HYPRPORT" b"CD-ROM          " b"1.0 ", 28)
            self.reply(36, self.packet[4])
        elif action == START_STOP_UNIT:
            self.start_stop()
        elif action == PREVENT_ALLOW:
            self.locked = self.packet[4] & 0x01
            self.finished()
        elif action == READ_CAPACITY:
            self.put_number(0, self.blocks() - 1, 4)
            self.put_number(4, BLOCK, 4)
            self.reply(8, 8)
        elif action == READ_10:
            self.read(self.number(2, 4), self.number(7, 2))
        elif action == READ_12:
            self.read(self.number(2, 4), self.number(6, 4))
        elif action == SEEK_10:
            self.read(self.number(2, 4), 0)
        elif action == READ_TOC:
            self.table_of_contents()
        elif action == GET_CONFIGURATION:
            self.configuration()
        elif action == GET_EVENT_STATUS:
            self.event_status()
        elif action == MODE_SENSE_10:
            self.mode_sense()
        else:
            self.sense(ILLEGAL_REQUEST, BAD_OPERATION, 0)

    cdef uint32_t number(self, int offset, int size) noexcept nogil:
        """A big-endian number in the packet."""
        cdef uint32_t value = 0
        cdef int i
        for i in range(size):
            value = value << 8 | self.packet[offset + i]
        return value

    cdef void put_number(self, uint32_t at, uint32_t value, int size) noexcept nogil:
        cdef int i
        for i in range(size):
            self.buffer[at + i] = <uint8_t> (value >> (8 * (size - 1 - i)))

    cdef void sense(self, uint8_t key, uint8_t asc, uint8_t ascq) noexcept nogil:
        """The packet has failed."""
        self.left = 0
        self.key, self.asc, self.ascq = key, asc, ascq
        self.count = TO_COMMAND | TO_HOST
        self.fail(<uint8_t> (key << 4 | ABRT))

    cdef void finished(self) noexcept nogil:
        self.count = TO_COMMAND | TO_HOST
        if self.packet[0] != REQUEST_SENSE:
            self.key = self.asc = self.ascq = 0
        self.done()

    cdef void reply(self, uint32_t size, uint32_t allocated) noexcept nogil:
        """size bytes are in the buffer; the host takes at most allocated."""
        size = min(size, allocated)
        if size == 0:
            self.finished()
            return
        self.position = 0
        self.odd = size & 1
        self.filled = size + self.odd
        self.pass_on()

    cdef void pass_on(self) noexcept nogil:
        """The next block of what is in the buffer."""
        cdef uint32_t most = self.limit & 0xFFFE
        cdef uint32_t start = self.position
        if most == 0:
            self.left = 0
            self.count = TO_COMMAND | TO_HOST
            self.fail(ABRT)
            return
        self.failed = False
        self.error = 0
        self.count = TO_HOST
        self.offer(most)
        self.set_byte_count(self.block_end - start - (self.odd and self.block_end == self.filled))

    cdef void set_byte_count(self, uint32_t bytes) noexcept nogil:
        self.mid = bytes & 0xFF
        self.high = <uint16_t> (bytes >> 8 & 0xFF)

    cdef void read(self, uint32_t first, uint32_t count) noexcept nogil:
        if first >= self.blocks() or count > self.blocks() - first:
            self.sense(ILLEGAL_REQUEST, BAD_ADDRESS, 0)
        elif count == 0:
            self.finished()
        else:
            self.lba = first
            self.left = count
            self.odd = False
            self.fetch()

    cdef void fetch(self) noexcept nogil:
        """Fill the buffer with the next blocks of the disc."""
        cdef uint32_t count = min(self.left, <uint32_t> MOST)
        cdef uint32_t good = 0
        if self.disk.read(<unsigned long long> self.lba * RATIO, count * RATIO, self.buffer):
            while good < count and self.disk.read((<unsigned long long> self.lba + good) * RATIO, RATIO,
                                                  self.buffer + good * BLOCK) == 0:
                good += 1
            if good == 0:
                self.sense(MEDIUM_ERROR, UNREADABLE, 0)
                return
            count = good
        self.lba += count
        self.left -= count
        self.position = 0
        self.filled = count * BLOCK
        self.pass_on()

    cdef void start_stop(self) noexcept nogil:
        cdef bint load_or_eject = self.packet[4] & 0x02
        cdef bint start = self.packet[4] & 0x01
        if load_or_eject and not start:
            if self.locked:
                self.sense(ILLEGAL_REQUEST, LOCKED, 2)
                return
            self.open_tray = True
        elif load_or_eject and self.open_tray:
            self.open_tray = False
            self.attention = NEW_MEDIUM
        self.finished()

    cdef void table_of_contents(self) noexcept nogil:
        cdef bint time = self.packet[1] & 0x02
        cdef uint32_t form = self.packet[2] & 0x0F if self.packet[2] & 0x0F else self.packet[9] >> 6
        cdef uint32_t size = 4
        self.buffer[2] = self.buffer[3] = 1     # first and last track, or session
        if form == 1:
            self.toc_entry(size, 1, 0, time)
            size += 8
        elif form == 0 and (self.packet[6] <= 1 or self.packet[6] == 0xAA):
            if self.packet[6] <= 1:
                self.toc_entry(size, 1, 0, time)
                size += 8
            self.toc_entry(size, 0xAA, self.blocks(), time)     # the lead-out
            size += 8
        else:
            self.sense(ILLEGAL_REQUEST, BAD_FIELD, 0)
            return
        self.put_number(0, size - 2, 2)
        self.reply(size, self.number(7, 2))

    cdef void toc_entry(self, uint32_t at, uint8_t track, uint32_t block, bint time) noexcept nogil:
        cdef unsigned long long frames = <unsigned long long> block + LEAD_IN
        self.buffer[at + 1] = 0x14              # position, data track
        self.buffer[at + 2] = track
        if time:
            block = <uint32_t> (min(frames // 75 // 60, <unsigned long long> 255) << 16 | frames // 75 % 60 << 8
                                | frames % 75)
        self.put_number(at + 4, block, 4)

    cdef void configuration(self) noexcept nogil:
        """GET CONFIGURATION: the profile CD-ROM, and the list of profiles as the only feature."""
        cdef uint32_t size = 8
        self.put_number(6, 0 if self.open_tray else 0x0008, 2)
        if self.number(2, 2) == 0:
            self.put_number(8, 0x00000304, 4)   # feature 0, persistent and current, 4 bytes follow
            self.put_number(12, 0x00080000 | (not self.open_tray) << 8, 4)
            size = 16
        self.put_number(0, size - 4, 4)
        self.reply(size, self.number(7, 2))

    cdef void event_status(self) noexcept nogil:
        """GET EVENT STATUS NOTIFICATION: there is news of the medium only, and it comes as UNIT ATTENTION as well."""
        if not self.packet[1] & 0x01:           # only polled
            self.sense(ILLEGAL_REQUEST, BAD_FIELD, 0)
            return
        self.buffer[3] = 0x10                   # the media class is supported
        if self.packet[4] & 0x10:
            self.put_number(0, 6, 2)
            self.buffer[2] = 0x04               # media
            self.buffer[5] = 0x01 if self.open_tray else 0x02
            self.reply(8, self.number(7, 2))
        else:
            self.put_number(0, 2, 2)
            self.buffer[2] = 0x80               # no event of the classes that were asked for
            self.reply(4, self.number(7, 2))

    cdef void mode_sense(self) noexcept nogil:
        cdef uint8_t page = self.packet[2] & 0x3F
        cdef uint32_t size = 8
        if page not in (0x01, 0x2A, 0x3F) or self.packet[2] >> 6 == 3:      # 3: saved values
            self.sense(ILLEGAL_REQUEST, BAD_FIELD, 0)
            return
        if page != 0x2A:                        # read error recovery
            self.buffer[size] = 0x01
            self.buffer[size + 1] = 6
            self.buffer[size + 3] = 5           # retries
            size += 8
        if page != 0x01:                        # capabilities and mechanical status
            self.buffer[size] = 0x2A
            self.buffer[size + 1] = 18
            self.buffer[size + 6] = 0x29 | self.locked << 1     # tray, ejects, locks
            self.put_number(size + 8, 706, 2)   # kB/s: 4 times
            self.put_number(size + 12, BUFFER // 1024, 2)
            self.put_number(size + 14, 706, 2)
            size += 20
        self.put_number(0, size - 2, 2)
        self.buffer[2] = 0x70 if self.open_tray else 0x01       # medium type: 120 mm, data
        self.reply(size, self.number(7, 2))

    cdef void identify(self) noexcept nogil:
        """The words of IDENTIFY PACKET DEVICE (ATA/ATAPI-6, clause 8.16)."""
        memset(self.buffer, 0, SECTOR)
        self.put_word(0, 0x85C0)            # packet device, CD-ROM, removable, DRQ within 50 us, packets of 12 bytes
        self.put_text(10, 10, b"HP00000001")
        self.put_text(23, 4, b"1.0")
        self.put_text(27, 20, b"HYPERPORT CD-ROM")
        self.put_word(49, 0x0E00)           # IORDY, which may be disabled, and LBA; no DMA
        self.put_word(50, 0x4000)
        self.put_word(53, 0x0002)           # words 64 to 70 are valid
        self.put_word(64, 0x0003)           # PIO modes 3 and 4
        self.put_word(67, 120)
        self.put_word(68, 120)
        self.put_word(80, 0x0078)           # ATA/ATAPI-3 to 6
        self.put_word(82, 0x4210)           # NOP, DEVICE RESET, PACKET
        self.put_word(83, 0x4000)
        self.put_word(84, 0x4000)
        self.put_word(85, 0x4210)
        self.put_word(87, 0x4000)
        self.done()
        memset(self.packet, 0, PACKET_SIZE)
        self.odd = False
        self.filled = SECTOR
        self.offer(SECTOR)

    def save(self):
        return IdeDrive.save(self) | {
            "packet": [self.packet[i] for i in range(PACKET_SIZE)], "limit": self.limit, "odd": int(self.odd),
            "lba": self.lba, "left": self.left, "key": self.key, "asc": self.asc, "ascq": self.ascq,
            "attention": self.attention, "open_tray": int(self.open_tray), "locked": int(self.locked),
        }

    def check(self, record):
        IdeDrive.check(self, record)
        if record["lba"] + record["left"] > self.blocks() or len(record["packet"]) != PACKET_SIZE:
            raise StateError(f"{self.kind}: blocks {record['lba']} and {record['left']} more are not all on the disc")
        if record["phase"] == DATA_OUT or (record["phase"] == PACKET_OUT and record["filled"] != PACKET_SIZE):
            raise StateError(f"{self.kind}: a block of {record['filled']} bytes fits no command")

    def load(self, record):
        IdeDrive.load(self, record)
        for i in range(PACKET_SIZE):
            self.packet[i] = record["packet"][i]
        self.limit = record["limit"]
        self.odd = record["odd"]
        self.lba = record["lba"]
        self.left = record["left"]
        self.key = record["key"]
        self.asc = record["asc"]
        self.ascq = record["ascq"]
        self.attention = record["attention"]
        self.open_tray = record["open_tray"]
        self.locked = record["locked"]
