# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
"""One IDE channel: the registers that two drives share, selection, soft reset and the INTRQ line.

Clauses are those of ATA/ATAPI-6 (INCITS 361-2002). The drives: ata_drive.pyx, atapi_cdrom.pyx; what they have in
common, with the way of a command and its data: ide_drive.pyx.

- A write to a register goes to both drives; the device register's bit 4 selects the one that takes commands and data,
  is read, and drives INTRQ. INTRQ of the other one waits until it is selected (clause 7.7).
- Each register is two deep, for addresses of 48 bits: a write pushes the old value down, HOB in the device control
  register lets it be read, and any write to a command block register clears HOB (clause 9.15).
- A drive that is absent, beside a first one that is there: the first one answers for it, with a status of 0, and takes
  no commands for it (clause 9.16.1). Where no drive answers, the bus floats, all ones but for bit 7, which each host
  pulls down (clause 5.2.6): so a driver sees a device that is not busy and keeps nothing it is told, and gives up.
- SRST holds both drives in BSY. When it goes, they show their signature: no time passes.
- The data port moves words. A doubleword is two of them; a byte is the lower half of one.

String accesses to the data port go straight between the guest's memory and the drive's buffer.
"""

cimport cython
from libc.stdint cimport uint8_t, uint16_t, uint32_t
from libc.string cimport memset

from hyperport.bus.attributes cimport postable
from hyperport.bus.device cimport PortDevice
from hyperport.lines.irq cimport IrqLine
from hyperport.lines.saved cimport Fields
from hyperport.devices.ide_drive cimport (
    BSY, COMMAND, COUNT, DATA, DEVICE, ERROR, FEATURES, IDLE, LBA_HIGH, LBA_LOW, LBA_MID, SECOND, STATUS, IdeDrive)

from hyperport.errors import StateError

cdef enum:
    CONTROL = 8             # write: device control; read: alternate status, which leaves INTRQ alone
    FLOATING = 0x7F
    CHUNK = 16384           # elements that are moved at once
    BYTES = 256             # and as bytes, of each of which the drive moves a word
    EXECUTE_DEVICE_DIAGNOSTIC = 0x90

cdef enum Control:          # clause 7.8
    NIEN = 0x02             # INTRQ is not driven
    SRST = 0x04             # software reset, while it is set
    HOB = 0x80              # read the value written before the last
    CONTROL_BITS = NIEN | SRST | HOB

PREFIXES = ("first_", "second_")    # of the drives' fields


