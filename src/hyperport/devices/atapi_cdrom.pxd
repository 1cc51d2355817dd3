# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
from libc.stdint cimport uint8_t, uint16_t, uint32_t
from hyperport.devices.cd_sector cimport USER_DATA
from hyperport.devices.ide_drive cimport IdeDrive
from hyperport.host.disk cimport SECTOR

cdef enum:
    PACKET_SIZE = 12
    RATIO = USER_DATA // SECTOR     # sectors of the image in a block
    DMA_OR_OVERLAP = 0x03           # PACKET: features that are not there
    FEATURE_TRANSFER_MODE = 0x03    # SET FEATURES
    RESTING = 0x00                  # CHECK POWER MODE
    AWAKE = 0xFF
    MOST_COUNT = 0xFFFE             # of a byte count

cdef enum Code:                     # ATA/ATAPI-6, clause 8
    NOP = 0x00                      # always aborted
    DEVICE_RESET = 0x08
    READ_SECTORS = 0x20             # aborted, and shows the signature
    PACKET = 0xA0
    IDENTIFY_PACKET_DEVICE = 0xA1
    STANDBY_IMMEDIATE = 0xE0
    IDLE_IMMEDIATE = 0xE1
    CHECK_POWER_MODE = 0xE5
    SLEEP = 0xE6
    IDENTIFY_DEVICE = 0xEC          # aborted, and shows the signature
    SET_FEATURES = 0xEF

cdef enum Reason:                   # interrupt reason, clause 7.12
    TO_COMMAND = 0x01               # 1: the command packet, or the end; 0: data
    TO_HOST = 0x02

cdef enum Packet:                   # the first byte of a packet (MMC-3, clause 6; SPC-2, clause 7)
    TEST_UNIT_READY = 0x00
    REQUEST_SENSE = 0x03
    INQUIRY = 0x12
    START_STOP_UNIT = 0x1B
    PREVENT_ALLOW = 0x1E
    READ_CAPACITY = 0x25
    READ_10 = 0x28
    SEEK_10 = 0x2B
    READ_SUB_CHANNEL = 0x42
    READ_TOC = 0x43
    READ_HEADER = 0x44
    GET_CONFIGURATION = 0x46
    GET_EVENT_STATUS = 0x4A
    READ_DISC_INFORMATION = 0x51
    READ_TRACK_INFORMATION = 0x52
    MODE_SELECT_10 = 0x55
    MODE_SENSE_10 = 0x5A
    READ_12 = 0xA8
    READ_CD_MSF = 0xB9
    SET_CD_SPEED = 0xBB
    MECHANISM_STATUS = 0xBD
    READ_CD = 0xBE

cdef enum Need:
    KNOWN = 0x01
    DISC = 0x02                     # fails without a disc
    ANY_TIME = 0x04                 # UNIT ATTENTION does not stop it

cdef enum Sense:                    # key; additional code; where it is not 0, the qualifier
    NOT_READY = 2
    MEDIUM_ERROR = 3
    ILLEGAL_REQUEST = 5
    UNIT_ATTENTION = 6
    UNREADABLE = 0x11
    BAD_OPERATION = 0x20            # invalid command operation code
    BAD_ADDRESS = 0x21              # logical block address out of range
    BAD_FIELD = 0x24                # invalid field in the packet
    NEW_MEDIUM = 0x28               # not ready to ready change
    WAS_RESET = 0x29
    NOTHING_SAVED = 0x39            # saving parameters not supported
    NO_MEDIUM = 0x3A
    TRAY_CLOSED = 1                 # qualifiers of it
    TRAY_OPEN = 2
    LOCKED = 0x53                   # with qualifier 2: removal is prevented
    BAD_MODE = 0x64                 # illegal mode for this track

cdef enum Attention:                # in this order they are told
    AFTER_RESET = 0x01
    AFTER_CHANGE = 0x02

cdef enum Lock:
    PREVENTED = 0x01
    PERSISTENT = 0x02

cdef enum Power:                    # START STOP UNIT's conditions, and events
    POWER_ACTIVE = 1
    POWER_IDLE = 2
    POWER_STANDBY = 3
    POWER_SLEEP = 5

cdef enum Event:                    # GET EVENT STATUS NOTIFICATION: classes, then codes
    OPERATIONAL = 1
    POWER = 2
    MEDIA = 4
    BUSY = 6
    CLASSES = 1 << OPERATIONAL | 1 << POWER | 1 << MEDIA | 1 << BUSY
    POWER_CHANGED = 1
    EJECT_REQUEST = 1
    NEW_DISC = 2
    DISC_REMOVED = 3

cdef class AtapiCdrom(IdeDrive):
    cdef uint8_t packet[PACKET_SIZE]
    cdef uint32_t limit             # bytes of a DRQ block at most, as the host says with PACKET
    cdef bint odd                   # the last byte of the buffer is padding
    cdef uint32_t lba, left         # the next block of the disc, and how many are still to be fetched
    cdef uint8_t parts              # what of each block is wanted (cd_sector.pxd)
    cdef uint8_t key, asc, ascq     # sense data of the last packet command
    cdef bint located               # of a block: its number is
    cdef uint32_t place
    cdef uint8_t attention          # UNIT ATTENTION that waits: bits of Attention
    cdef uint8_t media_event        # that GET EVENT STATUS NOTIFICATION has still to tell
    cdef bint power_event
    cdef uint8_t power              # state of Power
    cdef uint8_t locked             # bits of Lock
    cdef bint open_tray
    cdef uint8_t retries            # of the read error recovery page: kept for the host
    cdef uint16_t speed             # kB/s, as the host wants it
    cdef uint32_t blocks(self) noexcept nogil
    cdef bint loaded(self) noexcept nogil
    cdef void eject(self) noexcept nogil
    cdef void close_tray(self) noexcept nogil
    cdef void perform(self) noexcept nogil
    cdef void answer(self, uint8_t action) noexcept nogil
    cdef void tell(self, int size, uint32_t allocated) noexcept nogil
    cdef void request_sense(self) noexcept nogil
    cdef void sense(self, uint8_t key, uint8_t asc, uint8_t ascq) noexcept nogil
    cdef void no_disc(self) noexcept nogil
    cdef void finished(self) noexcept nogil
    cdef void reply(self, uint32_t size, uint32_t allocated) noexcept nogil
    cdef uint32_t block_size(self) noexcept nogil
    cdef void pass_on(self) noexcept nogil
    cdef void ask(self) noexcept nogil
    cdef void set_byte_count(self, uint32_t bytes) noexcept nogil
    cdef void fetch(self) noexcept nogil
    cdef int read_block(self, uint8_t *to) noexcept nogil
    cdef void read(self, uint32_t first, uint32_t count, uint8_t parts) noexcept nogil
    cdef void read_cd(self) noexcept nogil
    cdef void start_stop(self) noexcept nogil
    cdef void set_power(self, uint8_t state) noexcept nogil
    cdef void prevent_allow(self) noexcept nogil
    cdef void event_status(self) noexcept nogil
    cdef void mode_select(self) noexcept nogil
    cdef void take_modes(self) noexcept nogil
    cdef void identify(self) noexcept nogil
