# SPDX-License-Identifier: GPL-2.0-or-later
"""The NE2000 as a driver sees it: a small driver of the test's own programs the card through its ports."""

from __future__ import annotations

import zlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hyperport.backends.clock import VirtualClock
from hyperport.backends.packet import Hub, HubPort, PacketBackend, StreamPackets
from hyperport.bus.irq import IrqLine
from hyperport.devices.ne2000 import Ne2000
from hyperport.errors import ConfigError, StateError

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


def test_power_on() -> None:
    driver = Driver()
    assert driver.card.read(CR) == 0x21
    assert driver.card.read(ISR) == RST
    assert driver.irq.level == 0


def test_station_address_has_to_be_one() -> None:
    for mac in (b"", MAC[:5], MAC + b"\0", GROUP):
        with pytest.raises(ConfigError, match="6 bytes"):
            Ne2000(VirtualClock(), mac=mac)


def test_prom_has_each_byte_twice_and_the_sign() -> None:
    driver = Driver(width=1)
    driver.out(DCR, 0x48)
    driver.out(CR, 0x22)
    prom = driver.read(0, 32)
    assert prom[:12] == bytes(byte for byte in MAC for _ in range(2))
    assert prom[28:] == b"\x57" * 4
    assert driver.read(0x3FE0, 64)[:32] == prom, "only A14 tells it from the RAM"


def test_prom_by_words() -> None:
    driver = started()
    words = driver.read(0, 32, width=1)  # one byte access takes a word in word mode
    assert words[:6] == MAC
    assert words[14:16] == b"WW"


def test_a_read_of_the_reset_port_resets() -> None:
    driver = started()
    driver.out(IMR, 0x7F)
    assert driver.card.read(CR) == 0x22
    driver.card.write(RESET, 1, driver.card.read(RESET + 7))
    assert driver.card.read(CR) == 0x21
    assert driver.card.read(ISR) & RST
    assert driver.inp(IMR, 2) == 0x80
    driver.card.write(RESET, 1, 0)
    assert driver.card.read(CR) == 0x22, "a write only ends the pulse"


def test_registers_by_page() -> None:
    driver = started(mar=bytes(range(8)))
    assert [driver.inp(1 + place, 1) for place in range(6)] == list(MAC)
    assert [driver.inp(MAR0 + place, 1) for place in range(8)] == list(range(8))
    assert (driver.inp(PSTART, 2), driver.inp(PSTOP, 2)) == (FIRST, LAST)
    assert driver.inp(RCR, 2) == 0xC4
    assert driver.inp(TCR, 2) == 0xE0
    assert driver.inp(DCR, 2) == 0xC9
    driver.out(RSAR0, 0x34)
    driver.out(RSAR1, 0x12)
    assert (driver.inp(8), driver.inp(9)) == (0x34, 0x12)


def test_wide_accesses_of_registers_are_bytes() -> None:
    driver = started()
    driver.card.write(RSAR0, 4, 0x0012_4321)
    assert driver.card.read(RSAR0, 2) == 0x4321
    assert driver.read(0x4321, 0x12) == bytes(0x12)


@pytest.mark.parametrize("width", [1, 2, 4])
@pytest.mark.parametrize("size", [4, 64, 1000, 1514])
def test_what_is_written_is_read_back(width: int, size: int) -> None:
    driver = started(width=width)
    data = frame(size=size)
    driver.write(0x4000, data)
    assert driver.card.read(ISR) & RDC
    driver.out(ISR, RDC)
    assert driver.read(0x4000, size) == data
    assert driver.card.read(ISR) & RDC


def test_remote_dma_ends_with_its_count() -> None:
    driver = started()
    driver.write(0x4000, b"0123456789")
    driver.remote(0x0A, 0x4000, 3)  # in words: the last one is whole
    assert driver.card.read_block(DATA, 2, 4) == b"0123\xff\xff\xff\xff"
    driver.remote(0x12, 0x4000, 4)
    driver.card.write_block(DATA, 2, b"abcdefgh")
    assert driver.read(0x4000, 10) == b"abcd456789"
    assert driver.card.read(DATA, 2) == 0xFFFF