@cython.final
cdef class IdeChannel(PortDevice):
    """irq: INTRQ. first, second: device 0 and device 1, or None. Offsets 0 to 7: command block; 8: control block."""

    name = "ide"
    span = 9
    widths_at = {DATA: (1, 2, 4)}   # the data port's; registers are bytes

    cdef IrqLine irq
    cdef readonly tuple drives
    cdef void *places[2]        # the drives again, without references to count
    cdef int chosen             # which one is selected
    cdef uint8_t control
    cdef bint waits             # a drive has an interrupt to tell of, selected or not

    def __init__(self, IrqLine irq=None, IdeDrive first=None, IdeDrive second=None):
        self.irq = IrqLine() if irq is None else irq
        self.drives = (first, second)
        self.places[0] = NULL if first is None else <void *> first
        self.places[1] = NULL if second is None else <void *> second
        self.reset()

    def reset(self):
        self.control = 0
        self.chosen = 0
        for drive in self.drives:
            if drive is not None:
                drive.reset()
        self.drive_line()

    cdef uint32_t io_read(self, uint32_t offset, uint32_t size) noexcept nogil:
        cdef uint32_t value = 0xFFFFFFFF
        if offset != DATA:
            return self.read_register(offset)
        self.move_in(<uint8_t *> &value, size, 1)
        return value

    cdef void io_write(self, uint32_t offset, uint32_t size, uint32_t value) noexcept nogil:
        if offset == DATA:
            self.move_out(<const uint8_t *> &value, size, 1)
        else:
            self.write_register(offset, <uint8_t> value)

    cdef void io_read_block(self, uint32_t offset, uint32_t size, uint32_t count, uint8_t *data) noexcept nogil:
        if offset == DATA:
            self.move_in(data, size, count)
        elif count:                     # a status that is read again is the same
            memset(data, self.read_register(offset), count)

    cdef void io_write_block(self, uint32_t offset, uint32_t size, uint32_t count, const uint8_t *data) noexcept nogil:
        cdef uint32_t i
        if offset == DATA:
            self.move_out(data, size, count)
            return
        if FEATURES <= offset < DEVICE and count > 2:       # a register is two deep
            data += count - 2
            count = 2
        for i in range(count):
            self.write_register(offset, data[i])

    # Registers.

    cdef uint8_t read_register(self, uint32_t offset) noexcept nogil:
        cdef void *place = self.places[self.chosen]
        cdef int back = 8 if self.control & HOB else 0
        if place == NULL and self.chosen == 1:
            place = self.places[0]
        if place == NULL:
            return FLOATING
        if offset == STATUS or offset == CONTROL:
            return self.read_status(offset == CONTROL)
        if offset == ERROR:
            return (<IdeDrive> place).error
        if offset == COUNT:
            return <uint8_t> ((<IdeDrive> place).count >> back)
        if offset == LBA_LOW:
            return <uint8_t> ((<IdeDrive> place).low >> back)
        if offset == LBA_MID:
            return <uint8_t> ((<IdeDrive> place).mid >> back)
        if offset == LBA_HIGH:
            return <uint8_t> ((<IdeDrive> place).high >> back)
        return (<IdeDrive> place).device

    cdef uint8_t read_status(self, bint alternate) noexcept nogil:
        cdef void *place = self.places[self.chosen]
        if place == NULL:
            return 0
        if self.control & SRST:
            return BSY
        if not alternate:
            (<IdeDrive> place).interrupt = False
            self.drive_line()
        return (<IdeDrive> place).status()

    cdef void write_register(self, uint32_t offset, uint8_t value) noexcept nogil:
        cdef int i
        if offset == CONTROL:
            self.write_control(value)
            return
        if self.control & SRST:
            return
        self.control &= ~HOB
        if offset == COMMAND:
            self.write_command(value)
            return
        for i in range(2):
            if self.places[i] != NULL:
                self.push(<IdeDrive> self.places[i], offset, value)
        if offset == DEVICE:
            self.chosen = 1 if value & SECOND else 0
            self.drive_line()

    cdef inline void push(self, IdeDrive drive, uint32_t offset, uint8_t value) noexcept nogil:
        if offset == FEATURES:
            drive.features = <uint16_t> (drive.features << 8 | value)
        elif offset == COUNT:
            drive.count = <uint16_t> (drive.count << 8 | value)
        elif offset == LBA_LOW:
            drive.low = <uint16_t> (drive.low << 8 | value)
        elif offset == LBA_MID:
            drive.mid = <uint16_t> (drive.mid << 8 | value)
        elif offset == LBA_HIGH:
            drive.high = <uint16_t> (drive.high << 8 | value)
        elif offset == DEVICE:
            drive.device = value

    cdef void write_command(self, uint8_t code) noexcept nogil:
        cdef void *place = self.places[self.chosen]
        if code == EXECUTE_DEVICE_DIAGNOSTIC:   # both perform it, and device 0 answers (clause 8.9)
            self.show_signatures(False)
            place = self.places[0] if self.places[0] != NULL else self.places[1]
            if place != NULL:
                (<IdeDrive> place).interrupt = not (<IdeDrive> place).sleeping
        elif place != NULL:
            (<IdeDrive> place).command(code)
        self.drive_line()

    cdef void write_control(self, uint8_t value) noexcept nogil:
        cdef uint8_t before = self.control
        cdef int i
        self.control = value & CONTROL_BITS
        if self.control & SRST and not before & SRST:
            for i in range(2):
                if self.places[i] != NULL:
                    (<IdeDrive> self.places[i]).stop()
                    (<IdeDrive> self.places[i]).interrupt = False
        elif before & SRST and not self.control & SRST:
            self.show_signatures(True)
        self.drive_line()

    cdef void show_signatures(self, bint wake) noexcept nogil:
        """A drive that sleeps hears a reset, but no command."""
        cdef int i
        for i in range(2):
            if self.places[i] != NULL and (wake or not (<IdeDrive> self.places[i]).sleeping):
                (<IdeDrive> self.places[i]).signature()
        self.chosen = 0

    cdef void drive_line(self) noexcept nogil:
        cdef void *place = self.places[self.chosen]
        cdef bint waits = self.waits
        self.waits = ((self.places[0] != NULL and (<IdeDrive> self.places[0]).interrupt)
                      or (self.places[1] != NULL and (<IdeDrive> self.places[1]).interrupt))
        self.irq.drive(place != NULL and not self.control & NIEN and (<IdeDrive> place).interrupt)
        if self.waits != waits:
            self.publish(DEVICE)

    cdef uint32_t attributes(self, uint32_t offset) noexcept nogil:
        """A command's registers are read when it comes. Selection can move INTRQ while a drive has something to tell."""
        return postable(1) if FEATURES <= offset <= LBA_HIGH or offset == DEVICE and not self.waits else 0

    # The data port.

    cdef void move_in(self, uint8_t *data, uint32_t size, uint32_t count) noexcept nogil:
        cdef void *place = self.places[self.chosen]
        cdef uint32_t part, i
        cdef uint8_t words[2 * BYTES]
        while count:
            part = min(count, <uint32_t> (BYTES if size == 1 else CHUNK))
            if place == NULL:
                memset(data, 0xFF, part * size)
            elif size == 1:
                (<IdeDrive> place).take(words, 2 * part)
                for i in range(part):
                    data[i] = words[2 * i]
            else:
                (<IdeDrive> place).take(data, part * size)
            data += part * size
            count -= part
        self.drive_line()

    cdef void move_out(self, const uint8_t *data, uint32_t size, uint32_t count) noexcept nogil:
        cdef void *place = self.places[self.chosen]
        cdef uint32_t part, i
        cdef uint8_t words[2 * BYTES]
        if place == NULL:
            return
        memset(words, 0, sizeof(words))
        while count:
            part = min(count, <uint32_t> (BYTES if size == 1 else CHUNK))
            if size == 1:
                for i in range(part):
                    words[2 * i] = data[i]
                (<IdeDrive> place).put(words, 2 * part)
            else:
                (<IdeDrive> place).put(data, part * size)
            data += part * size
            count -= part
        self.drive_line()

    # Saved state: the channel's own, and each drive's fields with a prefix.

    cdef declare(self, Fields fields):
        fields.u8("control", &self.control, CONTROL_BITS)
        fields.number("chosen", &self.chosen, 1)
        for prefix, drive in zip(PREFIXES, self.drives, strict=True):
            if drive is not None:
                fields.part(prefix, drive)

    cdef consistent(self, dict record):
        if record["control"] & SRST and any(record.get(f"{prefix}phase", IDLE) != IDLE for prefix in PREFIXES):
            raise StateError(f"{self.name}: a drive in reset moves no data")

    cdef after_load(self, dict record):
        self.drive_line()
