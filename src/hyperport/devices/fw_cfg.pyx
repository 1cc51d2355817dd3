# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
"""The firmware configuration device of qemu, ports 510h and 511h: what the VMM tells a firmware of the machine.

Source: QEMU, docs/specs/fw_cfg. SeaBIOS, its VGA BIOS, OVMF and guests' own drivers read it.

A word written to 510h selects an item, as a whole and from its first byte; each byte read from 511h is the next one, and
past the end come zeros. Items below 20h are known by their numbers; files have names, in a directory at 19h, sorted, and
numbers from 20h on. Who makes the machine fills it before the run; nothing that the guest does changes an item.

Not modelled: the DMA interface, which the ID item says is not there, and writes to items, which are dropped.
"""

from cpython.bytes cimport PyBytes_AsString
from libc.stdint cimport uint8_t, uint16_t, uint32_t
from libc.string cimport memcpy, memset

from hyperport.bus.device cimport PortDevice
from hyperport.lines.saved cimport Fields

import struct

from hyperport.errors import ConfigError

cdef enum:
    SELECTOR = 0        # port 510h, a word; write only
    DATA = 1            # port 511h, a byte

    SIGNATURE = 0x00    # items
    ID = 0x01
    DIRECTORY = 0x19
    FIRST_FILE = 0x20
    MOST_ITEMS = 0x100
    NUMBER = 0x3FFF     # of a selector; bit 14 was for writes, bit 15 for what belongs to an architecture
    ARCHITECTURE = 0x8000

    TRADITIONAL = 0x01  # ID: these two ports; 2 would be the DMA interface
    NAME = 56           # bytes of a file's name, with the zero behind it

SELECTORS = {
    "signature": 0x00, "id": 0x01, "uuid": 0x02, "ram_size": 0x03, "nographic": 0x04, "nb_cpus": 0x05,
    "machine_id": 0x06, "kernel_addr": 0x07, "boot_device": 0x0C, "numa": 0x0D, "boot_menu": 0x0E, "max_cpus": 0x0F,
    "acpi_tables": 0x8000, "smbios": 0x8001, "irq0_override": 0x8002, "e820_table": 0x8003,
}


cdef class FwCfg(PortDevice):
    """items: by selector. files: by name, as "etc/e820"; a VGA BIOS is "vgaroms/vgabios.bin"."""

    name = "fw-cfg"
    span = 2
    widths_at = {SELECTOR: (2,)}

    cdef dict items, files
    cdef list held                  # the bytes that starts point into
    cdef const uint8_t *starts[2 * MOST_ITEMS]      # by number; those of an architecture in the second half
    cdef uint32_t sizes[2 * MOST_ITEMS]
    cdef uint16_t selected
    cdef uint32_t at

    def __init__(self, items=None, files=None):
        self.items = {SIGNATURE: b"QEMU", ID: struct.pack("<I", TRADITIONAL)} | dict(items or {})
        self.files = dict(files or {})
        self.index()
        self.reset()

    def add(self, str name, bytes data):
        """Another file, or other contents of one, before the run. Raises ConfigError for a name that is too long."""
        if not 0 < len(name.encode()) < NAME:
            raise ConfigError(f"{self.name}: the file name {name!r} is not of 1 to {NAME - 1} bytes")
        if name not in self.files and len(self.files) >= MOST_ITEMS - FIRST_FILE:
            raise ConfigError(f"{self.name}: more than {MOST_ITEMS - FIRST_FILE} files")
        self.files[name] = data
        self.index()

    cdef index(self):
        """Lay out the tables that the guest's accesses go by."""
        names = sorted(self.files)
        directory = struct.pack(">I", len(names))
        everything = dict(self.items)
        for number, name in enumerate(names, FIRST_FILE):
            everything[number] = self.files[name]
            directory += struct.pack(f">IHH{NAME}s", len(self.files[name]), number, 0, name.encode())
        everything[DIRECTORY] = directory
        memset(self.starts, 0, sizeof(self.starts))
        memset(self.sizes, 0, sizeof(self.sizes))
        self.held = list(everything.values())
        for selector, data in everything.items():
            place = (selector & NUMBER) + (MOST_ITEMS if selector & ARCHITECTURE else 0)
            if not 0 <= selector & NUMBER < MOST_ITEMS:
                raise ConfigError(f"{self.name}: there is no item {selector:#x}")
            self.starts[<int> place] = <const uint8_t *> PyBytes_AsString(data)
            self.sizes[<int> place] = <uint32_t> len(data)

    def reset(self):
        self.selected = 0
        self.at = 0

    cdef uint32_t io_read(self, uint32_t offset, uint32_t size) noexcept nogil:
        cdef uint8_t byte = 0
        if offset == DATA:
            self.io_read_block(offset, size, 1, &byte)
            return byte
        return 0

    cdef void io_read_block(self, uint32_t offset, uint32_t size, uint32_t count, uint8_t *data) noexcept nogil:
        cdef uint32_t place = self.selected & NUMBER, there
        memset(data, 0, <size_t> count * size)
        if offset != DATA or place >= MOST_ITEMS:
            return
        place += MOST_ITEMS if self.selected & ARCHITECTURE else 0
        if self.at < self.sizes[place]:
            there = min(count, self.sizes[place] - self.at)
            memcpy(data, self.starts[place] + self.at, there)
            self.at += there

    cdef void io_write(self, uint32_t offset, uint32_t size, uint32_t value) noexcept nogil:
        if offset == SELECTOR:
            self.selected = <uint16_t> value
            self.at = 0

    cdef declare(self, Fields fields):
        fields.u16("selected", &self.selected)
        fields.u32("at", &self.at)
