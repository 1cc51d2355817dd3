# SPDX-License-Identifier: GPL-2.0-or-later
"""What an NE2000 receives, and where it puts it."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from .ne2000_driver import (
    BNRY,
    BROADCAST,
    CNT,
    CNTR0,
    CNTR1,
    CNTR2,
    CR,
    CURR,
    FIRST,
    GROUP,
    IMR,
    ISR,
    MAC,
    OTHER,
    OVW,
    PRX,
    RBCR0,
    RBCR1,
    RDC,
    ROOM,
    RSR,
    RST,
    RXE,
    TCR,
    Driver,
    fcs,
    frame,
    started,
)


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
    assert driver.cable.room() == ROOM


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
    assert driver.cable.room() < ROOM
    assert [driver.packet()[1] for _ in range(10)] == [frame(size=1514, fill=number) for number in range(10)]
    assert driver.cable.room() == ROOM


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


def test_an_unpaced_cable_has_the_speed_of_ethernet() -> None:
    """A guest that reads what has come loses nothing, however fast the host sends."""
    driver = started(paced=False)
    frames = [frame(size=1514, fill=number) for number in range(100)]
    for each in frames:
        driver.arrive(each)
    got: list[bytes] = []
    period = (1514 + 24) * 800
    while len(got) < 100:
        while driver.waiting():
            got.append(driver.packet()[1])
        now, due = driver.clock.now_ns(), driver.clock.next_deadline_ns()
        allowed = 4_000_000 // period + 1 + now // period
        assert allowed - 1 <= len(got) <= allowed + 1
        if due is not None:
            driver.clock.advance(due - now)
    assert got == frames
    assert driver.inp(CNTR2) == 0


def test_overflow_and_the_way_out_of_it() -> None:
    driver = started(paced=False)
    driver.out(IMR, 0x7F)
    for number in range(6):  # 26 pages hold 4 packets of 6 pages
        driver.arrive(frame(size=1514, fill=number))
    driver.arrive(frame(size=60))  # would fit, but the chip is blocked
    driver.clock.advance(20_000_000)  # all have passed by
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