def test_remote_dma_can_be_aborted() -> None:
    driver = started()
    driver.write(0x4000, b"0123")
    driver.out(ISR, 0xFF)
    driver.remote(0x0A, 0x4000, 4)
    driver.out(CR, 0x22)
    assert driver.card.read(DATA, 2) == 0xFFFF
    assert not driver.card.read(ISR) & RDC


def test_a_count_that_is_cleared_stops_the_data_port() -> None:
    driver = started()
    driver.remote(0x0A, 0x4000, 4)
    driver.card.write(RBCR0, 2, 0)
    assert driver.card.read_block(DATA, 2, 8) == b"\xff" * 16


def test_remote_dma_wraps_where_the_ring_ends() -> None:
    driver = started()
    driver.write(LAST * 256 - 4, b"abcdefgh")
    assert driver.read(LAST * 256 - 4, 8) == b"abcdefgh"
    assert driver.read(FIRST * 256, 4) == b"efgh"


def test_the_prom_cannot_be_written() -> None:
    driver = started()
    driver.write(0, bytes(32))
    assert driver.read(0, 32, width=1)[:6] == MAC


def test_transmission() -> None:
    driver = started()
    driver.out(IMR, PTX)
    driver.send(frame(OTHER, 100))
    assert driver.peer.take() == frame(OTHER, 100)
    assert driver.card.read(TSR) == 0x01
    assert driver.card.read(NCR) == 0
    assert driver.irq.level == 1
    driver.out(ISR, PTX)
    assert driver.irq.level == 0
    assert driver.card.read(CR) & 0x04 == 0


@pytest.mark.parametrize("size", [0, 13, 1519, 1522, 1523, 9000, 65535])
def test_frames_that_no_cable_takes_are_lost(size: int) -> None:
    driver = started()
    driver.send(frame(OTHER, size))
    assert driver.peer.take() is None
    assert driver.card.read(ISR) & PTX


def test_a_stopped_card_does_not_transmit() -> None:
    driver = started()
    driver.load_frame(frame(OTHER))
    driver.out(CR, 0x21)
    driver.out(CR, 0x25)
    assert driver.peer.take() is None
    driver.out(CR, 0x24)  # neither start nor stop: it stays as it is
    assert driver.peer.take() is None


@pytest.mark.parametrize("good", [True, False])
def test_the_guest_may_bring_its_own_fcs(good: bool) -> None:
    driver = started(tcr=0x01)
    data = frame(OTHER, 80)
    driver.send(data + (fcs(data) if good else bytes(4)))
    assert driver.peer.take() == (data if good else None)


class BusyCable(StreamPackets):
    """Busy until told otherwise: a stream whose socket is full."""


def busy_driver() -> tuple[Driver, Any, Any]:
    import socket

    ours, theirs = socket.socketpair()
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
    driver = Driver()
    cable = BusyCable()
    cable.plug(ours.fileno())
    while cable.emit(frame(OTHER, 1500)):
        pass
    driver.card = Ne2000(driver.clock, driver.irq, cable, MAC)
    driver.start()
    return driver, ours, theirs


def test_a_busy_host_makes_the_transmission_last() -> None:
    driver, ours, theirs = busy_driver()
    with ours, theirs:
        driver.send(frame(OTHER, 99))
        assert driver.card.read(CR) & 0x04
        assert not driver.card.read(ISR) & PTX
        record = driver.card.save()
        data = b""
        theirs.setblocking(False)
        while not data.endswith(frame(OTHER, 99)):
            try:
                data += theirs.recv(1 << 20)
            except BlockingIOError:
                driver.clock.advance(500_000)
        assert driver.card.read(ISR) & PTX
        assert not driver.card.read(CR) & 0x04
        driver.card.load(record)
        assert driver.card.read(CR) & 0x04
        driver.clock.advance(1_000_000)
        assert driver.card.read(ISR) & PTX
        assert theirs.recv(1 << 20).endswith(frame(OTHER, 99))


