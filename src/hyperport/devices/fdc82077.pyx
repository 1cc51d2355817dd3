# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
"""82077AA floppy-disk controller in AT mode, ports 3F0h to 3F5h and 3F7h, with two drives (floppy_drive.pyx).

Source: Intel 82077AA datasheet (290166). Registers and commands are named in fdc82077.pxd.

A command goes through phases: its bytes are written to the FIFO (COMMAND), it waits a moment (EXECUTE: no bit says that
the guest may go on), moves data (MOVING), and its result is read (RESULT). Seeks are the exception: they go on beside the
COMMAND phase, and SENSE INTERRUPT STATUS takes what came of them. RQM is set where the guest is to move a byte.

    COMMAND --last byte--> EXECUTE --100 us--> MOVING --TC, last sector or error--> RESULT --last byte read--> COMMAND
    COMMAND --last byte--> RESULT or COMMAND        what needs no drive
    COMMAND --SEEK--> COMMAND, drive busy --100 us--> interrupt

Data moves by DMA: DREQ is high in MOVING, and at DACK sectors pass through the buffer until the terminal count. With
SPECIFY's ND bit the guest moves each byte through the FIFO; there INT says that data waits, and is low for a moment when the
result comes. The drive is quick: nothing overruns, and many sectors take no time beside the 100 us, which are there for drivers
that begin to wait after they have written the last byte.

Transfers begin at sector R and end by TC, else after EOT with "end of cylinder"; MT goes on to the other side. The names in
the result are those of the next sector (table 6-3). The medium's data rate must be the one that DSR or CCR selects.

Where it departs from the chip: where EOT is beyond the track, MT goes on from the track's last sector to the other side, and
from there to the next cylinder. The chip would find no such sector; but SeaBIOS makes EOT of the first sector and the count,
loaders ask it for more than a track, and qemu's controller goes on for any EOT. An implied seek is always done, as qemu does
it: the drive is moved to the cylinder that is asked for. INT and DREQ are gated by DOR bit 3, as on an AT. A drive without a
medium fails at once (missing address mark) instead of waiting for an index pulse. FORMAT keeps the image's geometry: sectors
that are not on it fail. Deleted data is written as ordinary data. Power-on here is what a PC's firmware leaves: out of reset,
DMA and INT on.

Not modelled: FM, sector sizes other than 512, SCAN, gaps, step rates and other times (kept), tape, power-down, precompensation,
overrun, motors (kept), registers A and B of PS/2 mode, which read ones in AT mode.
"""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memset

from hyperport.bus.device cimport PortDevice
from hyperport.devices.floppy_drive cimport FloppyDrive
from hyperport.host.disk cimport SECTOR
from hyperport.lines.dma cimport DmaChannel
from hyperport.lines.irq cimport IrqLine
from hyperport.lines.saved cimport Fields
from hyperport.time.clock cimport Clock, Timer

from hyperport.errors import StateError

cdef uint64_t NEVER = <uint64_t> -1
cdef int64_t MOST_TIME = (<int64_t> 1 << 62) - 1 + (<int64_t> 1 << 62)     # in ns

# Bytes that follow the first one, and which of its bits 7-5 a command may have; -1: no such command.
cdef int[32] FOLLOW = [-1, -1, 8, 2, 1, 8, 8, 1, 0, 8, 1, -1, 8, 5, 0, 2,
                       0, -1, 1, 3, 0, -1, 8, -1, -1, -1, -1, -1, -1, -1, -1, -1]
cdef uint8_t[32] OPTIONS = [0, 0, 0xE0, 0, 0, 0xE0, 0xE0, 0, 0, 0xE0, 0xE0, 0, 0xE0, 0xE0, 0, 0xC0,
                            0, 0, 0, 0, 0x80, 0, 0xE0, 0, 0, 0, 0, 0, 0, 0, 0, 0]


