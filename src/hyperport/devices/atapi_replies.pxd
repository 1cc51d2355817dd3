# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
from libc.stdint cimport uint8_t, uint16_t, uint32_t

cdef enum:
    REPLY = 512             # bytes of the room for a reply; no reply here is longer
    REFUSED = -1            # in place of a size: a field of the packet asks for what is not there
    MODE_HEADER = 8
    MODE_PAGES = 5          # in the table of them

    PAGE_ERRORS = 0x01      # read error recovery
    PAGE_DEVICE = 0x0D      # CD device parameters
    PAGE_POWER = 0x1A       # power condition
    PAGE_TIMEOUT = 0x1D     # timeout and protect
    PAGE_CAPABILITIES = 0x2A
    PAGE_ALL = 0x3F

    CURRENT = 0             # kinds of values of MODE SENSE
    CHANGEABLE = 1
    DEFAULTS = 2
    SAVED = 3

    LONGEST_PAGE = 20

    BAD_LIST_LENGTH = 0x1A  # additional sense codes: parameter list length error
    BAD_PARAMETER = 0x26    # invalid field in the parameter list

    RETRIES = 5             # default of the read error recovery page
    FULL_SPEED = 706        # kB/s: 4 times
    SINGLE_SPEED = 176

cdef uint32_t number_of(const uint8_t *packet, int offset, int size) noexcept nogil
cdef void put_number(uint8_t *to, uint32_t value, int size) noexcept nogil
cdef int inquiry(uint8_t *to, const uint8_t *packet) noexcept nogil
cdef int table_of_contents(uint8_t *to, const uint8_t *packet, uint32_t blocks) noexcept nogil
cdef int configuration(uint8_t *to, const uint8_t *packet, bint disc) noexcept nogil
cdef int disc_information(uint8_t *to) noexcept nogil
cdef int track_information(uint8_t *to, const uint8_t *packet, uint32_t blocks) noexcept nogil
cdef int mechanism_status(uint8_t *to, bint open_tray, uint32_t block) noexcept nogil
cdef int block_header(uint8_t *to, const uint8_t *packet) noexcept nogil
cdef int sub_channel(uint8_t *to, const uint8_t *packet, uint32_t block) noexcept nogil
cdef int mode_page(uint8_t *to, uint8_t page, int kind, uint8_t retries, bint locked, uint16_t speed) noexcept nogil
cdef int mode_sense(uint8_t *to, const uint8_t *packet, bint open_tray, uint8_t retries, bint locked,
                    uint16_t speed) noexcept nogil
cdef int modes_of(const uint8_t *data, uint32_t end, uint8_t retries, bint locked, uint16_t speed) noexcept nogil