def test_a_frame_that_the_host_never_takes_is_aborted() -> None:
    driver, ours, theirs = busy_driver()
    with ours, theirs:
        driver.send(frame(OTHER))
        driver.clock.advance(40_000_000)
        assert driver.card.read(ISR) & (PTX | TXE) == TXE
        assert driver.card.read(TSR) == 0x0C
        driver.out(CR, 0x26)
        driver.out(CR, 0x21)
        assert driver.card.read(CR) == 0x21, "stopping gives the frame up"
        assert driver.clock.next_deadline_ns() is None


@pytest.mark.parametrize("size", [60, 243, 244, 245, 248, 249, 500, 1514, 1518])
def test_reception(size: int) -> None:
    driver = started()
    driver.out(IMR, PRX)
    driver.arrive(frame(size=size))
    assert driver.irq.level == 1
    assert driver.card.read(RSR) == 0x01
    assert driver.packet() == (0x01, frame(size=size), fcs(frame(size=size)))
    assert not driver.waiting()
    driver.out(ISR, PRX)
    assert driver.irq.level == 0


def test_the_header_names_the_next_packet() -> None:
    driver = started()
    for size in (60, 300, 1514):
        driver.arrive(frame(size=size))
    # 4 bytes of header, the frame, 4 of FCS: 1, 2 and 6 pages
    assert driver.read(FIRST * 256, 4) == bytes([1, FIRST + 1, 64, 0])
    assert driver.read((FIRST + 1) * 256, 4) == bytes([1, FIRST + 3, 304 & 0xFF, 304 >> 8])
    assert driver.read((FIRST + 3) * 256, 4) == bytes([1, FIRST + 9, 1518 & 0xFF, 1518 >> 8])
    assert driver.inp(CURR, 1) == FIRST + 9


def test_packets_go_round_the_ring() -> None:
    driver = started()
    for number in range(40):
        driver.arrive(frame(size=60 + 31 * number, fill=number))
        assert driver.packet()[1] == frame(size=60 + 31 * number, fill=number)
    assert driver.card.read(ISR) & (OVW | RXE) == 0


def test_short_frames_are_padded_by_the_cable() -> None:
    driver = started()
    driver.arrive(frame(size=42))
    assert driver.packet()[1] == frame(size=42) + bytes(18)


def test_runts_are_for_those_who_want_them() -> None:
    driver = started()
    driver.arrive(frame(size=42), pad=False)
    assert not driver.waiting()
    driver.start(rcr=0x02)
    driver.arrive(frame(size=42), pad=False)
    assert driver.packet()[1] == frame(size=42)


def hash_bit(address: bytes) -> int:
    """The multicast filter's bit by long division, most significant bit of the register first."""
    register = 0xFFFFFFFF
    for byte in address:
        for bit in range(8):
            feedback = register >> 31 ^ byte >> bit & 1
            register = register << 1 & 0xFFFFFFFF ^ (0x04C11DB7 if feedback else 0)
    return register >> 26


def accepted(driver: Driver, to: bytes) -> bool:
    driver.arrive(frame(to))
    got = driver.waiting()
    if got:
        assert driver.packet()[0] == (0x21 if to[0] & 1 else 0x01)
    return got


@pytest.mark.parametrize(
    ("rcr", "mine", "others", "broadcast", "multicast"),
    [
        (0x00, True, False, False, False),
        (0x04, True, False, True, False),
        (0x08, True, False, False, True),
        (0x0C, True, False, True, True),
        (0x10, True, True, False, False),
        (0x1C, True, True, True, True),
        (0x20, False, False, False, False),
    ],
)
def test_addresses(rcr: int, mine: bool, others: bool, broadcast: bool, multicast: bool) -> None:
    driver = started(rcr=rcr, mar=b"\xff" * 8)
    got = [accepted(driver, to) for to in (MAC, OTHER, BROADCAST, GROUP)]
    assert got == [mine, others, broadcast, multicast]


