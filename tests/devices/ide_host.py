# SPDX-License-Identifier: GPL-2.0-or-later
"""A host's side of an IDE channel, as a driver would do it: select, write registers, wait, move blocks."""

from __future__ import annotations

from typing import Final

from hyperport.devices.ide import IdeChannel
from hyperport.devices.ide_drive import IdeDrive
from hyperport.lines.irq import IrqLine

DATA, ERROR, COUNT, LOW, MID, HIGH, DEVICE, STATUS, CONTROL = range(9)
ERR, DRQ, DSC, DRDY, BSY = 0x01, 0x08, 0x10, 0x40, 0x80
READY: Final = DRDY | DSC
ABRT, IDNF, UNC = 0x04, 0x10, 0x40
NIEN, SRST, HOB = 0x02, 0x04, 0x80
LBA, SECOND = 0x40, 0x10


class Host:
    """A channel with up to two drives, and what its wire says."""

    def __init__(self, first: IdeDrive | None = None, second: IdeDrive | None = None) -> None:
        self.line = IrqLine()
        self.channel = IdeChannel(self.line, first, second)

    def read(self, register: int, size: int = 1) -> int:
        return self.channel.read(register, size)

    def write(self, register: int, value: int, size: int = 1) -> None:
        self.channel.write(register, size, value)

    def status(self) -> int:
        """The status register: an interrupt is taken with it."""
        return self.read(STATUS)

    def command(self, code: int, *, lba: int = 0, count: int = 0, features: int = 0, device: int = LBA) -> int:
        """A command with an address of 28 bits; returns the alternate status."""
        self.write(DEVICE, device | (lba >> 24 & 0xF))
        for register, value in ((ERROR, features), (COUNT, count & 0xFF), (LOW, lba), (MID, lba >> 8)):
            self.write(register, value & 0xFF)
        self.write(HIGH, lba >> 16 & 0xFF)
        self.write(STATUS, code)
        return self.read(CONTROL)

    def command_48(self, code: int, *, lba: int = 0, count: int = 0, device: int = LBA) -> int:
        """A command with an address of 48 bits."""
        self.write(DEVICE, device)
        for shift in (24, 0):
            self.write(COUNT, count >> (8 if shift else 0) & 0xFF)
            for register, place in ((LOW, shift), (MID, shift + 8), (HIGH, shift + 16)):
                self.write(register, lba >> place & 0xFF)
        self.write(STATUS, code)
        return self.read(CONTROL)

    def take(self, size: int, width: int = 2) -> bytes:
        return self.channel.read_block(DATA, width, size // width)

    def give(self, data: bytes, width: int = 2) -> None:
        self.channel.write_block(DATA, width, data)

    def address(self) -> int:
        """The 28-bit address in the registers."""
        low, mid, high, device = (self.read(register) for register in (LOW, MID, HIGH, DEVICE))
        return low | mid << 8 | high << 16 | (device & 0xF) << 24

    def reset(self) -> None:
        self.write(CONTROL, SRST)
        self.write(CONTROL, 0)

    def packet(self, packet: bytes, limit: int = 0xFFFE, device: int = 0) -> bytes:
        """PACKET; all that the drive gives. An error leaves ERR in the status."""
        self.write(DEVICE, device)
        self.write(ERROR, 0)
        self.write(MID, limit & 0xFF)
        self.write(HIGH, limit >> 8)
        self.write(STATUS, 0xA0)
        assert self.read(CONTROL) & (DRQ | BSY | ERR) == DRQ
        assert self.read(COUNT) == 1
        assert not self.line.level
        self.give(packet.ljust(12, b"\0"))
        data = b""
        while self.status() & DRQ:
            assert self.read(COUNT) == 2
            size = self.read(MID) | self.read(HIGH) << 8
            assert 0 < size <= limit
            data += self.take(size + (size & 1))[:size]
            assert self.line.level, "each block and the end have an interrupt"
        assert self.read(COUNT) == 3
        return data
