# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
"""A CD-ROM drive on an IDE channel: the PACKET command of ATA/ATAPI-6, and in it the commands of MMC-3 for data.

A command comes in two steps. PACKET asks for the 12 bytes of the command packet, without INTRQ (IDENTIFY PACKET DEVICE
says so in word 0). The packet is then performed: it ends at once, or moves its data in DRQ blocks of at most as many
bytes as the host has put into the byte count registers with PACKET (ATA/ATAPI-6, clause 9.8). The interrupt reason, in
the count register, says what is wanted: 1 the packet, 2 the host is to read, 0 to write, 3 the command has ended. Each
block and the end have an INTRQ of their own. A block that is not the last one is even; a limit of 0 is aborted.

A packet that fails ends with ERR, its sense key in the error register, and the sense data kept for REQUEST SENSE until
the next packet. The first packet after a reset or a change of the disc fails with UNIT ATTENTION, but for those of
PACKETS that are ANY_TIME (SPC-2, clause 5.6; MMC-3, clauses 6.6 and 6.7). A new disc also is an event of the class
"media", which waits for GET EVENT STATUS NOTIFICATION; a locked tray whose button is pressed is one, too.

The disc is one data track in mode 1, in blocks of 2,048 bytes; READ CD makes the rest of each sector (cd_sector.pyx).
What the drive says of itself and the disc: atapi_replies.pyx. docs/ide.md has the table of all commands.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset

from hyperport.host.disk cimport SECTOR, Disk
from hyperport.lines.saved cimport Fields
from hyperport.devices cimport atapi_replies as replies
from hyperport.devices.atapi_replies cimport number_of, put_number
from hyperport.devices.cd_sector cimport (
    LEAD_IN, PART_BITS, PART_USER, USER_DATA, parts_size, put_sector)
from hyperport.devices.ide_drive cimport ABRT, BUFFER, DATA_IN, DATA_OUT, PACKET_OUT, SECOND, IdeDrive

from hyperport.errors import StateError

COMMANDS = (
    NOP, DEVICE_RESET, READ_SECTORS, PACKET, IDENTIFY_PACKET_DEVICE, STANDBY_IMMEDIATE, IDLE_IMMEDIATE,
    CHECK_POWER_MODE, SLEEP, IDENTIFY_DEVICE, SET_FEATURES)

PACKETS = {
    TEST_UNIT_READY: DISC,
    REQUEST_SENSE: ANY_TIME,
    INQUIRY: ANY_TIME,
    START_STOP_UNIT: 0,
    PREVENT_ALLOW: 0,
    READ_CAPACITY: DISC,
    READ_10: DISC,
    SEEK_10: DISC,
    READ_SUB_CHANNEL: DISC,
    READ_TOC: DISC,
    READ_HEADER: DISC,
    GET_CONFIGURATION: ANY_TIME,
    GET_EVENT_STATUS: ANY_TIME,
    READ_DISC_INFORMATION: DISC,
    READ_TRACK_INFORMATION: DISC,
    MODE_SELECT_10: 0,
    MODE_SENSE_10: 0,
    READ_12: DISC,
    READ_CD_MSF: DISC,
    SET_CD_SPEED: 0,
    MECHANISM_STATUS: 0,
    READ_CD: DISC,
}

cdef uint8_t needs[256]
for _code, _need in PACKETS.items():
    needs[<int> _code] = KNOWN | _need


cdef class AtapiCdrom(IdeDrive):
    """A CD-ROM drive with a disc in it. disk: the disc's image, as sectors of 512 bytes."""

    name = "CD-ROM drive"

    cdef uint32_t blocks(self) noexcept nogil:
        return <uint32_t> min(self.disk.sectors // RATIO, <uint64_t> 0xFFFFFFFF)

    cdef bint loaded(self) noexcept nogil:
        return not self.open_tray and self.blocks() > 0

    cdef void power_on(self) noexcept nogil:
        memset(self.packet, 0, PACKET_SIZE)
        self.limit = 0
        self.odd = False
        self.lba = 0
        self.left = 0
        self.parts = PART_USER
        self.open_tray = False
        self.retries = replies.RETRIES
        self.speed = replies.FULL_SPEED
        self.attention = 0

    cdef void signature(self) noexcept nogil:
        IdeDrive.signature(self)
        self.mid = 0x14
        self.high = 0xEB
        self.ready = False
        self.left = 0
        self.key = self.asc = self.ascq = 0
        self.located = False
        self.place = 0
        self.attention |= AFTER_RESET
        self.media_event = 0
        self.power_event = False
        self.power = POWER_ACTIVE
        self.locked = 0

    # Hands on the drive, while the guest does not run.

    @property
    def tray_is_open(self):
        return self.open_tray

    def press_button(self):
        """Open the tray. False if the guest has locked it: then the guest is told that somebody wants it open."""
        if self.locked and not self.open_tray:
            self.media_event = EJECT_REQUEST
            return False
        self.eject()
        return True

    def insert(self, Disk disk):
        """Open the tray, lay in another disc or None, close it. False, and nothing done, if the guest has locked it.

        The disc that was there stays open: whoever has opened it closes it.
        """
        if not self.press_button():
            return False
        self.disk = Disk() if disk is None else disk    # the base class has no sectors
        self.lba = self.left = 0
        self.close_tray()
        return True

    cdef void eject(self) noexcept nogil:
        if not self.open_tray:
            self.media_event = DISC_REMOVED
        self.open_tray = True

    cdef void close_tray(self) noexcept nogil:
        self.open_tray = False
        if self.loaded():
            self.attention |= AFTER_CHANGE
            self.media_event = NEW_DISC

    # Commands.

    cdef void command(self, uint8_t code) noexcept nogil:
        cdef uint8_t selected = self.device & SECOND
        if code == DEVICE_RESET:        # wakes it, too
            self.signature()
            self.device = selected
            return
        if self.sleeping:
            return
        self.begin()
        self.left = 0
        if code == PACKET and not self.features & DMA_OR_OVERLAP:
            self.limit = (self.mid & 0xFF) | (self.high & 0xFF) << 8
            self.count = TO_COMMAND
            self.want(PACKET_OUT, PACKET_SIZE)
        elif code == IDENTIFY_PACKET_DEVICE:
            self.identify()
        elif code in (STANDBY_IMMEDIATE, IDLE_IMMEDIATE):
            self.set_power(POWER_STANDBY if code == STANDBY_IMMEDIATE else POWER_IDLE)
            self.done()
        elif code == SLEEP:
            self.done()
            self.sleeping = True
        elif code == CHECK_POWER_MODE:
            self.count = RESTING if self.power == POWER_STANDBY else AWAKE
            self.done()
        elif code == SET_FEATURES and (self.features & 0xFF) == FEATURE_TRANSFER_MODE and self.pio_mode():
            self.done()
        else:
            if code in (IDENTIFY_DEVICE, READ_SECTORS):
                self.count = self.low = 1                   # how a host tells the kinds apart (clause 9.12)
                self.mid = 0x14
                self.high = 0xEB
            self.fail(ABRT)

    cdef void block_moved(self) noexcept nogil:
        if self.phase == PACKET_OUT:
            memcpy(self.packet, self.buffer, PACKET_SIZE)
            self.stop()
            self.perform()
        elif self.phase == DATA_OUT:
            if self.position < self.filled:
                self.ask()
            else:
                self.take_modes()
        elif self.position < self.filled:
            self.pass_on()
        elif self.left:
            self.fetch()
        else:
            self.finished()

    # Packets.

    cdef void perform(self) noexcept nogil:
        cdef uint8_t action = self.packet[0]
        if action == REQUEST_SENSE:
            self.request_sense()
            return
        self.key = self.asc = self.ascq = 0
        self.located = False
        if not needs[action]:
            self.sense(ILLEGAL_REQUEST, BAD_OPERATION, 0)
        elif self.attention and not needs[action] & ANY_TIME:
            if self.attention & AFTER_RESET:
                self.attention &= ~AFTER_RESET
                self.sense(UNIT_ATTENTION, WAS_RESET, 0)
            else:
                self.attention = 0
                self.sense(UNIT_ATTENTION, NEW_MEDIUM, 0)
        elif needs[action] & DISC and not self.loaded():
            self.no_disc()
        else:
            memset(self.buffer, 0, replies.REPLY)
            self.answer(action)

    cdef void answer(self, uint8_t action) noexcept nogil:
        """The row of PACKETS; the buffer begins with zeros."""
        cdef const uint8_t *packet = self.packet
        cdef uint8_t *to = self.buffer
        cdef uint32_t allocated = number_of(packet, 7, 2)   # bytes that the host takes, in most packets
        if action == TEST_UNIT_READY:
            self.finished()
        elif action == INQUIRY:
            self.tell(replies.inquiry(to, packet), packet[4])
        elif action == START_STOP_UNIT:
            self.start_stop()
        elif action == PREVENT_ALLOW:
            self.prevent_allow()
        elif action == READ_CAPACITY:
            put_number(to, self.blocks() - 1, 4)
            put_number(to + 4, USER_DATA, 4)
            self.tell(replies.REFUSED if number_of(packet, 2, 4) else 8, 8)
        elif action == READ_10:
            self.read(number_of(packet, 2, 4), allocated, PART_USER)
        elif action == READ_12:
            self.read(number_of(packet, 2, 4), number_of(packet, 6, 4), PART_USER)
        elif action == SEEK_10:
            self.read(number_of(packet, 2, 4), 0, PART_USER)
        elif action in (READ_CD, READ_CD_MSF):
            self.read_cd()
        elif action == READ_TOC:
            self.tell(replies.table_of_contents(to, packet, self.blocks()), allocated)
        elif action == READ_SUB_CHANNEL:
            self.tell(replies.sub_channel(to, packet, self.lba), allocated)
        elif action == READ_HEADER:
            if number_of(packet, 2, 4) >= self.blocks():
                self.sense(ILLEGAL_REQUEST, BAD_ADDRESS, 0)
            else:
                self.tell(replies.block_header(to, packet), allocated)
        elif action == READ_DISC_INFORMATION:
            self.tell(replies.disc_information(to), allocated)
        elif action == READ_TRACK_INFORMATION:
            self.tell(replies.track_information(to, packet, self.blocks()), allocated)
        elif action == GET_CONFIGURATION:
            self.tell(replies.configuration(to, packet, self.loaded()), allocated)
        elif action == GET_EVENT_STATUS:
            self.event_status()
        elif action == MECHANISM_STATUS:
            self.tell(replies.mechanism_status(to, self.open_tray, self.lba), number_of(packet, 8, 2))
        elif action == SET_CD_SPEED:
            self.speed = <uint16_t> max(min(number_of(packet, 2, 2), <uint32_t> replies.FULL_SPEED),
                                        <uint32_t> replies.SINGLE_SPEED)
            self.finished()
        elif action == MODE_SELECT_10:
            self.mode_select()
        elif packet[2] >> 6 == replies.SAVED:       # MODE SENSE (10)
            self.sense(ILLEGAL_REQUEST, NOTHING_SAVED, 0)
        else:
            self.tell(replies.mode_sense(to, packet, self.open_tray, self.retries, self.locked != 0, self.speed),
                      allocated)

    cdef void request_sense(self) noexcept nogil:
        """Why the last packet failed; if it did not, or that has been reported, a UNIT ATTENTION that waits."""
        if self.key == 0 and self.attention:
            self.key = UNIT_ATTENTION
            self.asc = WAS_RESET if self.attention & AFTER_RESET else NEW_MEDIUM
            self.attention &= ~(AFTER_RESET if self.attention & AFTER_RESET else AFTER_CHANGE)
        memset(self.buffer, 0, replies.REPLY)
        self.buffer[0] = 0xF0 if self.located else 0x70     # current error, fixed format; its place is valid
        self.buffer[2] = self.key
        put_number(self.buffer + 3, self.place if self.located else 0, 4)
        self.buffer[7] = 10         # bytes that follow
        self.buffer[12] = self.asc
        self.buffer[13] = self.ascq
        self.key = self.asc = self.ascq = 0
        self.located = False
        self.reply(18, self.packet[4])

    cdef void sense(self, uint8_t key, uint8_t asc, uint8_t ascq) noexcept nogil:
        """The packet has failed."""
        self.left = 0
        self.key, self.asc, self.ascq = key, asc, ascq
        self.count = TO_COMMAND | TO_HOST
        self.fail(<uint8_t> (key << 4 | ABRT))

    cdef void no_disc(self) noexcept nogil:
        self.sense(NOT_READY, NO_MEDIUM, TRAY_OPEN if self.open_tray else TRAY_CLOSED)

    cdef void finished(self) noexcept nogil:
        self.count = TO_COMMAND | TO_HOST
        self.done()

    cdef void tell(self, int size, uint32_t allocated) noexcept nogil:
        if size == replies.REFUSED:
            self.sense(ILLEGAL_REQUEST, BAD_FIELD, 0)
        else:
            self.reply(<uint32_t> size, allocated)

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

    cdef uint32_t block_size(self) noexcept nogil:
        """Bytes of the next DRQ block, with its padding; 0: the host's limit allows none, and the packet has failed."""
        cdef uint32_t most = min(self.limit, <uint32_t> MOST_COUNT)
        cdef uint32_t left = self.filled - self.position
        if most and left - self.odd <= most:
            return left
        if most < 2:
            self.left = 0
            self.count = TO_COMMAND | TO_HOST
            self.fail(ABRT)
            return 0
        return most & MOST_COUNT

    cdef void pass_on(self) noexcept nogil:
        """The next block of what is in the buffer."""
        cdef uint32_t start = self.position
        cdef uint32_t size = self.block_size()
        if size == 0:
            return
        self.count = TO_HOST
        self.offer(size)
        self.set_byte_count(self.block_end - start - (self.odd and self.block_end == self.filled))

    cdef void ask(self) noexcept nogil:
        """The host is to write the next block into the buffer."""
        cdef uint32_t start = self.position
        cdef uint32_t size = self.block_size()
        if size == 0:
            return
        self.count = 0
        self.phase = DATA_OUT
        self.block_end = start + size
        self.set_byte_count(size - (self.odd and self.block_end == self.filled))
        self.interrupt = True

    cdef void set_byte_count(self, uint32_t bytes) noexcept nogil:
        self.mid = bytes & 0xFF
        self.high = <uint16_t> (bytes >> 8 & 0xFF)

    # Reading.

    cdef void read(self, uint32_t first, uint32_t count, uint8_t parts) noexcept nogil:
        if first >= self.blocks() or count > self.blocks() - first:
            self.sense(ILLEGAL_REQUEST, BAD_ADDRESS, 0)
            return
        self.set_power(POWER_ACTIVE)
        self.lba = first
        if count == 0 or parts_size(parts) == 0:
            self.finished()
            return
        self.left = count
        self.parts = parts
        self.odd = False
        self.fetch()

    cdef void read_cd(self) noexcept nogil:
        """READ CD and READ CD MSF: any run of a sector's parts, but neither C2 errors nor sub-channels."""
        cdef const uint8_t *packet = self.packet
        cdef uint8_t kind = packet[1] >> 2 & 0x07       # of sector that the host expects; 0: any, 2: mode 1
        cdef uint8_t parts = packet[9] & PART_BITS
        cdef uint32_t first = number_of(packet, 2, 4)
        cdef uint32_t count = number_of(packet, 6, 3)
        if parts_size(parts) < 0 or packet[9] & 0x06 or packet[10] & 0x07 or packet[1] & 0x01:
            self.sense(ILLEGAL_REQUEST, BAD_FIELD, 0)
            return
        if packet[0] == READ_CD_MSF:                    # from a time to before another
            first = (packet[3] * 60 + packet[4]) * 75 + packet[5]
            count = (packet[6] * 60 + packet[7]) * 75 + packet[8]
            if packet[4] >= 60 or packet[5] >= 75 or packet[7] >= 60 or packet[8] >= 75 or first > count:
                self.sense(ILLEGAL_REQUEST, BAD_FIELD, 0)
                return
            count -= first
            if first < <uint32_t> LEAD_IN:
                self.sense(ILLEGAL_REQUEST, BAD_ADDRESS, 0)
                return
            first -= LEAD_IN
        if kind not in (0, 2):
            self.sense(ILLEGAL_REQUEST, BAD_MODE, 0)
        else:
            self.read(first, count, parts)

    cdef int read_block(self, uint8_t *to) noexcept nogil:
        """The wanted parts of the next block: 0 or an errno."""
        cdef uint8_t user[USER_DATA]
        cdef int error = self.disk.read(<uint64_t> self.lba * RATIO, RATIO, user)
        if error == 0:
            put_sector(self.parts, self.lba, user, to)
        return error

    cdef void fetch(self) noexcept nogil:
        """Fill the buffer with the next blocks of the disc."""
        cdef uint32_t size = <uint32_t> parts_size(self.parts)
        cdef uint32_t count = min(self.left, <uint32_t> min(BUFFER // size, <uint32_t> BUFFER // USER_DATA))
        cdef uint32_t good = 0
        if not self.loaded():
            self.no_disc()
            return
        if self.parts == PART_USER and self.disk.read(<uint64_t> self.lba * RATIO, count * RATIO, self.buffer) == 0:
            good = count
            self.lba += count
        while good < count and self.read_block(self.buffer + good * size) == 0:
            good += 1
            self.lba += 1
        if good == 0:
            self.located = True
            self.place = self.lba
            self.sense(MEDIUM_ERROR, UNREADABLE, 0)
            return
        self.left -= good
        self.position = 0
        self.filled = good * size
        self.pass_on()

    # The tray, events and power.

    cdef void start_stop(self) noexcept nogil:
        cdef uint8_t condition = self.packet[4] >> 4
        cdef bint load_or_eject = self.packet[4] & 0x02
        cdef bint start = self.packet[4] & 0x01
        if condition:                               # then the other bits are not looked at
            if condition not in (POWER_ACTIVE, POWER_IDLE, POWER_STANDBY, POWER_SLEEP):
                self.sense(ILLEGAL_REQUEST, BAD_FIELD, 0)
                return
            if condition != POWER_SLEEP:
                self.set_power(condition)
            self.finished()
            self.sleeping = condition == POWER_SLEEP
            return
        if load_or_eject and not start:
            if self.locked:
                self.sense(ILLEGAL_REQUEST, LOCKED, 2)
                return
            self.eject()
        elif load_or_eject and self.open_tray:
            self.close_tray()
        self.finished()

    cdef void set_power(self, uint8_t state) noexcept nogil:
        self.power_event = self.power_event or self.power != state
        self.power = state

    cdef void prevent_allow(self) noexcept nogil:
        cdef uint8_t which = PERSISTENT if self.packet[4] & 0x02 else PREVENTED
        if self.packet[4] & 0x01:
            self.locked |= which
        else:
            self.locked &= ~which
        self.finished()

    cdef void event_status(self) noexcept nogil:
        """GET EVENT STATUS NOTIFICATION: the most urgent event of the wanted classes, or that the first has none."""
        cdef uint8_t wanted = self.packet[4] & CLASSES
        cdef uint32_t allocated = number_of(self.packet, 7, 2)
        cdef uint8_t *event = self.buffer + 4
        cdef int told = 0
        if not self.packet[1] & 0x01:           # only polled
            self.sense(ILLEGAL_REQUEST, BAD_FIELD, 0)
            return
        if self.power_event and wanted & 1 << POWER:
            told = POWER
        elif self.media_event and wanted & 1 << MEDIA:
            told = MEDIA
        else:
            while wanted and not wanted & 1 << told:
                told += 1
        if told == POWER:
            event[0] = POWER_CHANGED if self.power_event else 0
            event[1] = self.power
        elif told == MEDIA:
            event[0] = self.media_event
            event[1] = self.open_tray | (self.disk.sectors > 0 and not self.open_tray) << 1
        if allocated > 4:                       # what the host does not take has not been told
            self.power_event = self.power_event and told != POWER
            self.media_event = 0 if told == MEDIA else self.media_event
        self.buffer[1] = 6 if told else 2       # bytes that follow
        self.buffer[2] = told if told else 0x80     # 80h: none of the wanted classes is there
        self.buffer[3] = CLASSES
        self.reply(8 if told else 4, allocated)

    # MODE SELECT.

    cdef void mode_select(self) noexcept nogil:
        cdef uint32_t size = number_of(self.packet, 7, 2)
        if not self.packet[1] & 0x10 or self.packet[1] & 0x01:      # pages as of SPC-2; nothing can be saved
            self.sense(ILLEGAL_REQUEST, BAD_FIELD, 0)
        elif size == 0:
            self.finished()
        else:
            self.position = 0
            self.odd = size & 1
            self.filled = size + self.odd
            self.ask()

    cdef void take_modes(self) noexcept nogil:
        """The parameter list is in the buffer."""
        cdef int got = replies.modes_of(self.buffer, self.filled - self.odd, self.retries, self.locked != 0, self.speed)
        if got < 0:
            self.sense(ILLEGAL_REQUEST, <uint8_t> (-got), 0)
        else:
            self.retries = <uint8_t> got
            self.finished()

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
        self.put_word(82, 0x4218)           # NOP, DEVICE RESET, PACKET, power management
        self.put_word(83, 0x4000)
        self.put_word(84, 0x4000)
        self.put_word(85, 0x4218)
        self.put_word(87, 0x4000)
        self.put_checksum()
        memset(self.packet, 0, PACKET_SIZE)
        self.odd = False
        self.filled = SECTOR
        self.offer(SECTOR)

    cdef declare(self, Fields fields):
        IdeDrive.declare(self, fields)
        fields.u8s("packet", self.packet, PACKET_SIZE)
        fields.u32("limit", &self.limit, 0xFFFF)
        fields.flag("odd", &self.odd)
        fields.u32("lba", &self.lba)
        fields.u32("left", &self.left)
        fields.u8("parts", &self.parts, PART_BITS)
        fields.u8("key", &self.key, 0xF)
        fields.u8("asc", &self.asc)
        fields.u8("ascq", &self.ascq)
        fields.flag("located", &self.located)
        fields.u32("place", &self.place)
        fields.u8("attention", &self.attention, AFTER_RESET | AFTER_CHANGE)
        fields.u8("media_event", &self.media_event, 3)
        fields.flag("power_event", &self.power_event)
        fields.u8("power", &self.power, 3)
        fields.u8("locked", &self.locked, PREVENTED | PERSISTENT)
        fields.flag("open_tray", &self.open_tray)
        fields.u8("retries", &self.retries)
        fields.u16("speed", &self.speed)

    cdef consistent(self, dict record):
        IdeDrive.consistent(self, record)
        phase, filled, end = (record[field] for field in ("phase", "filled", "block_end"))
        if record["lba"] + record["left"] > self.blocks():
            raise StateError(f"{self.name}: blocks {record['lba']} and {record['left']} more are not all on the disc")
        size = parts_size(record["parts"])
        if size <= 0 or record["power"] == 0:
            raise StateError(f"{self.name}: parts {record['parts']:#x} or power {record['power']} cannot be")
        strange = {DATA_IN: record["left"] and filled % size, DATA_OUT: record["packet"][0] != MODE_SELECT_10,
                   PACKET_OUT: not filled == end == PACKET_SIZE}
        if strange.get(phase):
            raise StateError(f"{self.name}: a block of {filled} bytes fits no command")