@settings(deadline=None)
@given(st.binary(min_size=6, max_size=6).map(lambda octets: bytes([octets[0] | 1]) + octets[1:]), st.booleans())
def test_the_multicast_filter(address: bytes, member: bool) -> None:
    bit = hash_bit(address)
    mar = bytearray(0 if member else 0xFF for _ in range(8))
    mar[bit >> 3] ^= 1 << (bit & 7)
    driver = started(rcr=0x0C, mar=bytes(mar))
    assert accepted(driver, address) == (member or address == BROADCAST)


def test_frames_for_a_stopped_card_are_gone() -> None:
    driver = started()
    driver.out(CR, 0x21)
    driver.arrive(frame())
    driver.out(CR, 0x22)
    assert not driver.waiting()
    assert driver.cable.room() == 256


@pytest.mark.parametrize(("damage", "status", "tally"), [(1, 0x02, CNTR1), (2, 0x06, CNTR0)])
def test_damaged_frames(damage: int, status: int, tally: int) -> None:
    driver = started()
    driver.arrive(frame(), damage=damage)
    assert not driver.waiting()
    assert driver.card.read(ISR) & (PRX | RXE) == RXE
    assert driver.card.read(RSR) == status
    assert [driver.card.read(tally), driver.card.read(tally)] == [1, 0]
    driver.start(rcr=0x01)
    driver.arrive(frame(), damage=damage)
    got, data, check = driver.packet()
    assert (got, data) == (status, frame())
    assert check != fcs(frame())


def test_tallies_tell_at_128_and_stay_at_192() -> None:
    driver = started()
    for number in range(1, 201):
        driver.arrive(frame(), damage=1)
        assert bool(driver.card.read(ISR) & CNT) == (number >= 128)
    assert driver.card.read(CNTR1) == 192


def test_monitor_mode_counts() -> None:
    driver = started(rcr=0x24)
    driver.arrive(frame())
    driver.arrive(frame(OTHER))
    assert not driver.waiting()
    assert driver.card.read(RSR) == 0x50
    assert driver.card.read(CNTR2) == 1


def test_paced_frames_wait_for_room() -> None:
    driver = started()
    for number in range(10):
        driver.arrive(frame(size=1514, fill=number))
    assert driver.card.read(ISR) & OVW == 0
    assert driver.cable.room() < 256
    assert [driver.packet()[1] for _ in range(10)] == [frame(size=1514, fill=number) for number in range(10)]
    assert driver.cable.room() == 256


def test_waiting_frames_are_told_of_until_there_is_room() -> None:
    """Linux' driver takes nine packets out, and then clears PRX, seen or not."""
    driver = started()
    driver.out(IMR, PRX)
    for number in range(5):  # the ring holds four
        driver.arrive(frame(size=1514, fill=number))
    driver.packet()
    driver.out(ISR, PRX)
    assert driver.irq.level == 0
    driver.clock.advance(50_000)  # the fifth has come
    assert driver.irq.level == 1
    driver.packet()
    driver.out(ISR, PRX)
    for number in range(5, 8):
        driver.arrive(frame(size=1514, fill=number))
    for _ in range(3):
        driver.out(ISR, PRX)
        assert driver.irq.level == 0, "an edge each time"
        driver.clock.advance(50_000)
        assert driver.irq.level == 1
    assert driver.clock.next_deadline_ns() is None, "it is told once"
    assert [driver.packet()[1] for _ in range(6)] == [frame(size=1514, fill=number) for number in range(2, 8)]
    driver.out(ISR, PRX)
    driver.clock.advance(1_000_000)
    assert driver.irq.level == 0


def test_a_boundary_before_the_ring_is_its_last_page() -> None:
    driver = started()
    driver.out(BNRY, FIRST - 1)
    for number in range(5):
        driver.arrive(frame(size=1514, fill=number))
    assert driver.inp(CURR, 1) == FIRST + 24
    assert driver.read(FIRST * 256 + 4, 1514) == frame(size=1514)


