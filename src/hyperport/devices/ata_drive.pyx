# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
"""A hard disk on an IDE channel: the commands of ATA/ATAPI-6 (INCITS 361-2002) without DMA, packets and security.

Clauses are those of that document. How a command moves its data stands at the top of ide_drive.pyx.

Reading fetches up to 128 sectors at once into the buffer and offers them block by block: one sector, or as many as
SET MULTIPLE MODE says. Writing stores each block as it comes. A command that reaches past the last sector fails with
IDNF before it moves anything. If the host cannot read a sector, the command fails with UNC in the block that has it; if
it cannot write or flush, with ABRT. A disk that may not be written answers writes with ABRT: the write-protect bit is
for removable media (clause 8.37.6). The address registers then name the sector, the count how many were not done.

A command is acknowledged when the host has the data; it survives a crash of the host after FLUSH CACHE, or at once
with the write cache off. Power modes are remembered, and cost nothing: only SLEEP is deaf until a reset. docs/ide.md
has the table of all commands.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset

from hyperport.host.disk cimport SECTOR, Disk
from hyperport.lines.saved cimport Fields
from hyperport.devices.ide_drive cimport (
    ABRT, BUFFER, DATA_OUT, HEADS, IDNF, LBA, UNC, IdeDrive)

from hyperport.errors import ConfigError, StateError

cdef enum:
    MOST = BUFFER // SECTOR         # sectors in the buffer, and in a block
    DEFAULT_HEADS = 16
    DEFAULT_TRACK = 63
    MOST_CYLINDERS = 16383          # of the default translation (clause 6.2.1)
    LBA28_SECTORS = 0x0FFFFFFF
    ACTIVE = 0xFF                   # CHECK POWER MODE: active or idle
    STANDBY = 0x00

cdef enum Action:
    UNKNOWN
    REFUSE          # NOP: always aborted (clause 8.14)
    READ            # the first one with an address
    READ_MULTIPLE
    WRITE
    WRITE_MULTIPLE
    VERIFY
    SEEK            # the last one with an address
    RECALIBRATE
    FLUSH
    SET_TRANSLATION
    SET_MULTIPLE
    SET_FEATURES
    IDENTIFY
    WAKE            # to the idle mode
    REST            # to the standby mode
    SLEEP
    READ_BUFFER
    WRITE_BUFFER
    POWER_MODE
    LAST_ACTION = POWER_MODE

COMMANDS = (  # code, action, takes a 48-bit address
    (0x00, REFUSE, 0),              # NOP
    *((0x10 + i, RECALIBRATE, 0) for i in range(16)),  # of ATA-3
    (0x20, READ, 0),                # READ SECTOR(S)
    (0x21, READ, 0),                # the same without retries, of ATA-3
    (0x24, READ, 1),                # READ SECTOR(S) EXT
    (0x29, READ_MULTIPLE, 1),       # READ MULTIPLE EXT
    (0x30, WRITE, 0),               # WRITE SECTOR(S)
    (0x31, WRITE, 0),               # the same without retries
    (0x34, WRITE, 1),               # WRITE SECTOR(S) EXT
    (0x39, WRITE_MULTIPLE, 1),      # WRITE MULTIPLE EXT
    (0x40, VERIFY, 0),              # READ VERIFY SECTOR(S)
    (0x41, VERIFY, 0),              # the same without retries
    (0x42, VERIFY, 1),              # READ VERIFY SECTOR(S) EXT
    (0x70, SEEK, 0),                # SEEK
    (0x91, SET_TRANSLATION, 0),     # INITIALIZE DEVICE PARAMETERS
    (0xC4, READ_MULTIPLE, 0),       # READ MULTIPLE
    (0xC5, WRITE_MULTIPLE, 0),      # WRITE MULTIPLE
    (0xC6, SET_MULTIPLE, 0),        # SET MULTIPLE MODE
    (0xE0, REST, 0),                # STANDBY IMMEDIATE
    (0xE1, WAKE, 0),                # IDLE IMMEDIATE
    (0xE2, REST, 0),                # STANDBY
    (0xE3, WAKE, 0),                # IDLE
    (0xE4, READ_BUFFER, 0),         # READ BUFFER
    (0xE5, POWER_MODE, 0),          # CHECK POWER MODE
    (0xE6, SLEEP, 0),               # SLEEP
    (0xE7, FLUSH, 0),               # FLUSH CACHE
    (0xE8, WRITE_BUFFER, 0),        # WRITE BUFFER
    (0xEA, FLUSH, 1),               # FLUSH CACHE EXT
    (0xEC, IDENTIFY, 0),            # IDENTIFY DEVICE
    (0xEF, SET_FEATURES, 0),        # SET FEATURES
)

cdef uint8_t actions[256]
cdef uint8_t extends[256]
for _code, _action, _extended in COMMANDS:
    actions[<int> _code] = _action
    extends[<int> _code] = _extended

cdef enum Feature:                  # SET FEATURES (clause 8.46), in the features register
    CACHE_ON = 0x02
    TRANSFER_MODE = 0x03            # by the count register
    LOOK_AHEAD_OFF = 0x55
    KEEP_SETTINGS = 0x66            # over a software reset
    CACHE_OFF = 0x82
    LOOK_AHEAD_ON = 0xAA
    REVERT_SETTINGS = 0xCC


cdef class AtaDrive(IdeDrive):
    """A hard disk. disk: its sectors. serial: the serial number, at most 20 ASCII characters. geometry: heads and sectors
    a track that it reports and starts with, at most 16 and 63.
    """

    name = "hard disk"

    def __init__(self, Disk disk not None, serial="HP00000001", geometry=(DEFAULT_HEADS, DEFAULT_TRACK)):
        self.own_heads, self.own_track = geometry
        if not (1 <= self.own_heads <= DEFAULT_HEADS and 1 <= self.own_track <= DEFAULT_TRACK):
            raise ConfigError(f"{self.name}: {self.own_heads} heads and {self.own_track} sectors a track: no disk has that")
        self.serial = serial.encode("ascii")[:20]
        self.serial_text = self.serial
        IdeDrive.__init__(self, disk)

    cdef void power_on(self) noexcept nogil:
        self.heads = self.own_heads
        self.track = self.own_track
        self.multiple = MOST        # a PC's firmware sets it; here there may be none
        self.write_cache = True
        self.look_ahead = True
        self.keep_settings = True
        self.lba = 0
        self.left = 0
        self.block = 1
        self.running = UNKNOWN
        self.wide = False
        memset(self.scratch, 0, SECTOR)

    cdef void signature(self) noexcept nogil:
        IdeDrive.signature(self)
        if not self.keep_settings:
            self.power_on()
        self.mid = 0
        self.high = 0
        self.ready = True
        self.standby = False

    cdef void command(self, uint8_t code) noexcept nogil:
        if self.sleeping:
            return
        self.begin()
        self.left = 0
        self.running = actions[code]
        self.wide = extends[code]
        self.perform(self.running)

    cdef void perform(self, int action) noexcept nogil:
        """One row of COMMANDS."""
        if READ <= action <= SEEK:
            self.access(action)
        elif action == RECALIBRATE:
            self.standby = False
            self.done()
        elif action == FLUSH:
            self.flush()
        elif action == SET_TRANSLATION:
            if self.count & 0xFF:
                self.track = self.count & 0xFF
                self.heads = (self.device & HEADS) + 1
                self.done()
            else:
                self.fail(ABRT)
        elif action == SET_MULTIPLE:
            self.set_multiple()
        elif action == SET_FEATURES:
            self.set_features()
        elif action == IDENTIFY:
            self.identify()
        elif action == READ_BUFFER:
            memcpy(self.buffer, self.scratch, SECTOR)
            self.filled = SECTOR
            self.offer(SECTOR)
        elif action == WRITE_BUFFER:
            self.want(DATA_OUT, SECTOR)
        elif action == WAKE:
            self.standby = False
            self.done()
        elif action == REST:
            self.flush()
            self.standby = not self.failed
        elif action == SLEEP:
            self.flush()
            self.sleeping = not self.failed
        elif action == POWER_MODE:
            self.count = (self.count & 0xFF00) | (STANDBY if self.standby else ACTIVE)
            self.done()
        else:
            self.fail(ABRT)

    cdef void access(self, int action) noexcept nogil:
        """The commands with an address."""
        self.standby = False
        if action in (READ_MULTIPLE, WRITE_MULTIPLE) and self.multiple == 0:
            self.fail(ABRT)
            return
        if not self.locate(action):
            return
        if action in (READ_MULTIPLE, WRITE_MULTIPLE):
            self.block = self.multiple
        if action in (READ, READ_MULTIPLE):
            self.fetch()
        elif action in (WRITE, WRITE_MULTIPLE):
            if self.disk.writable:
                self.want(DATA_OUT, min(self.block, self.left) * SECTOR)
            else:
                self.answer_address(self.lba, self.left)
                self.left = 0
                self.fail(ABRT)
        elif action == VERIFY:
            self.verify()
        else:
            self.left = 0
            self.done()

    cdef void set_multiple(self) noexcept nogil:
        cdef uint32_t count = self.count & 0xFF
        if count <= MOST and not count & (count - 1):
            self.multiple = count
            self.done()
        else:
            self.multiple = 0       # clause 8.48.6
            self.fail(ABRT)

    cdef bint locate(self, int action) noexcept nogil:
        """Take address and count from the registers into lba and left; False if the command has failed by that."""
        cdef uint64_t first
        cdef uint64_t limit = self.disk.sectors
        cdef uint32_t cylinder, head, sector
        cdef uint32_t count
        if action == SEEK:
            count = 1
        elif self.wide:
            count = self.count if self.count else 65536
        else:
            count = self.count & 0xFF if self.count & 0xFF else 256
        if self.device & LBA:
            first = self.low & 0xFF | (self.mid & 0xFF) << 8 | (<uint64_t> (self.high & 0xFF)) << 16
            if self.wide:
                first |= (<uint64_t> (self.low >> 8)) << 24 | (<uint64_t> (self.mid >> 8)) << 32 | \
                    (<uint64_t> (self.high >> 8)) << 40
            else:
                first |= <uint64_t> (self.device & HEADS) << 24
        elif self.wide:
            self.fail(ABRT)         # there are no long cylinders
            return False
        else:
            cylinder = self.mid & 0xFF | (self.high & 0xFF) << 8
            head = self.device & HEADS
            sector = self.low & 0xFF
            limit = min(limit, <uint64_t> self.cylinders() * self.heads * self.track)
            if head >= self.heads or not 1 <= sector <= self.track:
                self.fail(IDNF)
                return False
            first = (<uint64_t> cylinder * self.heads + head) * self.track + sector - 1
        if first >= limit or count > limit - first:
            if first < limit:
                self.answer_address(limit, count - <uint32_t> (limit - first))
            self.fail(IDNF)
            return False
        self.lba = first
        self.left = count
        self.block = 1
        return True

    cdef void answer_address(self, uint64_t sector, uint32_t left) noexcept nogil:
        """Put the sector that failed, and how many were not done, into the registers."""
        cdef uint64_t cylinder
        self.count = <uint16_t> left
        if self.device & LBA:
            self.low = <uint16_t> ((sector & 0xFF) | (sector >> 24 & 0xFF) << 8)
            self.mid = <uint16_t> ((sector >> 8 & 0xFF) | (sector >> 32 & 0xFF) << 8)
            self.high = <uint16_t> ((sector >> 16 & 0xFF) | (sector >> 40 & 0xFF) << 8)
            if not self.wide:
                self.device = <uint8_t> ((self.device & ~HEADS) | (sector >> 24 & HEADS))
        else:
            cylinder = sector // (self.heads * self.track)
            self.low = <uint16_t> (sector % self.track + 1)
            self.mid = <uint16_t> (cylinder & 0xFF)
            self.high = <uint16_t> (cylinder >> 8 & 0xFF)
            self.device = <uint8_t> ((self.device & ~HEADS) | (sector // self.track % self.heads))

    cdef void fetch(self) noexcept nogil:
        """Fill the buffer with the next sectors and offer the first block of them."""
        cdef uint32_t count = min(self.left, <uint32_t> MOST)
        cdef uint32_t good = count
        cdef uint32_t usable
        if self.disk.read(self.lba, count, self.buffer):
            good = 0
            while good < count and self.disk.read(self.lba + good, 1, self.buffer + good * SECTOR) == 0:
                good += 1
        usable = good if good == count else good - good % self.block
        if usable == 0:
            self.answer_address(self.lba + good, self.left - good)
            self.left = 0
            self.fail(UNC)
            return
        self.lba += usable
        self.left -= usable
        self.position = 0
        self.filled = usable * SECTOR
        self.offer(self.block * SECTOR)

    cdef void store(self) noexcept nogil:
        """Write the block in the buffer, and ask for the next one."""
        cdef uint32_t count = self.filled // SECTOR
        cdef uint32_t good = 0
        if self.disk.write(self.lba, count, self.buffer):
            while good < count and self.disk.write(self.lba + good, 1, self.buffer + good * SECTOR) == 0:
                good += 1
            if good < count:
                self.answer_address(self.lba + good, self.left - good)
                self.left = 0
                self.fail(ABRT)
                return
        self.lba += count
        self.left -= count
        if self.left:
            self.want(DATA_OUT, min(self.block, self.left) * SECTOR)
            self.interrupt = True
        elif self.write_cache:
            self.done()
        else:
            self.flush()

    cdef void block_moved(self) noexcept nogil:
        if self.running == WRITE_BUFFER:
            memcpy(self.scratch, self.buffer, SECTOR)
            self.done()
        elif self.phase == DATA_OUT:
            self.store()
        elif self.position < self.filled:
            self.offer(self.block * SECTOR)
        elif self.left:
            self.fetch()
        else:
            self.stop()

    cdef void verify(self) noexcept nogil:
        cdef uint32_t count, good
        while self.left:
            count = min(self.left, <uint32_t> MOST)
            if self.disk.read(self.lba, count, self.buffer):
                good = 0
                while good < count and self.disk.read(self.lba + good, 1, self.buffer) == 0:
                    good += 1
                self.answer_address(self.lba + good, self.left - good)
                self.left = 0
                self.fail(UNC)
                return
            self.lba += count
            self.left -= count
        self.done()

    cdef void flush(self) noexcept nogil:
        if self.disk.flush():
            self.fail(ABRT)
        else:
            self.done()

    cdef void set_features(self) noexcept nogil:
        cdef uint32_t feature = self.features & 0xFF
        if feature in (CACHE_ON, CACHE_OFF):
            self.write_cache = feature == CACHE_ON
            if feature == CACHE_OFF:
                self.flush()
                return
        elif feature in (LOOK_AHEAD_ON, LOOK_AHEAD_OFF):
            self.look_ahead = feature == LOOK_AHEAD_ON
        elif feature in (KEEP_SETTINGS, REVERT_SETTINGS):
            self.keep_settings = feature == KEEP_SETTINGS
        elif feature != TRANSFER_MODE or not self.pio_mode():
            self.fail(ABRT)
            return
        self.done()

    cdef uint32_t cylinders(self) noexcept nogil:
        """Of the current translation: what 16 bits can say, at least one."""
        cdef uint64_t fit = self.disk.sectors // (self.heads * self.track)
        return <uint32_t> max(<uint64_t> 1, min(fit, <uint64_t> 65535))

    cdef void identify(self) noexcept nogil:
        """The words of clause 8.15."""
        cdef uint64_t sectors = self.disk.sectors
        cdef uint64_t reached = min(sectors, <uint64_t> self.cylinders() * self.heads * self.track)
        cdef uint64_t fit = sectors // (self.own_heads * self.own_track)
        cdef uint32_t short_sectors = <uint32_t> min(sectors, <uint64_t> LBA28_SECTORS)
        cdef uint32_t i
        memset(self.buffer, 0, SECTOR)
        self.put_word(0, 0x0040)            # not removable
        self.put_word(1, <uint32_t> max(<uint64_t> 1, min(fit, <uint64_t> MOST_CYLINDERS)))
        self.put_word(3, self.own_heads)
        self.put_word(6, self.own_track)
        self.put_text(10, 10, self.serial_text)
        self.put_text(23, 4, b"1.0")
        self.put_text(27, 20, b"HYPERPORT HARD DISK")
        self.put_word(47, 0x8000 | MOST)    # the most for SET MULTIPLE MODE
        self.put_word(48, 1)                # the data port takes doublewords (ATA-1)
        self.put_word(49, 0x0E00)           # IORDY, which may be disabled, and LBA; no DMA
        self.put_word(50, 0x4000)
        self.put_word(51, 0x0200)           # PIO mode 2 without flow control (ATA-3)
        self.put_word(53, 0x0003)           # words 54 to 58 and 64 to 70 are valid
        self.put_word(54, self.cylinders())
        self.put_word(55, self.heads)
        self.put_word(56, self.track)
        self.put_word(57, <uint32_t> reached & 0xFFFF)
        self.put_word(58, <uint32_t> (reached >> 16) & 0xFFFF)
        self.put_word(59, 0x0100 | self.multiple if self.multiple else 0)
        self.put_word(60, short_sectors & 0xFFFF)
        self.put_word(61, short_sectors >> 16)
        self.put_word(64, 0x0003)           # PIO modes 3 and 4
        self.put_word(67, 120)              # their cycle, ns: without and with flow control
        self.put_word(68, 120)
        self.put_word(80, 0x007E)           # ATA-1 to ATA/ATAPI-6
        self.put_word(82, 0x7068)           # NOP, READ and WRITE BUFFER, look-ahead, write cache, power management
        self.put_word(83, 0x7400)           # FLUSH CACHE EXT, FLUSH CACHE, 48-bit addresses
        self.put_word(84, 0x4000)
        self.put_word(85, 0x7008 | self.write_cache << 5 | self.look_ahead << 6)
        self.put_word(86, 0x3400)
        self.put_word(87, 0x4000)
        for i in range(4):
            self.put_word(100 + i, <uint32_t> (sectors >> (16 * i)) & 0xFFFF)
        self.put_checksum()
        self.block = 1
        self.filled = SECTOR
        self.offer(SECTOR)

    cdef declare(self, Fields fields):
        IdeDrive.declare(self, fields)
        fields.u32("heads", &self.heads)
        fields.u32("track", &self.track, 0xFF)
        fields.u32("multiple", &self.multiple)
        fields.flag("write_cache", &self.write_cache)
        fields.flag("look_ahead", &self.look_ahead)
        fields.flag("keep_settings", &self.keep_settings)
        fields.flag("standby", &self.standby)
        fields.u64("lba", &self.lba)
        fields.u32("left", &self.left)
        fields.u32("block", &self.block)
        fields.number("running", &self.running, LAST_ACTION)
        fields.flag("wide", &self.wide)
        fields.data("scratch", self.scratch, SECTOR)

    cdef consistent(self, dict record):
        IdeDrive.consistent(self, record)
        heads, track, multiple, block, left = (
            record[field] for field in ("heads", "track", "multiple", "block", "left"))
        if not 1 <= heads <= DEFAULT_HEADS or track == 0 or multiple > MOST or multiple & (multiple - 1):
            raise StateError(f"{self.name}: {heads} heads, {track} sectors a track, blocks of {multiple}: no such mode")
        if not 1 <= block <= MOST or left > 65536 or record["lba"] + left > self.disk.sectors:
            raise StateError(f"{self.name}: sectors {record['lba']} and {left} more are not all on the disk")
        out = SECTOR if record["running"] == WRITE_BUFFER else min(block, left) * SECTOR
        if record["phase"] > DATA_OUT or record["filled"] % SECTOR or (
                record["phase"] == DATA_OUT and not record["block_end"] == record["filled"] == out):
            raise StateError(f"{self.name}: a block of {record['filled']} bytes fits no command")
