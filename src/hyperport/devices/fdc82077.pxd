# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
"""Registers, commands and status bits of the 82077AA, in the order of its datasheet (290166); for fdc82077.pyx alone."""

from libc.stdint cimport uint8_t

cdef enum:
    DOR = 2                 # digital output: offsets are those of the ports from 3F0h on
    TDR = 3                 # tape drive
    MSR = 4                 # main status, read
    DSR = 4                 # data rate select, write
    FIFO = 5
    DIR = 7                 # digital input, read
    CCR = 7                 # configuration control, write

    DOR_RUNS = 0x04         # 0 holds the chip in reset
    DOR_GATE = 0x08         # INT and DREQ get out
    DOR_MOTORS = 0xF0
    DSR_RESET = 0x80        # clears itself
    RATE = 0x03             # of DSR and CCR
    MSR_BUSY = 0x10         # a command is in the chip
    MSR_NO_DMA = 0x20       # MOVING, through the FIFO
    MSR_OUT = 0x40          # the guest is to read
    MSR_READY = 0x80        # the guest may move a byte
    DIR_CHANGED = 0x80

    COMMAND = 0             # phases
    EXECUTE = 1
    MOVING = 2
    RESULT = 3

    READ_TRACK = 0x02       # commands, bits 4-0 of the first byte
    SPECIFY = 0x03
    SENSE_DRIVE = 0x04
    WRITE = 0x05
    READ = 0x06
    RECALIBRATE = 0x07
    SENSE_INTERRUPT = 0x08
    WRITE_DELETED = 0x09
    READ_ID = 0x0A
    READ_DELETED = 0x0C
    FORMAT = 0x0D
    DUMP_REGISTERS = 0x0E
    SEEK = 0x0F             # with bit 7 relative, bit 6 is then the direction
    VERSION = 0x10
    PERPENDICULAR = 0x12
    CONFIGURE = 0x13
    LOCK = 0x14             # bit 7: lock, else unlock
    VERIFY = 0x16
    CODE = 0x1F
    MULTI_TRACK = 0x80
    SKIP = 0x20
    RELATIVE = 0x80
    INWARD = 0x40

    HEAD = 0x04             # second byte
    UNIT = 0x03
    COUNTED = 0x80          # of VERIFY: the last byte is how many sectors

    ABNORMAL = 0x40         # ST0
    INVALID = 0x80
    POLLED = 0xC0           # ready has changed: the reset's four interrupts
    SEEK_END = 0x20
    NO_TRACK_0 = 0x10
    MISSING_MARK = 0x01     # ST1: no name of a sector under the heads
    NOT_WRITABLE = 0x02
    NO_DATA = 0x04          # there is no such sector
    DATA_ERROR = 0x20
    END_OF_CYLINDER = 0x80
    DATA_FIELD = 0x20       # ST2: the error was in the data
    CONTROL_MARK = 0x40     # the mark was the other one
    PROTECTED = 0x40        # ST3
    AT_TRACK_0 = 0x10
    ALWAYS = 0x28           # two sides, ready

    NO_DMA = 0x01           # second byte of SPECIFY
    POLL_OFF = 0x10         # CONFIGURE
    FIFO_OFF = 0x20
    EIS = 0x40
    THRESHOLD = 0x0F
    GAP_BITS = 0x03         # PERPENDICULAR
    PERPENDICULAR_KEPT = 0x3F
    OVERWRITE = 0x80
    CHIP = 0x90             # what VERSION says: with a FIFO
    SIZE_512 = 2            # N
    SECTOR_ID = 4           # bytes of an ID (C, H, R, N), which FORMAT takes for each sector

    UNITS = 4
    BYTES = 16              # of a command or result
    WITH_INTERRUPT = 7      # bytes of the results that INT tells of, and of no others
    MOST_BLOCKS = 0x2000    # more than the sectors of any medium
    RECALIBRATION = 79      # steps at most
    SOON = 100000           # ns
    WHOLE_COMMAND = 0
    SEEKS = 1               # timers


cdef inline bint reads(uint8_t first) noexcept nogil:
    """Whether the data of the command with this first byte goes to the guest."""
    cdef uint8_t code = first & CODE
    return code == READ or code == READ_DELETED or code == READ_TRACK


cdef inline bint writes(uint8_t first) noexcept nogil:
    cdef uint8_t code = first & CODE
    return code == WRITE or code == WRITE_DELETED or code == FORMAT
