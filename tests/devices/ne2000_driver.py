# SPDX-License-Identifier: GPL-2.0-or-later
"""A small driver of an NE2000, with a hub behind the card: what the tests program it with."""

from __future__ import annotations

import zlib
from typing import Any

from hyperport.devices.ne2000 import Ne2000
from hyperport.host.packet import Hub, HubPort
from hyperport.lines.irq import IrqLine
from hyperport.time.clock import VirtualClock

MAC = bytes.fromhex("020000abcdef")
OTHER = bytes.fromhex("020000000002")
BROADCAST = b"\xff" * 6
GROUP = bytes.fromhex("01005e000001")

CR, PSTART, PSTOP, BNRY, TPSR, TBCR0, TBCR1, ISR = range(8)
TSR, NCR, FIFO = 4, 5, 6
RSAR0, RSAR1, RBCR0, RBCR1, RCR, TCR, DCR, IMR = range(8, 16)
RSR, CNTR0, CNTR1, CNTR2 = range(12, 16)
CURR, MAR0 = 7, 8
DATA, RESET = 0x10, 0x18

PRX, PTX, RXE, TXE, OVW, CNT, RDC, RST = (1 << bit for bit in range(8))
ROOM = 1024  # frames in an empty backend
FIRST, LAST = 0x46, 0x60  # the ring's pages: 26 of them
SEND_PAGE = 0x40


def frame(to: bytes = MAC, size: int = 60, sender: bytes = OTHER, fill: int = 0) -> bytes:
    """A frame of that size with a pattern in it."""
    return (to + sender + b"\x88\xb5" + bytes((fill + n) & 0xFF for n in range(size)))[:size]


def fcs(data: bytes) -> bytes:
    return zlib.crc32(data).to_bytes(4, "little")


class Driver:
    """A card with a hub behind it, and as much of a driver as the tests need."""

    def __init__(self, *, paced: bool = True, width: int = 2) -> None:
        self.clock = VirtualClock()
        self.hub = Hub()
        self.cable = self.hub.port(paced=paced)
        self.peer: HubPort = self.hub.port()
        self.irq = IrqLine()
        self.card = Ne2000(self.clock, self.irq, self.cable, MAC)
        self.width = width

    def out(self, register: int, *values: int) -> None:
        for value in values:
            self.card.write(register, 1, value)

    def inp(self, register: int, page: int = 0) -> int:
        self.out(CR, page << 6 | 0x22)
        value = self.card.read(register)
        self.out(CR, 0x22)
        return value

    def start(self, *, rcr: int = 0x04, tcr: int = 0, mar: bytes = bytes(8)) -> None:
        self.out(CR, 0x21)
        self.out(DCR, 0x48 | (self.width > 1))
        for register, value in ((RBCR0, 0), (RBCR1, 0), (RCR, rcr), (TCR, 2), (PSTART, FIRST), (PSTOP, LAST)):
            self.out(register, value)
        self.out(BNRY, LAST - 1)
        self.out(ISR, 0xFF)
        self.out(CR, 0x61)
        for place, byte in enumerate(MAC):
            self.out(1 + place, byte)
        for place, byte in enumerate(mar):
            self.out(MAR0 + place, byte)
        self.out(CURR, FIRST)
        self.out(CR, 0x22)
        self.out(TCR, tcr)

    def remote(self, command: int, address: int, count: int) -> None:
        self.out(RBCR0, count & 0xFF)
        self.out(RBCR1, count >> 8)
        self.out(RSAR0, address & 0xFF)
        self.out(RSAR1, address >> 8)
        self.out(CR, command)

    def read(self, address: int, count: int, *, width: int | None = None) -> bytes:
        width = width or self.width
        self.remote(0x0A, address, count)
        return self.card.read_block(DATA, width, -(-count // width))[:count]

    def write(self, address: int, data: bytes) -> None:
        self.remote(0x12, address, len(data))
        self.card.write_block(DATA, self.width, data + bytes(-len(data) % self.width))

    def load_frame(self, data: bytes) -> None:
        self.write(SEND_PAGE << 8, data)
        for register, value in ((TPSR, SEND_PAGE), (TBCR0, len(data) & 0xFF), (TBCR1, len(data) >> 8)):
            self.out(register, value)

    def send(self, data: bytes) -> None:
        self.load_frame(data)
        self.out(CR, 0x26)

    def arrive(self, data: bytes, **how: Any) -> None:
        assert self.cable.deliver(data, **how)
        self.card.receive()

    def packet(self, *, bound: bool = True) -> tuple[int, bytes, bytes]:
        """The next packet of the ring, which is then free: its status, frame and FCS."""
        self.clock.advance(50_000)
        page = self.inp(BNRY) + 1
        page = FIRST if page == LAST else page
        status, following, *count = self.read(page << 8, 4)
        length = count[0] | count[1] << 8
        data = self.read((page << 8) + 4, length)
        if bound:
            self.out(BNRY, LAST - 1 if following == FIRST else following - 1)
        return status, data[:-4], data[-4:]

    def waiting(self) -> bool:
        page = self.inp(BNRY) + 1
        return self.inp(CURR, 1) != (FIRST if page == LAST else page)


def started(**how: Any) -> Driver:
    driver = Driver(paced=how.pop("paced", True), width=how.pop("width", 2))
    driver.start(**how)
    return driver