def test_overflow_and_the_way_out_of_it() -> None:
    driver = started(paced=False)
    driver.out(IMR, 0x7F)
    for number in range(6):  # 26 pages hold 4 packets of 6 pages
        driver.arrive(frame(size=1514, fill=number))
    driver.arrive(frame(size=60))  # would fit, but the chip is blocked
    assert driver.card.read(ISR) == OVW | RXE | PRX | RST | RDC & driver.card.read(ISR)
    assert driver.card.read(RSR) == 0x10
    assert driver.inp(CNTR2) == 3
    assert driver.irq.level == 1

    driver.out(CR, 0x21)
    driver.out(RBCR0, 0)
    driver.out(RBCR1, 0)
    driver.out(TCR, 0x02)
    driver.out(CR, 0x22)
    assert driver.card.read(ISR) & RST, "not relieved yet"
    assert [driver.packet()[1] for _ in range(4)] == [frame(size=1514, fill=number) for number in range(4)]
    assert not driver.card.read(ISR) & RST
    driver.arrive(frame())
    assert not driver.waiting(), "loopback is off the cable"
    driver.out(ISR, OVW)
    driver.out(TCR, 0)
    driver.arrive(frame(size=200))
    assert driver.packet()[1] == frame(size=200)


def test_send_packet_reads_the_ring_by_itself() -> None:
    driver = started()
    driver.out(BNRY, FIRST)  # this command's convention: BNRY is the packet to read
    driver.out(DCR, 0x49 | 0x10)
    for number in range(2):
        driver.arrive(frame(size=300, fill=number))
    for number in range(2):
        driver.out(RBCR1, 0x0F)
        driver.out(CR, 0x1A)
        data = driver.card.read_block(DATA, 2, 152)
        assert data[:4] == bytes([1, FIRST + 2 * (number + 1), 304 & 0xFF, 1])
        assert data[4:] == frame(size=300, fill=number)
        assert driver.card.read(ISR) & RDC
        assert driver.inp(BNRY) == FIRST + 2 * (number + 1)


def test_send_packet_has_to_be_allowed() -> None:
    driver = started()
    driver.arrive(frame(size=300))
    driver.out(CR, 0x1A)
    assert driver.card.read(DATA, 2) == 0xFFFF


@pytest.mark.parametrize(("mode", "tsr"), [(1, 0x51), (2, 0x41), (3, 0x01)])
def test_loopback(mode: int, tsr: int) -> None:
    driver = started(width=1)
    driver.out(TCR, mode << 1)
    data = frame(size=8 * 8 + 5)
    driver.send(data)
    assert driver.card.read(TSR) == tsr
    assert driver.card.read(RSR) == 0x02
    assert driver.card.read(ISR) & ~RDC == PTX | RXE
    total = (len(data) + 4).to_bytes(2, "little")
    fifo = bytes(driver.card.read(FIFO) for _ in range(8))
    assert fifo == total + total[1:] + data[-1:] + fcs(data)
    assert driver.peer.take() is None
    assert not driver.waiting()


def test_loopback_of_a_frame_for_others() -> None:
    driver = started(width=1)
    driver.out(TCR, 0x02)
    driver.send(frame(OTHER, 69))
    assert (driver.card.read(RSR), driver.card.read(ISR) & ~RDC) == (0x01, PTX)


@pytest.mark.parametrize("good", [True, False])
def test_loopback_checks_the_fcs_that_software_made(good: bool) -> None:
    driver = started(width=1)
    driver.out(TCR, 0x03)
    data = frame(size=61)
    driver.send(data + (fcs(data) if good else b"nope"))
    assert driver.card.read(RSR) == (0x01 if good else 0x02)


@pytest.mark.parametrize("bos", [0, 2])
def test_loopback_in_words_sends_every_second_byte(bos: int) -> None:
    driver = started()
    driver.out(DCR, 0x49 | bos)
    driver.out(TCR, 0x02)
    data = frame(size=69)
    pairs = zip(data, bytes(69), strict=True) if bos else zip(bytes(69), data, strict=True)
    driver.send(bytes(byte for pair in pairs for byte in pair))
    assert driver.card.read(RSR) == 0x02, "the address was recognized"
    assert bytes(driver.card.read(FIFO) for _ in range(8))[4:] == fcs(data)


