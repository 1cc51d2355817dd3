# SPDX-License-Identifier: GPL-2.0-or-later
"""Two drives on a channel: selection, absence, reset, interrupt and the deep registers."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hyperport.devices.ata_drive import AtaDrive
from hyperport.devices.atapi_cdrom import AtapiCdrom
from hyperport.devices.ide_drive import IdeDrive
from hyperport.errors import StateError
from hyperport.host.disk import MemoryDisk
from hyperport.host.disk_image import open_cdrom, open_disk
from hyperport.host.specs import DiskSpec

from .ide_host import (
    BSY,
    CONTROL,
    COUNT,
    DATA,
    DEVICE,
    DRQ,
    ERROR,
    HIGH,
    HOB,
    LBA,
    LOW,
    MID,
    NIEN,
    READY,
    SECOND,
    SRST,
    STATUS,
    Host,
)


def hard_disk(sectors: int = 1000) -> AtaDrive:
    return AtaDrive(MemoryDisk(sectors * 512))


def test_empty_channel_floats_with_bit_7_pulled_down() -> None:
    host = Host()
    for device in (0, SECOND):
        host.write(DEVICE, device)
        host.write(COUNT, 0x55)
        assert [host.read(register) for register in range(1, 9)] == [0x7F] * 8
    assert host.read(DATA, 2) == 0xFFFF
    host.command(0x20, count=1)
    host.reset()
    assert not host.line.level


def test_first_drive_answers_for_an_absent_second_one() -> None:
    host = Host(hard_disk())
    host.write(DEVICE, SECOND)
    host.write(COUNT, 0x55)
    host.write(LOW, 0xAA)
    assert (host.read(COUNT), host.read(LOW)) == (0x55, 0xAA)
    assert (host.read(STATUS), host.read(CONTROL)) == (0, 0)
    host.write(STATUS, 0xEC)
    assert not host.line.level
    assert host.read(STATUS) == 0
    assert host.read(DATA, 2) == 0xFFFF


def test_absent_first_drive_floats_beside_a_second_one() -> None:
    host = Host(None, hard_disk())
    assert host.status() == 0x7F
    host.write(DEVICE, SECOND)
    assert host.status() == READY
    host.write(STATUS, 0x90)  # the diagnostic ends with device 0 selected
    assert host.status() == 0x7F


@pytest.mark.parametrize("how", ["power-on", "reset", "diagnostic"])
def test_signatures(how: str) -> None:
    host = Host(hard_disk(), AtapiCdrom(MemoryDisk(2048, writable=False)))
    if how == "reset":
        host.write(DEVICE, SECOND | LBA)
        host.reset()
    elif how == "diagnostic":
        host.write(DEVICE, SECOND)
        host.write(STATUS, 0x90)
        assert host.line.level
    registers = (ERROR, COUNT, LOW, MID, HIGH)
    assert [host.read(register) for register in registers] == [1, 1, 1, 0, 0]
    assert host.status() == READY
    host.write(DEVICE, SECOND)
    assert [host.read(register) for register in registers] == [1, 1, 1, 0x14, 0xEB]
    assert host.status() == 0, "a packet device is not ready before its first command"


KINDS: dict[str, tuple[Callable[[], IdeDrive | None], tuple[int, ...] | None]] = {
    "": (lambda: None, None),
    "disk": (hard_disk, (1, 1, 1, 0, 0)),
    "cdrom": (lambda: AtapiCdrom(MemoryDisk(2048, writable=False)), (1, 1, 1, 0x14, 0xEB)),
}


@pytest.mark.parametrize("how", ["power-on", "reset", "diagnostic"])
@pytest.mark.parametrize("second", KINDS)
@pytest.mark.parametrize("first", KINDS)
def test_signature_of_each_combination(first: str, second: str, how: str) -> None:
    host = Host(KINDS[first][0](), KINDS[second][0]())
    host.write(DEVICE, SECOND)
    for register in (COUNT, LOW, MID, HIGH):
        if how != "power-on":
            host.write(register, 0xA5)
    if how == "reset":
        host.reset()
    elif how == "diagnostic":
        host.write(STATUS, 0x90)
        assert host.line.level == bool(first), "device 0 answers, if it is there"
    if how != "power-on" and first:
        assert not host.read(DEVICE) & SECOND
    for place, kind in ((0, first), (SECOND, second)):
        host.write(DEVICE, place)
        seen = tuple(host.read(register) for register in (ERROR, COUNT, LOW, MID, HIGH))
        answering = kind or (first if place else "")  # device 0 answers for an absent device 1
        assert seen == (KINDS[answering][1] or (0x7F,) * 5)
        assert host.read(CONTROL) == {"": 0 if answering else 0x7F, "disk": READY, "cdrom": 0}[kind]


@pytest.mark.parametrize("second", [False, True])
def test_device_reset_is_for_packet_devices_and_leaves_the_selection(second: bool) -> None:
    cdrom = AtapiCdrom(MemoryDisk(2048 * 16, writable=False))
    host = Host(hard_disk(), cdrom) if second else Host(cdrom, hard_disk())
    own, other = (SECOND, 0) if second else (0, SECOND)
    host.command(0x20, count=1, device=other | LBA)
    host.status()
    host.write(DEVICE, own | LBA)
    for register, value in ((MID, 8), (HIGH, 0), (STATUS, 0xA0)):
        host.write(register, value)
    host.give(b"\x12\0\0\0\x24".ljust(12, b"\0"))
    assert host.read(CONTROL) & DRQ
    host.write(STATUS, 0x08)
    assert host.read(DEVICE) == own
    assert [host.read(register) for register in (ERROR, COUNT, LOW, MID, HIGH)] == [1, 1, 1, 0x14, 0xEB]
    assert host.read(CONTROL) == 0
    assert not host.line.level
    host.write(DEVICE, other)
    assert host.read(CONTROL) & DRQ, "the other one is not reset"
    host.write(STATUS, 0x08)
    assert host.read(CONTROL) & 0x89 == 1
    assert host.read(ERROR) == 4


def test_sleeping_drive_hears_a_reset_but_no_diagnostic() -> None:
    host = Host(hard_disk(), hard_disk())
    host.command(0xE6)
    host.status()
    host.write(COUNT, 0x55)
    host.write(DEVICE, SECOND)
    host.write(STATUS, 0x90)
    assert not host.line.level
    assert host.read(COUNT) == 0x55
    host.write(DEVICE, SECOND)
    assert host.read(COUNT) == 1, "the other one performs it"
    host.reset()
    assert host.command(0xE5) == READY


def test_commands_to_an_absent_second_drive_are_lost_but_for_the_diagnostic() -> None:
    host = Host(hard_disk())
    for code in (0x00, 0x08, 0x20, 0x30, 0xA0, 0xA1, 0xE7, 0xEC, 0xEF):
        host.command(code, device=SECOND)
        assert not host.line.level
        assert host.status() == 0
    host.write(STATUS, 0x90)
    assert host.line.level
    assert host.status() == READY


def test_soft_reset_is_busy_as_long_as_it_is_held_and_ends_a_transfer() -> None:
    host = Host(hard_disk())
    assert host.command(0x20, count=1) & DRQ
    host.write(CONTROL, SRST)
    assert host.status() == BSY
    assert not host.line.level
    host.write(COUNT, 9)
    host.write(STATUS, 0xEC)
    assert host.status() == BSY
    host.write(CONTROL, 0)
    assert host.status() == READY
    assert host.read(COUNT) == 1
    assert host.read(DATA, 2) == 0xFFFF


def test_interrupt_is_taken_by_status_not_by_alternate_status() -> None:
    host = Host(hard_disk())
    host.command(0xE7)
    assert host.line.level
    host.read(CONTROL)
    assert host.line.level
    host.status()
    assert not host.line.level


def test_nien_keeps_the_interrupt_from_the_wire_but_not_from_the_drive() -> None:
    host = Host(hard_disk())
    host.write(CONTROL, NIEN)
    host.command(0xE7)
    assert not host.line.level
    host.write(CONTROL, 0)
    assert host.line.level


def test_interrupt_of_the_drive_that_is_not_selected_waits() -> None:
    host = Host(hard_disk(), hard_disk())
    host.command(0xE7)
    host.write(DEVICE, SECOND)
    assert not host.line.level
    host.write(DEVICE, 0)
    assert host.line.level


def test_registers_are_two_deep() -> None:
    host = Host(hard_disk())
    for register in (COUNT, LOW, MID, HIGH):
        host.write(register, 0x10 + register)
        host.write(register, 0x20 + register)
        assert host.read(register) == 0x20 + register
    host.write(CONTROL, HOB)
    assert [host.read(register) for register in (COUNT, LOW, MID, HIGH)] == [0x12, 0x13, 0x14, 0x15]
    host.write(LOW, 0x33)
    assert host.read(LOW) == 0x33, "a write to the command block clears HOB"


def test_wide_access_to_registers_is_bytes_lowest_first() -> None:
    host = Host(hard_disk())
    host.write(COUNT, 0x44332211, 4)
    assert [host.read(register) for register in (COUNT, LOW, MID, HIGH)] == [0x11, 0x22, 0x33, 0x44]
    assert host.read(COUNT, 4) == 0x44332211
    assert host.read(LOW, 2) == 0x3322
    assert host.read(CONTROL, 4) == 0xFFFFFF00 | READY


def test_saved_transfer_goes_on_in_another_channel() -> None:
    disk = MemoryDisk(400 * 512)
    disk.write_sectors(0, bytes(range(256)) * 800)
    host, other = Host(AtaDrive(disk)), Host(AtaDrive(disk))
    host.command(0x20, lba=3, count=200)
    head = host.take(700)
    other.channel.load(host.channel.save())
    assert other.line.level
    assert head + other.take(200 * 512 - 700) == disk.read_sectors(3, 200)
    assert other.status() == READY
    with pytest.raises(StateError, match="adds the fields first_"):
        Host().channel.load(host.channel.save())


def test_record_of_a_larger_disk_is_refused() -> None:
    host = Host(hard_disk(1000))
    host.command(0x20, lba=990, count=5)
    before = Host(hard_disk(10)).channel.save()
    small = Host(hard_disk(10))
    with pytest.raises(StateError, match="not all on the disk"):
        small.channel.load(host.channel.save())
    assert small.channel.save() == before


# Anything goes, with a real image below: no exception, nothing outside the image, a saved state is the whole state.

COMMANDS = [0x00, 0x08, 0x10, 0x20, 0x24, 0x29, 0x30, 0x34, 0x39, 0x40, 0x42, 0x70, 0x90, 0x91, 0xA0, 0xA1, 0xC4, 0xC5]
COMMANDS += [0xC6, 0xE0, 0xE1, 0xE2, 0xE3, 0xE4, 0xE5, 0xE6, 0xE7, 0xE8, 0xEA, 0xEC, 0xEF]
PACKETS = [
    0x00,
    0x03,
    0x12,
    0x1B,
    0x1E,
    0x25,
    0x28,
    0x2B,
    0x42,
    0x43,
    0x44,
    0x46,
    0x4A,
    0x51,
    0x52,
    0x55,
    0x5A,
    0xA8,
    0xB9,
]
PACKETS += [0xBB, 0xBD, 0xBE, 0xFF]
SECTORS = 200

steps = st.one_of(
    st.tuples(st.just("read"), st.integers(0, 8), st.sampled_from([1, 2, 4])),
    st.tuples(st.just("write"), st.integers(0, 8), st.integers(0, 255)),
    st.tuples(st.just("device"), st.sampled_from([0, LBA, SECOND, SECOND | LBA]), st.integers(0, 1)),
    st.tuples(st.just("address"), st.integers(0, SECTORS + 2), st.integers(0, 255)),
    st.tuples(st.just("command"), st.sampled_from(COMMANDS) | st.integers(0, 255), st.just(0)),
    st.tuples(st.just("in"), st.integers(0, 70_000), st.sampled_from([1, 2, 4])),
    st.tuples(st.just("out"), st.integers(0, 9000), st.sampled_from([1, 2, 4])),
    st.tuples(st.just("packet"), st.sampled_from(PACKETS), st.binary(min_size=11, max_size=11)),
    st.tuples(st.just("swap"), st.just(0), st.just(0)),
)


@settings(max_examples=200, deadline=None)
@given(st.lists(steps, max_size=60))
def test_nothing_upsets_a_channel(program: list[tuple[str, int, int | bytes]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        image, disc = Path(folder) / "image", Path(folder) / "disc"
        image.write_bytes(bytes(SECTORS * 512))
        disc.write_bytes(bytes(50 * 2048))
        disk = open_disk(DiskSpec(path=image))
        drives = [(AtaDrive(disk), AtapiCdrom(open_cdrom(disc))) for _ in range(2)]
        hosts = [Host(*pair) for pair in drives]  # the same disk behind two channels, of which one is in use
        for action, number, detail in program:
            host = hosts[0]
            match action, detail:
                case "read", int(size):
                    assert 0 <= host.channel.read(number, size) < 1 << 8 * size
                case "write", int(value):
                    host.channel.write(number, 1, value)
                case "device", _:
                    host.write(DEVICE, number)
                case "address", int(count):
                    for register, value in ((LOW, number & 0xFF), (MID, number >> 8), (HIGH, 0), (COUNT, count)):
                        host.write(register, value)
                case "command", _:
                    host.write(STATUS, number)
                case "in", int(size):
                    assert len(host.channel.read_block(DATA, size, number // size)) == number // size * size
                case "out", int(size):
                    host.channel.write_block(DATA, size, b"\xa5" * (number // size * size))
                case "packet", bytes(rest):
                    host.write(STATUS, 0xA0)
                    host.channel.write_block(DATA, 2, bytes([number]) + rest)
                case _:
                    hosts[1].channel.load(host.channel.save())
                    assert hosts[1].channel.save() == host.channel.save()
                    hosts.reverse()
            assert hosts[0].line.level in (0, 1)
            assert hosts[0].read(CONTROL) & (BSY | DRQ) != BSY | DRQ
            assert image.stat().st_size == SECTORS * 512
        assert disc.read_bytes() == bytes(50 * 2048)
        assert disk.failures == 0
