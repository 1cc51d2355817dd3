# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
"""NE2000 network card: a DP8390 with 16 KiB of buffer memory and a station PROM behind one data port.

Source: Novell's NE2000 as its packet drivers and clones have it. Offsets 00h-0Fh are the chip's registers, any access to
10h-17h is one to the data port, a read of 18h-1Fh resets the chip.

The chip has an address space of 64 KiB, of which the card decodes A14. With A14 set there are 16 KiB of RAM, usually
addressed as 4000h-7FFFh; without, the PROM of 32 bytes. The PROM is 8 bits wide and read as words, so each byte stands
there twice: the station address in 00h-0Bh, and 57h from 1Ch on, the sign of a card in a 16-bit slot. Every address that
the guest can cause is masked by this, so it reaches nothing but these.

With DCR.WTS one access of the data port is a word, whatever its width, else a byte; an access wider than that is several,
as on cards with a bridge to 32 bits. A string instruction on the data port is one block here.
"""

cimport cython
from libc.stdint cimport uint8_t, uint16_t, uint32_t
from libc.string cimport memcpy, memset

from hyperport.time.clock cimport Clock
from hyperport.host.packet cimport PacketBackend
from hyperport.lines.irq cimport IrqLine
from hyperport.lines.saved cimport Fields
from hyperport.devices.dp8390 cimport DCR_WTS, Dp8390

from hyperport.errors import ConfigError

cdef enum:
    DATA_PORT = 0x10    # to 0x17
    RESET_PORT = 0x18   # to 0x1F

    RAM_SIZE = 0x4000
    RAM_SELECT = 0x4000     # A14
    PROM_SIZE = 32

# Registers are bytes; the data port and the reset port, of eight ports each, take what lies inside.
WIDTHS_AT = {at: tuple(size for size in (1, 2, 4) if at % 8 + size <= 8) for at in range(DATA_PORT, 2 * DATA_PORT)}


@cython.final
cdef class Ne2000(Dp8390):
    """clock: paces offers to a busy host. irq: the interrupt output. backend: the cable. mac: 6 bytes, the PROM's."""

    name = "ne2000"
    span = 32
    widths_at = WIDTHS_AT

    cdef readonly bytes mac
    cdef uint8_t prom[PROM_SIZE]
    cdef uint8_t ram[RAM_SIZE]

    def __init__(self, Clock clock not None, IrqLine irq=None, PacketBackend backend=None,
                 bytes mac=b"\x02\x68\x70\x00\x00\x01"):
        if len(mac) != 6 or mac[0] & 1:
            raise ConfigError(f"{self.name}: station address {mac.hex(':')}: give 6 bytes, the first one even")
        self.mac = mac
        doubled = bytes(byte for pair in zip(mac, mac) for byte in pair)
        for i, byte in enumerate(doubled + bytes(16) + b"\x57" * 4):
            self.prom[<int> i] = byte
        Dp8390.__init__(self, clock, irq, backend)

    def reset(self):
        memset(self.ram, 0, RAM_SIZE)
        Dp8390.reset(self)

    # Read.

    cdef uint32_t io_read(self, uint32_t offset, uint32_t size) noexcept nogil:
        cdef uint32_t value = 0
        if offset < DATA_PORT:
            return Dp8390.io_read(self, offset, 1)
        self.io_read_block(offset, size, 1, <uint8_t *> &value)
        return value

    cdef void io_read_block(self, uint32_t offset, uint32_t size, uint32_t count, uint8_t *data) noexcept nogil:
        cdef uint8_t word[2]
        cdef uint32_t i
        if offset < DATA_PORT:
            Dp8390.io_read_block(self, offset, 1, count, data)
        elif offset >= RESET_PORT:
            if count:                       # one reset more finds nothing to do
                self.reset_pin()
            memset(data, 0xFF, size * count)
        elif size == 1 and self.dcr & DCR_WTS:
            for i in range(count):
                self.remote_out(word, 2)
                data[i] = word[0]
        else:
            self.remote_out(data, size * count)

    # Write.

    cdef void io_write(self, uint32_t offset, uint32_t size, uint32_t value) noexcept nogil:
        if offset < DATA_PORT:
            Dp8390.io_write(self, offset, 1, value)
        else:
            self.io_write_block(offset, size, 1, <const uint8_t *> &value)

    cdef void io_write_block(self, uint32_t offset, uint32_t size, uint32_t count, const uint8_t *data) noexcept nogil:
        cdef uint8_t word[2]
        cdef uint32_t i
        if offset < DATA_PORT:
            Dp8390.io_write_block(self, offset, 1, count, data)
        elif offset >= RESET_PORT:          # a write only ends the pulse
            return
        elif size == 1 and self.dcr & DCR_WTS:
            word[1] = 0
            for i in range(count):
                word[0] = data[i]
                self.remote_in(word, 2)
        else:
            self.remote_in(data, size * count)

    # Side effects: memory.

    cdef void fetch(self, uint16_t address, uint8_t *data, uint32_t count) noexcept nogil:
        cdef uint32_t chunk, at
        while count:
            if address & RAM_SELECT:
                at = address & (RAM_SIZE - 1)
                chunk = min(count, RAM_SIZE - at)
                memcpy(data, self.ram + at, chunk)
            else:
                at = address & (PROM_SIZE - 1)
                chunk = min(count, PROM_SIZE - at)
                memcpy(data, self.prom + at, chunk)
            data += chunk
            count -= chunk
            address += <uint16_t> chunk

    cdef void store(self, uint16_t address, const uint8_t *data, uint32_t count) noexcept nogil:
        cdef uint32_t chunk, at
        while count:
            at = address & (RAM_SIZE - 1)
            chunk = min(count, RAM_SIZE - at)
            if address & RAM_SELECT:
                memcpy(self.ram + at, data, chunk)
            data += chunk
            count -= chunk
            address += <uint16_t> chunk

    # Save and load.

    cdef declare(self, Fields fields):
        Dp8390.declare(self, fields)
        fields.data("memory", self.ram, RAM_SIZE)

    cdef after_load(self, dict record):
        Dp8390.after_load(self, record)
        self.pull()