def test_interrupts_are_masked_levels() -> None:
    driver = started()
    driver.arrive(frame())
    assert driver.irq.level == 0
    driver.out(IMR, 0xFF)
    assert driver.irq.level == 1
    driver.out(IMR, 0xFF & ~PRX)
    assert driver.irq.level == bool(driver.card.read(ISR) & RDC)
    driver.out(ISR, 0xFF)
    assert driver.irq.level == 0


def test_records_that_no_card_makes_are_refused() -> None:
    card = Ne2000(VirtualClock())
    record = card.save()
    for wrong in (
        {"remote": 1},
        {"cr": 0x26},
        {"offers": 1},
        {"offers": 64, "retry_at": 1},
        {"retry_at": 1},
        {"par": [0] * 5},
        {"fifo": b""},
    ):
        with pytest.raises(StateError):
            card.load(record | wrong)


def test_a_record_has_the_memory() -> None:
    driver = started()
    driver.write(0x7FF0, b"the last bytes..")
    other = Ne2000(VirtualClock())
    other.load(driver.card.save())
    assert other.save() == driver.card.save()
    fresh = Ne2000(VirtualClock())
    assert fresh.save()["memory"] == b""
    other.load(fresh.save())
    assert other.save()["memory"] == b""


def test_without_a_cable_nothing_happens() -> None:
    driver = Driver()
    driver.card = Ne2000(driver.clock, driver.irq)
    driver.start()
    driver.send(frame(OTHER))
    assert driver.card.read(ISR) & PTX


# What a wild guest and a wild network do together.

ACCESS = st.tuples(
    st.just("access"), st.integers(0, 31), st.sampled_from([1, 2, 4]), st.none() | st.integers(0, 0xFFFFFFFF)
)
REGISTER = st.tuples(st.just("access"), st.integers(0, 15), st.just(1), st.integers(0, 0xFF))
COMMAND = st.tuples(
    st.just("access"), st.just(0), st.just(1), st.sampled_from([0x22, 0x0A, 0x12, 0x1A, 0x26, 0x62, 0x21])
)
STRING = st.tuples(st.just("string"), st.integers(0, 31), st.sampled_from([1, 2, 4]), st.integers(0, 3000))
FRAMES = st.tuples(
    st.just("frame"), st.sampled_from([MAC, BROADCAST, GROUP, OTHER]), st.integers(0, 1600), st.integers(0, 2)
)
OTHERS = st.tuples(st.sampled_from(["move", "pass"]), st.just(0), st.just(0), st.just(0))
WILD: Any = st.lists(st.one_of(ACCESS, REGISTER, COMMAND, STRING, FRAMES, OTHERS), max_size=80)


@settings(deadline=None)
@given(WILD, st.booleans(), st.booleans())
def test_any_guest_on_any_network(steps: Any, paced: bool, ready: bool) -> None:
    driver = Driver(paced=paced)
    if ready:
        driver.start(rcr=0x1F, mar=b"\xff" * 8)
    for kind, where, size, value in steps:
        if kind == "access" and value is None:
            assert 0 <= driver.card.read(where, size) < 1 << 8 * size
        elif kind == "access":
            driver.card.write(where, size, value)
        elif kind == "string":
            assert len(driver.card.read_block(where, size, value)) == size * value
            driver.card.write_block(where, size, bytes(size * value))
        elif kind == "frame":
            driver.cable.deliver(frame(where, size), damage=value, pad=False)
            driver.card.receive()
        elif kind == "pass":
            driver.clock.advance(600_000)
        else:
            clock = VirtualClock()
            clock.advance(driver.clock.now_ns())
            record = driver.card.save()
            card = Ne2000(clock, driver.irq, driver.cable, MAC)
            card.load(record)
            driver.card, driver.clock = card, clock
        record = driver.card.save()
        assert driver.irq.level == bool(record["isr"] & record["imr"])
        assert len(record["memory"]) <= 1 << 14
    assert isinstance(driver.cable, PacketBackend)
    sent = []
    while (got := driver.peer.take()) is not None:
        sent.append(len(got))
    assert all(14 <= length <= 1518 for length in sent)