cdef class Fdc82077(PortDevice):
    """irq: INT. drives: A and B; None where there is none. The DMA channel comes by connect(); its DACK is input 0."""

    name = "fdc82077"
    span = 8

    cdef IrqLine irq
    cdef DmaChannel dma
    cdef Clock clock
    cdef Timer command_timer, seek_timer
    cdef list drives
    cdef FloppyDrive nothing        # what answers where there is no drive
    cdef void *units[UNITS]

    cdef uint8_t dor, tdr, rate
    cdef uint8_t step_times, load_time      # of SPECIFY; load_time has the ND bit
    cdef uint8_t config, precompensation, perpendicular
    cdef bint locked
    cdef uint8_t phase
    cdef uint8_t[BYTES] command     # as the guest writes it
    cdef uint32_t written
    cdef uint8_t[BYTES] result
    cdef uint32_t result_at, result_size
    cdef uint8_t[UNITS] at          # the cylinder that the chip believes each drive to be at
    cdef uint8_t seeking            # a bit for each drive whose seek goes on
    cdef uint8_t busy               # and one for each that nobody has sensed yet
    cdef uint8_t ended              # a bit for each unit that SENSE INTERRUPT STATUS has something to tell of
    cdef uint8_t[UNITS] ending      # which is this ST0
    cdef bint interrupts            # INT
    cdef uint8_t[SECTOR] buffer
    cdef uint32_t position, filled
    cdef uint8_t cylinder, head, sector     # of the sector in the buffer, or of the next one
    cdef uint8_t st1, st2
    cdef uint32_t left              # sectors that VERIFY, and IDs that FORMAT, still have to do
    cdef bint terminal              # TC has come

    def __init__(self, Clock clock not None, IrqLine irq=None, drives=(None, None)):
        self.clock = clock
        self.irq = IrqLine() if irq is None else irq
        self.dma = DmaChannel()
        self.drives = list(drives)
        self.nothing = FloppyDrive(0)
        self.nothing.changed = False    # nobody drives the line
        for number in range(UNITS):
            drive = self.drives[number] if number < len(self.drives) else None
            self.units[number] = <void *> self.nothing if drive is None else <void *> drive
        self.command_timer = Timer(clock, self, WHOLE_COMMAND)
        self.seek_timer = Timer(clock, self, SEEKS)
        self.reset()

    def connect(self, DmaChannel dma not None):
        """The channel that data goes through."""
        self.dma = dma

    def reset(self):
        self.dor = DOR_RUNS | DOR_GATE
        self.tdr = self.rate = 0
        self.step_times = self.load_time = self.precompensation = self.perpendicular = 0
        self.config = FIFO_OFF
        self.locked = False
        memset(self.at, 0, UNITS)
        self.stop()
        for drive in self.drives:
            if drive is not None:
                drive.reset()

    cdef void stop(self) noexcept nogil:
        """Nothing goes on any more, and nothing waits."""
        self.phase = COMMAND
        self.written = self.result_at = self.result_size = self.position = self.filled = self.left = 0
        self.seeking = self.busy = self.ended = self.st1 = self.st2 = 0
        self.cylinder = self.head = self.sector = 0
        self.interrupts = self.terminal = False
        memset(self.command, 0, BYTES)
        memset(self.result, 0, BYTES)
        memset(self.buffer, 0, SECTOR)
        memset(self.ending, 0, UNITS)
        self.command_timer.disarm()
        self.seek_timer.disarm()
        self.drive_lines()

    cdef void soft_reset(self) noexcept nogil:
        self.stop()
        self.perpendicular &= ~GAP_BITS
        self.config &= ~(EIS | POLL_OFF)
        if not self.locked:
            self.config = FIFO_OFF
            self.precompensation = 0
        memset(self.at, 0, UNITS)

    cdef void come_out_of_reset(self) noexcept nogil:
        self.ended = 0x0F
        memset(self.ending, POLLED, UNITS)
        self.seek_timer.arm(self.clock.now() + SOON)

    cdef uint32_t io_read(self, uint32_t offset, uint32_t size) noexcept nogil:
        if offset == DOR:
            return self.dor
        if offset == TDR:
            return self.tdr
        if offset == MSR:
            return self.main_status()
        if offset == FIFO:
            return self.take()
        if offset == DIR:
            return DIR_CHANGED if (<FloppyDrive> self.unit(self.dor)).changed else 0
        return 0xFF

    cdef uint32_t main_status(self) noexcept nogil:
        if not self.dor & DOR_RUNS:
            return 0
        if self.phase == COMMAND:
            return MSR_READY | self.busy | (MSR_BUSY if self.written else 0)
        if self.phase == RESULT:
            return MSR_READY | MSR_OUT | MSR_BUSY | self.busy
        if self.phase == MOVING and self.load_time & NO_DMA:
            return MSR_READY | MSR_NO_DMA | MSR_BUSY | self.busy | (MSR_OUT if reads(self.command[0]) else 0)
        return MSR_BUSY | self.busy

    cdef void io_write(self, uint32_t offset, uint32_t size, uint32_t value) noexcept nogil:
        cdef uint8_t byte = <uint8_t> value
        if offset == DOR:
            self.write_dor(byte)
        elif offset == TDR:
            self.tdr = byte & RATE
        elif offset == DSR:
            self.rate = byte & RATE
            if byte & DSR_RESET and self.dor & DOR_RUNS:
                self.soft_reset()
                self.come_out_of_reset()
        elif offset == FIFO:
            self.put(byte)
        elif offset == CCR:
            self.rate = byte & RATE

    cdef void write_dor(self, uint8_t value) noexcept nogil:
        cdef uint8_t before = self.dor
        cdef uint8_t stopped = before & ~value & DOR_MOTORS
        cdef int number
        self.dor = value
        for number in range(2):
            if stopped >> 4 >> number & 1:
                (<FloppyDrive> self.unit(number)).settle()
        if before & ~value & DOR_RUNS:          # held there, it keeps still
            self.soft_reset()
        elif value & ~before & DOR_RUNS:
            self.come_out_of_reset()
        elif (before ^ value) & DOR_GATE:
            self.drive_lines()

    # The FIFO.

    cdef uint8_t take(self) noexcept nogil:
        cdef uint8_t byte = 0
        if self.phase == RESULT:
            byte = self.result[self.result_at]
            if self.result_size == WITH_INTERRUPT:
                self.interrupts = False
                self.drive_lines()
            self.result_at += 1
            if self.result_at >= self.result_size:
                self.phase = COMMAND
                self.result_at = self.result_size = 0
        elif self.phase == MOVING and self.load_time & NO_DMA and reads(self.command[0]):
            byte = self.buffer[self.position]
            self.position += 1
            self.go_on()
        return byte

    cdef void put(self, uint8_t byte) noexcept nogil:
        cdef int follow
        if not self.dor & DOR_RUNS:
            return
        if self.phase == MOVING and self.load_time & NO_DMA and not reads(self.command[0]):
            self.buffer[self.position] = byte
            self.position += 1
            self.go_on()
        elif self.phase == COMMAND:
            self.command[self.written] = byte
            self.written += 1
            follow = FOLLOW[self.command[0] & CODE]
            if follow < 0 or self.command[0] & ~CODE & ~OPTIONS[self.command[0] & CODE]:
                self.answer(INVALID)
            elif self.written > <uint32_t> follow:
                self.obey(self.command[0] & CODE)

    # Commands.

    cdef void obey(self, uint8_t code) noexcept nogil:
        """All bytes of a command are here."""
        cdef int unit = self.command[1] & UNIT
        cdef uint8_t kept
        self.written = 0
        self.result_at = self.result_size = 0
        if code == SPECIFY:
            self.step_times, self.load_time = self.command[1], self.command[2]
        elif code == SENSE_DRIVE:
            self.answer(self.drive_status())
        elif code == RECALIBRATE or code == SEEK:
            self.begin_seek(unit)
        elif code == SENSE_INTERRUPT:
            self.sense_interrupt()
        elif code == DUMP_REGISTERS:
            self.dump()
        elif code == VERSION:
            self.answer(CHIP)
        elif code == PERPENDICULAR:
            kept = PERPENDICULAR_KEPT if self.command[1] & OVERWRITE else GAP_BITS
            self.perpendicular = self.perpendicular & ~kept | self.command[1] & kept
        elif code == CONFIGURE:
            self.config, self.precompensation = self.command[2] & ~0x80, self.command[3]
        elif code == LOCK:
            self.locked = self.command[0] >> 7
            self.answer(<uint8_t> (self.locked << 4))
        else:
            self.phase = EXECUTE
            self.command_timer.arm(self.clock.now() + SOON)

    cdef void answer(self, uint8_t byte) noexcept nogil:
        """A result byte, without an interrupt."""
        self.phase = RESULT
        self.written = 0
        self.result[self.result_size] = byte
        self.result_size += 1

    cdef uint8_t drive_status(self) noexcept nogil:
        cdef void *drive = self.unit(self.command[1])
        return (ALWAYS | self.command[1] & (HEAD | UNIT)
                | (AT_TRACK_0 if (<FloppyDrive> drive).kind and (<FloppyDrive> drive).cylinder == 0 else 0)
                | (PROTECTED if (<FloppyDrive> drive).loaded() and not (<FloppyDrive> drive).disk.writable else 0))

    cdef void dump(self) noexcept nogil:
        cdef int i
        for i in range(UNITS):
            self.answer(self.at[i])
        self.answer(self.step_times)
        self.answer(self.load_time)
        self.answer(self.command[6])            # EOT of the last command that had one
        self.answer(self.perpendicular | (0x80 if self.locked else 0))
        self.answer(self.config)
        self.answer(self.precompensation)

    cdef void sense_interrupt(self) noexcept nogil:
        cdef int unit
        for unit in range(UNITS):
            if self.ended >> unit & 1:
                break
        else:
            self.answer(INVALID)
            return
        self.ended &= ~(1 << unit)
        self.busy &= ~(1 << unit)
        self.answer(self.ending[unit] | <uint8_t> unit)
        self.answer(self.at[unit])
        self.interrupts = False
        self.drive_lines()
        for unit in range(UNITS):               # another drive's seek has ended, too
            if self.ended >> unit & 1 and self.ending[unit] != POLLED:
                self.interrupts = True
        self.drive_lines()

    cdef void begin_seek(self, int unit) noexcept nogil:
        """The heads move at once; the chip tells of it later."""
        cdef void *drive = self.unit(unit)
        cdef int here = self.at[unit], target
        cdef uint8_t ending = SEEK_END
        if self.command[0] & CODE == RECALIBRATE:
            (<FloppyDrive> drive).step_to(max(0, (<FloppyDrive> drive).cylinder - RECALIBRATION))
            if not (<FloppyDrive> drive).kind or (<FloppyDrive> drive).cylinder:
                ending |= ABNORMAL | NO_TRACK_0
            self.at[unit] = 0
        else:
            target = self.command[2]
            if self.command[0] & RELATIVE:
                target = here + target if self.command[0] & INWARD else here - target
            if (<FloppyDrive> drive).kind:
                (<FloppyDrive> drive).step_to((<FloppyDrive> drive).cylinder + target - here)
            self.at[unit] = <uint8_t> target
            ending |= self.command[1] & HEAD
        self.ending[unit] = ending
        self.ended &= ~(1 << unit)
        self.seeking |= 1 << unit
        self.busy |= 1 << unit
        self.seek_timer.arm(self.clock.now() + SOON)

    cdef void on_timer(self, int number) noexcept nogil:
        if number == SEEKS:
            self.ended |= self.seeking
            self.seeking = 0
            self.interrupts = True
            self.drive_lines()
        elif self.phase == EXECUTE:
            self.execute(self.command[0] & CODE)

    cdef void execute(self, uint8_t code) noexcept nogil:
        """A command that needs the medium."""
        cdef void *drive = self.unit(self.command[1])
        cdef uint32_t passing
        self.st1 = self.st2 = 0
        self.terminal = False
        self.position = self.filled = self.left = 0
        self.cylinder, self.head, self.sector = self.command[2], self.command[3], self.command[4]
        if code == FORMAT or code == READ_ID:
            self.cylinder = <uint8_t> ((<FloppyDrive> drive).cylinder // (<FloppyDrive> drive).stretch())
            self.head = self.command[1] >> 2 & 1
            self.sector = 1
            self.left = self.command[3]
        elif code == READ_TRACK:
            self.sector = 1
        elif code == VERIFY:
            self.left = self.command[8] if self.command[1] & COUNTED else 0
        if not (<FloppyDrive> drive).loaded() or (<FloppyDrive> drive).rate != self.rate:
            self.finish(ABNORMAL, MISSING_MARK, 0)
        elif code == READ_ID:
            passing = (<FloppyDrive> drive).passing()
            self.sector = <uint8_t> passing
            self.finish(0 if passing else ABNORMAL, 0 if passing else MISSING_MARK, 0)
        elif writes(self.command[0]) and not (<FloppyDrive> drive).disk.writable:
            self.finish(ABNORMAL, NOT_WRITABLE, 0)
        elif code == FORMAT and (self.command[2] != SIZE_512 or not self.left):
            self.finish(ABNORMAL, MISSING_MARK, 0)
        elif code != FORMAT and self.command[5] != SIZE_512:
            self.finish(ABNORMAL, NO_DATA, 0)
        elif code == READ_DELETED and self.command[0] & SKIP:
            self.finish(ABNORMAL, NO_DATA, 0)
        else:
            self.phase = MOVING
            self.run()

    cdef void run(self) noexcept nogil:
        """Begin to move data."""
        cdef uint32_t most = MOST_BLOCKS
        self.next_block()
        if self.command[0] & CODE == VERIFY:
            while self.phase == MOVING and most:
                most -= 1
                self.position = self.filled
                self.block_moved()
        if self.phase == MOVING:
            self.interrupts = self.load_time & NO_DMA
            self.drive_lines()

    cdef void go_on(self) noexcept nogil:
        """A byte has gone through the FIFO."""
        if self.position >= self.filled:
            self.block_moved()

    cdef void on_line(self, int number, int level) noexcept nogil:
        """DACK: move until TC, or until there is nothing left to move."""
        cdef uint32_t moved, most = MOST_BLOCKS
        if not level:
            return
        while self.phase == MOVING and not self.load_time & NO_DMA and most:
            moved = self.dma.move(self.buffer + self.position, self.filled - self.position, reads(self.command[0]))
            self.position += moved
            if self.dma.terminal:
                self.terminal = True
                self.block_moved()
            elif self.position >= self.filled:
                most -= 1
                self.block_moved()
            else:
                return
        self.drive_lines()

    cdef void next_block(self) noexcept nogil:
        """Have the next sector in the buffer, or room for one, or (FORMAT) room for its ID."""
        cdef void *drive = self.unit(self.command[1])
        cdef uint8_t code = self.command[0] & CODE
        cdef int64_t number
        self.position = 0
        if code == FORMAT:
            self.filled = SECTOR_ID
            return
        self.filled = SECTOR
        number = (<FloppyDrive> drive).find(self.cylinder, self.head, self.sector)
        if number < 0:
            self.finish(ABNORMAL, NO_DATA, 0)
            return
        if (<FloppyDrive> drive).step_to(<int> (self.cylinder * (<FloppyDrive> drive).stretch())):
            self.at[self.command[1] & UNIT] = (<FloppyDrive> drive).cylinder
        if not writes(self.command[0]) and (<FloppyDrive> drive).load_sector(number, self.buffer):
            self.finish(ABNORMAL, DATA_ERROR, DATA_FIELD)

    cdef void block_moved(self) noexcept nogil:
        """The buffer is done with, or TC has come in the middle of it."""
        cdef void *drive = self.unit(self.command[1])
        cdef uint8_t code = self.command[0] & CODE
        cdef uint8_t error = 0 if code == VERIFY and not self.command[1] & COUNTED else ABNORMAL
        if code == FORMAT:
            self.format_sector(drive)
            return
        if writes(self.command[0]):
            memset(self.buffer + self.position, 0, SECTOR - self.position)      # what TC has cut off is zeros
            if (<FloppyDrive> drive).store_sector((<FloppyDrive> drive).find(self.cylinder, self.head, self.sector), self.buffer):
                self.finish(ABNORMAL, DATA_ERROR, 0)
                return
        if code == READ_DELETED:
            self.advance()
            self.finish(0, 0, CONTROL_MARK)
        elif self.terminal or code == VERIFY and self.command[1] & COUNTED and self.left == 1:
            self.advance()
            self.finish(0, 0, 0)
        elif not self.advance():
            self.finish(error, END_OF_CYLINDER if error else 0, 0)
        else:
            self.left -= self.left > 0
            self.next_block()

    cdef void format_sector(self, void *drive) noexcept nogil:
        """A sector's ID has come: fill that sector."""
        cdef int64_t number
        if self.position == SECTOR_ID:
            self.cylinder, self.head, self.sector = self.buffer[0], self.buffer[1], self.buffer[2]
            number = (<FloppyDrive> drive).find(self.cylinder, self.head, self.sector)
            if number < 0 or self.buffer[3] != SIZE_512:
                self.finish(ABNORMAL, MISSING_MARK, 0)
                return
            memset(self.buffer, self.command[5], SECTOR)
            if (<FloppyDrive> drive).store_sector(number, self.buffer):
                self.finish(ABNORMAL, DATA_ERROR, 0)
                return
            self.left -= 1
        if self.terminal or not self.left:
            self.finish(0, 0, 0)
        else:
            self.next_block()

    cdef bint advance(self) noexcept nogil:
        """Go on to the ID of the next sector; False at the end of what this command covers."""
        cdef uint32_t last = (<FloppyDrive> self.unit(self.command[1])).sectors
        cdef bint over = self.command[6] > last and self.command[0] & MULTI_TRACK and self.sector == last
        if self.sector != self.command[6] and not over:
            self.sector = <uint8_t> (self.sector + 1)
            return True
        self.sector = 1
        if self.command[0] & MULTI_TRACK:
            self.head ^= 1
            if self.head & 1:
                return True
        self.cylinder = <uint8_t> (self.cylinder + 1)
        return over

    cdef void finish(self, uint8_t st0, uint8_t st1, uint8_t st2) noexcept nogil:
        """To the result phase, with INT."""
        cdef uint8_t where = self.command[1] & (HEAD | UNIT)
        self.interrupts = False
        self.drive_lines()                      # without DMA it was high: the result has an edge of its own
        self.result_at = self.result_size = 0
        self.answer(st0 | where & ~HEAD | (self.head & 1) << 2)
        self.answer(self.st1 | st1)
        self.answer(self.st2 | st2)
        self.answer(self.cylinder)
        self.answer(self.head)
        self.answer(self.sector)
        self.answer(SIZE_512 if self.command[0] & CODE in (FORMAT, READ_ID) else self.command[5])
        self.interrupts = True
        self.drive_lines()

    cdef void *unit(self, uint32_t number) noexcept nogil:
        """The FloppyDrive of that number."""
        return self.units[number & UNIT]

    cdef void drive_lines(self) noexcept nogil:
        self.irq.drive(self.interrupts and self.dor & DOR_GATE)
        self.dma.dreq.drive(self.wants_dma())

    cdef bint wants_dma(self) noexcept nogil:
        return (self.phase == MOVING and not self.load_time & NO_DMA and self.command[0] & CODE != VERIFY
                and self.dor & DOR_GATE)

    # Saved state.

    cdef declare(self, Fields fields):
        fields.u8("dor", &self.dor)
        fields.u8("tdr", &self.tdr, RATE)
        fields.u8("rate", &self.rate, RATE)
        fields.u8("step_times", &self.step_times)
        fields.u8("load_time", &self.load_time)
        fields.u8("config", &self.config, 0x7F)
        fields.u8("precompensation", &self.precompensation)
        fields.u8("perpendicular", &self.perpendicular, PERPENDICULAR_KEPT)
        fields.flag("locked", &self.locked)
        fields.u8("phase", &self.phase, 3)
        fields.u8s("command", self.command, BYTES)
        fields.u32("written", &self.written, 0x0F)
        fields.u8s("result", self.result, BYTES)
        fields.u32("result_at", &self.result_at, 0x0F)
        fields.u32("result_size", &self.result_size, 0x0F)
        fields.u8s("at", self.at, UNITS)
        fields.u8("seeking", &self.seeking, 0x0F)
        fields.u8("busy", &self.busy, 0x0F)
        fields.u8("ended", &self.ended, 0x0F)
        fields.u8s("ending", self.ending, UNITS)
        fields.flag("interrupts", &self.interrupts)
        fields.data("buffer", self.buffer, SECTOR)
        fields.u32("position", &self.position, 0x3FF)
        fields.u32("filled", &self.filled, 0x3FF)
        fields.u8("cylinder", &self.cylinder)
        fields.u8("head", &self.head)
        fields.u8("sector", &self.sector)
        fields.u8("st1", &self.st1)
        fields.u8("st2", &self.st2)
        fields.u32("left", &self.left, 0xFF)
        fields.flag("terminal", &self.terminal)
        fields.derived("command_at", MOST_TIME)
        fields.derived("seek_at", MOST_TIME)
        for prefix, drive in zip(("a_", "b_"), self.drives, strict=True):
            if drive is not None:
                fields.part(prefix, drive)

    cdef dict derived(self):
        return {"command_at": 0 if self.command_timer.deadline == NEVER else self.command_timer.deadline,
                "seek_at": 0 if self.seek_timer.deadline == NEVER else self.seek_timer.deadline}

    cdef consistent(self, dict record):
        cdef int code = record["command"][0] & CODE, follow = FOLLOW[code]
        phase, written, at, size = (record[name] for name in ("phase", "written", "result_at", "result_size"))
        position, filled = record["position"], record["filled"]
        medium = follow == 8 or code == FORMAT or code == READ_ID
        block = SECTOR_ID if code == FORMAT else SECTOR
        if not (
            (written == 0 or phase == COMMAND and written <= follow)
            and (at < size if phase == RESULT else at == size == 0)
            and (medium or phase not in (EXECUTE, MOVING))
            and (position < filled == block if phase == MOVING else position <= filled <= SECTOR)
            and (phase == EXECUTE) == (record["command_at"] > 0)
            and (record["seeking"] == 0 or record["seek_at"] > 0)
        ):
            raise StateError(f"{self.name}: the fields of phase {phase} contradict each other")

    cdef after_load(self, dict record):
        self.command_timer.disarm()
        self.seek_timer.disarm()
        if record["command_at"]:
            self.command_timer.arm(record["command_at"])
        if record["seek_at"]:
            self.seek_timer.arm(record["seek_at"])
        self.dma.dreq.level = self.wants_dma()      # told to nobody: what it asks for was granted before the save
        self.drive_lines()
