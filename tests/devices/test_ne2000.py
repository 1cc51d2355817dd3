# SPDX-License-Identifier: GPL-2.0-or-later
"""The NE2000 as a driver sees it: a small driver of the test's own programs the card through its ports."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hyperport.devices.ne2000 import Ne2000
from hyperport.errors import ConfigError, StateError
from hyperport.host.packet import PacketBackend, StreamPackets
from hyperport.time.clock import VirtualClock

from .ne2000_driver import (
    BNRY,
    BROADCAST,
    CR,
    DATA,
    DCR,
    FIFO,
    FIRST,
    GROUP,
    IMR,
    ISR,
    LAST,
    MAC,
    MAR0,
    NCR,
    OTHER,
    PRX,
    PSTART,
    PSTOP,
    PTX,
    RBCR0,
    RBCR1,
    RCR,
    RDC,
    RESET,
    RSAR0,
    RSAR1,
    RSR,
    RST,
    RXE,
    TCR,
    TSR,
    TXE,
    Driver,
    fcs,
    frame,
    started,
)


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
