# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
"""What a CD-ROM drive says about itself and its disc: the replies of MMC-3 that hold no sectors. Used by atapi_cdrom.pyx.

Clauses are those of MMC-3 (INCITS 360-2002), but for INQUIRY and the mode pages' frame, which are SPC-2's. Each
function fills a reply and gives its size, or REFUSED. to: REPLY bytes of zeros. packet: the command's 12 bytes.
Numbers are big-endian. The disc is finished: one session, one track, mode 1, from block 0 to the lead-out.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t
from libc.string cimport memcpy, memset

from hyperport.devices.cd_sector cimport LEAD_IN, msf_of

cdef enum:
    DATA_TRACK = 0x14           # ADR 1: the Q sub-channel has a position; control 4: data
    LEAD_OUT = 0xAA             # the number of the track behind the last one
    NO_STATUS = 0x15            # audio status: there is none
    PROFILE_CDROM = 0x0008

cdef enum TocForm:
    TRACKS = 0
    SESSIONS = 1
    RAW = 2                     # the Q sub-channel of the lead-in; PMA, ATIP and CD-TEXT, 3 to 5, no CD-ROM has

cdef enum Feature:              # clause 5.3
    PERSISTENT = 0x02           # is always there
    CURRENT_NOW = 0x01
    WITH_A_DISC = 0x80          # in this file: current while there is a disc

FEATURES = (  # code, version << 2 | flags, data; the profile CD-ROM wants these (clause 5.4.5)
    (0x0000, PERSISTENT | CURRENT_NOW, b"\x00\x08\x00\x00"),    # profile list: CD-ROM; its bit 16 says "current"
    (0x0001, PERSISTENT | CURRENT_NOW, b"\x00\x00\x00\x02"),    # core: ATAPI
    (0x0002, 1 << 2 | PERSISTENT | CURRENT_NOW, b"\x02\x00\x00\x00"),   # morphing: operational changes are told
    (0x0003, PERSISTENT | CURRENT_NOW, b"\x29\x00\x00\x00"),    # removable medium: a tray, ejects, locks
    (0x0010, WITH_A_DISC, b"\x00\x00\x08\x00\x00\x01\x01\x00"),    # random readable: 2,048 bytes, one by one, page 01h
    (0x001E, 1 << 2 | WITH_A_DISC, b"\x00\x00\x00\x00"),    # CD read: no C2 pointers, no CD-TEXT
    (0x0100, PERSISTENT | CURRENT_NOW, b""),                    # power management
    (0x0105, PERSISTENT | CURRENT_NOW, b""),                    # timeout
)

cdef uint8_t features[REPLY]
cdef uint32_t features_size = 0
for _code, _flags, _data in FEATURES:
    for _byte in (_code >> 8, _code & 0xFF, _flags, len(_data), *_data):
        features[features_size] = _byte
        features_size += 1


cdef uint32_t number_of(const uint8_t *packet, int offset, int size) noexcept nogil:
    cdef uint32_t value = 0
    cdef int i
    for i in range(size):
        value = value << 8 | packet[offset + i]
    return value


cdef void put_number(uint8_t *to, uint32_t value, int size) noexcept nogil:
    cdef int i
    for i in range(size):
        to[i] = <uint8_t> (value >> (8 * (size - 1 - i)))


cdef int inquiry(uint8_t *to, const uint8_t *packet) noexcept nogil:
    """SPC-2, clause 7.3: standard data only; no vital product data and no command support data."""
    if packet[1] & 0x03 or packet[2]:
        return REFUSED
    to[0] = 0x05                # CD-ROM
    to[1] = 0x80                # removable
    to[3] = 0x21                # ATAPI
    to[4] = 31                  # bytes that follow
    memcpy(to + 8, b"HYPRPORT" b"CD-ROM          " b"1.0 ", 28)
    return 36


# The disc.

cdef void put_position(uint8_t *to, uint32_t block, bint time) noexcept nogil:
    put_number(to, msf_of(<unsigned long long> block + LEAD_IN) if time else block, 4)


cdef int put_track(uint8_t *to, uint8_t track, uint32_t block, bint time) noexcept nogil:
    to[1] = DATA_TRACK
    to[2] = track
    put_position(to + 4, block, time)
    return 8


cdef int put_point(uint8_t *to, uint8_t point, uint32_t position) noexcept nogil:
    """An entry of the lead-in: position is PMIN, PSEC, PFRAME."""
    to[0] = 1                   # session
    to[1] = DATA_TRACK
    to[3] = point
    put_number(to + 8, position, 3)
    return 11


cdef int table_of_contents(uint8_t *to, const uint8_t *packet, uint32_t blocks) noexcept nogil:
    """READ TOC/PMA/ATIP. The format may also stand in byte 9, where SFF-8020i had it."""
    cdef bint time = packet[1] & 0x02
    cdef uint8_t form = packet[2] & 0x0F if packet[2] & 0x0F else packet[9] >> 6
    cdef uint8_t first = packet[6]      # track, or session
    cdef int size = 4
    if form == SESSIONS:
        size += put_track(to + size, 1, 0, time)
    elif form == TRACKS and (first <= 1 or first == LEAD_OUT):
        if first <= 1:
            size += put_track(to + size, 1, 0, time)
        size += put_track(to + size, LEAD_OUT, blocks, time)
    elif form == RAW and first <= 1:
        size += put_point(to + size, 0xA0, 1 << 16)     # the first track; disc type 0: data
        size += put_point(to + size, 0xA1, 1 << 16)     # the last track
        size += put_point(to + size, 0xA2, msf_of(<unsigned long long> blocks + LEAD_IN))   # the lead-out
        size += put_point(to + size, 1, msf_of(LEAD_IN))
    else:
        return REFUSED
    put_number(to, size - 2, 2)
    to[2] = to[3] = 1           # first and last track, or session
    return size


cdef int disc_information(uint8_t *to) noexcept nogil:
    to[1] = 32                  # bytes that follow
    to[2] = 0x0E                # last session complete, disc finished
    to[3] = to[4] = to[5] = to[6] = 1       # first track; sessions; first and last track of the last one
    to[7] = 0x20                # unrestricted use
    memset(to + 16, 0xFF, 8)    # no next lead-in, no last possible lead-out
    return 34


cdef int track_information(uint8_t *to, const uint8_t *packet, uint32_t blocks) noexcept nogil:
    cdef uint8_t how = packet[1] & 0x03     # byte 2 to 5 are 0: a block; 1: a track; 2: a session
    cdef uint32_t number = number_of(packet, 2, 4)
    if how == 3 or (how == 0 and number >= blocks) or (how != 0 and number != 1):
        return REFUSED
    to[1] = 34                  # bytes that follow
    to[2] = to[3] = 1           # track, session
    to[5] = 0x04                # data
    to[6] = 0x01                # mode 1
    to[7] = 0x02                # the last recorded address is valid
    put_number(to + 24, blocks, 4)
    put_number(to + 28, blocks - 1, 4)
    return 36


cdef int block_header(uint8_t *to, const uint8_t *packet) noexcept nogil:
    """READ HEADER, of MMC-1."""
    to[0] = 1                   # mode 1
    put_position(to + 4, number_of(packet, 2, 4), packet[1] & 0x02)
    return 8


cdef int sub_channel(uint8_t *to, const uint8_t *packet, uint32_t block) noexcept nogil:
    """READ SUB-CHANNEL. block: where the head is. There is no catalogue number and no ISRC."""
    cdef int size = 4
    to[1] = NO_STATUS
    if packet[2] & 0x40:
        to[4] = packet[3]
        if packet[3] == 1:
            size = 16
            to[5] = DATA_TRACK
            to[6] = to[7] = 1   # track, index
            put_position(to + 8, block, packet[1] & 0x02)
            put_number(to + 12, msf_of(block) if packet[1] & 0x02 else block, 4)   # within the track
        elif packet[3] == 2 or (packet[3] == 3 and packet[6] == 1):
            size = 24
            if packet[3] == 3:
                to[5] = DATA_TRACK
                to[6] = 1
        else:
            return REFUSED
    put_number(to + 2, size - 4, 2)
    return size


# The drive.

cdef int configuration(uint8_t *to, const uint8_t *packet, bint disc) noexcept nogil:
    """GET CONFIGURATION: the features from a number on; all, those that are current, or that one."""
    cdef uint8_t which = packet[1] & 0x03
    cdef uint32_t start = number_of(packet, 2, 2)
    cdef uint32_t at = 0
    cdef uint32_t code, length
    cdef int size = 8
    cdef bint now
    if which == 3:
        return REFUSED
    while at < features_size:
        code = number_of(features + at, 0, 2)
        length = 4 + features[at + 3]
        now = disc if features[at + 2] & WITH_A_DISC else True
        if code == start if which == 2 else code >= start and (now or which == 0):
            memcpy(to + size, features + at, length)
            to[size + 2] = (features[at + 2] & ~(WITH_A_DISC | CURRENT_NOW)) | now
            if code == 0:
                to[size + 6] = disc
            size += length
        at += length
    put_number(to, size - 4, 4)
    put_number(to + 6, PROFILE_CDROM if disc else 0, 2)
    return size


cdef int mechanism_status(uint8_t *to, bint open_tray, uint32_t block) noexcept nogil:
    """No changer: idle, and no slots."""
    to[1] = open_tray << 4
    put_number(to + 2, block, 3)
    return 8


cdef uint8_t pages[MODE_PAGES]
for _at, _page in enumerate((PAGE_ERRORS, PAGE_DEVICE, PAGE_POWER, PAGE_TIMEOUT, PAGE_CAPABILITIES)):
    pages[<int> _at] = _page


cdef int mode_page(uint8_t *to, uint8_t page, int kind, uint8_t retries, bint locked, uint16_t speed) noexcept nogil:
    """One page; its size, 0 if there is none. Of all values only the retry count can be changed."""
    cdef int size
    if page == PAGE_ERRORS:
        size = 12
        to[3] = 0xFF if kind == CHANGEABLE else RETRIES if kind == DEFAULTS else retries
    elif page == PAGE_DEVICE:
        size = 8
        if kind != CHANGEABLE:
            to[5] = 60          # seconds of a minute
            to[7] = 75          # frames of a second
    elif page == PAGE_POWER:
        size = 12               # no timers: the drive rests only when it is told to
    elif page == PAGE_TIMEOUT:
        size = 10               # no timeouts, nothing protected
    elif page == PAGE_CAPABILITIES:
        size = 20
        if kind != CHANGEABLE:
            to[6] = 0x29 | (locked and kind == CURRENT) << 1    # a tray, ejects, locks; is locked
            put_number(to + 8, FULL_SPEED, 2)
            put_number(to + 12, 64, 2)      # KiB of buffer
            put_number(to + 14, FULL_SPEED if kind == DEFAULTS else speed, 2)
    else:
        return 0
    to[0] = page
    to[1] = <uint8_t> (size - 2)
    return size


cdef int mode_sense(uint8_t *to, const uint8_t *packet, bint open_tray, uint8_t retries, bint locked,
                    uint16_t speed) noexcept nogil:
    """MODE SENSE (10): one page, or all. There are no block descriptors, and no saved values."""
    cdef uint8_t wanted = packet[2] & 0x3F
    cdef int kind = packet[2] >> 6
    cdef int size = MODE_HEADER
    cdef int i
    for i in range(MODE_PAGES):
        if wanted in (pages[i], PAGE_ALL):
            size += mode_page(to + size, pages[i], kind, retries, locked, speed)
    if size == MODE_HEADER:
        return REFUSED
    put_number(to, size - 2, 2)
    to[2] = 0x70 if open_tray else 0x01     # medium type: 120 mm, data
    return size


cdef int modes_of(const uint8_t *data, uint32_t end, uint8_t retries, bint locked, uint16_t speed) noexcept nogil:
    """The parameter list of MODE SELECT (10): the new retry count, or the negative additional sense code.

    Whatever cannot be changed must be as it is.
    """
    cdef uint8_t page[LONGEST_PAGE]
    cdef uint8_t can_change[LONGEST_PAGE]
    cdef uint32_t at = MODE_HEADER
    cdef int now = retries
    cdef int i, size
    if end < at:
        return -BAD_LIST_LENGTH
    if number_of(data, 6, 2):           # block descriptors
        return -BAD_PARAMETER
    while at < end:
        memset(page, 0, LONGEST_PAGE)
        memset(can_change, 0, LONGEST_PAGE)
        size = mode_page(page, data[at] & 0x3F, CURRENT, retries, locked, speed)
        mode_page(can_change, data[at] & 0x3F, CHANGEABLE, 0, False, 0)
        if at + 2 > end or at + <uint32_t> size > end:
            return -BAD_LIST_LENGTH
        if size == 0 or data[at + 1] != page[1]:
            return -BAD_PARAMETER
        for i in range(2, size):
            if (data[at + i] ^ page[i]) & ~can_change[i]:
                return -BAD_PARAMETER
        if page[0] == PAGE_ERRORS:
            now = data[at + 3]
        at += <uint32_t> size
    return now
