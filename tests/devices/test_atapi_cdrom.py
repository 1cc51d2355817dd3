# SPDX-License-Identifier: GPL-2.0-or-later
"""The CD-ROM drive: packets, their blocks, sense data, and what tells it from a hard disk."""

from __future__ import annotations

import errno
import struct

import pytest

from hyperport.devices.atapi_cdrom import AtapiCdrom
from hyperport.devices.cd_sector import raw_sector
from hyperport.host.disk import MemoryDisk

from .ide_host import ABRT, CONTROL, COUNT, DRQ, ERR, ERROR, HIGH, LOW, MID, STATUS, Host

BLOCKS = 100
TEST_UNIT_READY = b"\x00"
REQUEST_SENSE = b"\x03\0\0\0\x12"


def block(number: int) -> bytes:
    return struct.pack("<I", number * 2654435761 & 0xFFFFFFFF) * 512


@pytest.fixture
def disc() -> MemoryDisk:
    disk = MemoryDisk(BLOCKS * 2048)
    disk.write_sectors(0, b"".join(block(number) for number in range(BLOCKS)))
    return disk


@pytest.fixture
def host(disc: MemoryDisk) -> Host:
    made = Host(AtapiCdrom(disc))
    made.packet(TEST_UNIT_READY)  # UNIT ATTENTION
    return made


def read_10(first: int, count: int) -> bytes:
    return struct.pack(">BBIBHB", 0x28, 0, first, 0, count, 0)


def sense(host: Host) -> tuple[int, int, int]:
    data = host.packet(REQUEST_SENSE)
    assert len(data) == 18
    assert data[0] & 0x7F == 0x70
    return data[2], data[12], data[13]


def test_first_packet_after_a_reset_is_told_of_it(disc: MemoryDisk) -> None:
    host = Host(AtapiCdrom(disc))
    assert host.packet(b"\x12\0\0\0\x24")[:8] == b"\x05\x80\x00\x21\x1f\x00\x00\x00"
    host.packet(TEST_UNIT_READY)
    assert host.status() & ERR
    assert host.read(ERROR) == 0x60 | ABRT
    assert sense(host) == (6, 0x29, 0)
    assert sense(host) == (0, 0, 0)
    host.packet(TEST_UNIT_READY)
    assert not host.status() & ERR


def test_identify_packet_device(host: Host) -> None:
    assert host.command(0xA1, device=0) & DRQ
    words = struct.unpack("<256H", host.take(512))
    assert words[0] == 0x85C0
    assert struct.pack(">20H", *words[27:47]).decode().strip() == "HYPERPORT CD-ROM"
    assert words[82] == words[85] == 0x4218
    assert sum(struct.pack("<256H", *words)) % 256 == 0
    assert words[255] & 0xFF == 0xA5
    assert not host.status() & DRQ


@pytest.mark.parametrize("code", [0xEC, 0x20])
def test_commands_of_a_hard_disk_are_aborted_with_the_signature(host: Host, code: int) -> None:
    assert host.command(code, device=0) & (ERR | DRQ) == ERR
    assert host.read(ERROR) == ABRT
    assert [host.read(register) for register in (COUNT, LOW, MID, HIGH)] == [1, 1, 0x14, 0xEB]


def test_device_reset_is_silent(host: Host) -> None:
    host.write(STATUS, 0x08)
    assert not host.line.level
    assert host.status() == 0
    assert [host.read(register) for register in (COUNT, LOW, MID, HIGH)] == [1, 1, 0x14, 0xEB]


def test_capacity(host: Host) -> None:
    assert host.packet(b"\x25") == struct.pack(">II", BLOCKS - 1, 2048)


@pytest.mark.parametrize("limit", [0xFFFE, 2048, 4096, 510, 2, 65535, 2049])
def test_read_in_blocks_of_what_the_host_allows(host: Host, limit: int) -> None:
    assert host.packet(read_10(3, 2), limit) == block(3) + block(4)
    assert not host.status() & ERR


def test_read_of_all(host: Host) -> None:
    whole = b"".join(block(number) for number in range(BLOCKS))
    assert host.packet(read_10(0, BLOCKS)) == whole
    assert host.packet(struct.pack(">BBII", 0xA8, 0, 0, BLOCKS)) == whole


def test_limit_of_nothing_is_aborted(host: Host) -> None:
    assert host.packet(read_10(0, 1), 0) == b""
    assert host.status() & ERR


@pytest.mark.parametrize(("first", "count"), [(BLOCKS, 1), (BLOCKS - 1, 2), (0xFFFFFFFF, 1), (BLOCKS, 0)])
def test_beyond_the_end(host: Host, first: int, count: int) -> None:
    assert host.packet(read_10(first, count)) == b""
    assert host.read(ERROR) >> 4 == 5
    assert sense(host) == (5, 0x21, 0)


def test_read_of_nothing_and_seek(host: Host) -> None:
    assert host.packet(read_10(5, 0)) == b""
    assert not host.status() & ERR
    assert host.packet(b"\x2b\0\0\0\0\x05") == b""
    assert not host.status() & ERR


def test_unreadable_block_fails_after_what_could_be_read(host: Host, disc: MemoryDisk) -> None:
    disc.fail_from(7 * 4 + 2, errno.EIO)
    assert host.packet(read_10(5, 5)) == block(5) + block(6)
    assert sense(host) == (3, 0x11, 0)


def test_table_of_contents(host: Host) -> None:
    toc = host.packet(b"\x43\0\0\0\0\0\0\x03\x24")
    assert toc == bytes.fromhex("0012 0101 00140100 00000000 0014aa00") + struct.pack(">I", BLOCKS)
    times = host.packet(b"\x43\x02\0\0\0\0\0\x03\x24")
    assert times[8:12] == bytes([0, 0, 2, 0])
    assert times[16:20] == bytes([0, 0, 3, 25])
    assert host.packet(b"\x43\0\0\0\0\0\xaa\x03\x24")[4:8] == bytes.fromhex("0014aa00")
    assert host.packet(b"\x43\0\x01\0\0\0\0\x03\x24") == bytes.fromhex("000a 0101 00140100 00000000")
    assert host.packet(b"\x43\0\0\0\0\0\0\0\x03") == toc[:3], "an odd length is told as it is"
    for refused in (b"\x43\0\0\0\0\0\x02", *(bytes([0x43, 0, form]) for form in (3, 4, 5, 15)), b"\x43\0\2\0\0\0\2"):
        host.packet(refused.ljust(7, b"\0") + b"\x03\x24")
        assert sense(host) == (5, 0x24, 0)


@pytest.mark.parametrize("packet", ["43 00 02 000000 00 0324", "43 00 00 000000 01 0324 80"])
def test_raw_table_of_contents(host: Host, packet: str) -> None:
    entry = "01 14 00 {:02x} 000000 00 {}"
    points = ((0xA0, "010000"), (0xA1, "010000"), (0xA2, "000319"), (1, "000200"))
    expected = "002e 0101" + "".join(entry.format(*point) for point in points)
    assert host.packet(bytes.fromhex(packet)) == bytes.fromhex(expected)


def test_disc_and_track_information(host: Host) -> None:
    assert host.packet(b"\x51\0\0\0\0\0\0\0\xff") == bytes.fromhex(
        "0020 0e 01 01 01 01 20" + "00" * 8 + "ff" * 8 + "00" * 10
    )
    track = struct.pack(">HBBxBBB4x4x4x4xIIxxxx", 34, 1, 1, 4, 1, 2, BLOCKS, BLOCKS - 1)
    for how, number in ((0, 0), (0, BLOCKS - 1), (1, 1), (2, 1)):
        assert host.packet(struct.pack(">BBIxHxxx", 0x52, how, number, 255)) == track
    for how, number in ((0, BLOCKS), (1, 0), (1, 2), (2, 2), (3, 1)):
        assert host.packet(struct.pack(">BBIxHxxx", 0x52, how, number, 255)) == b""
        assert sense(host) == (5, 0x24, 0)


def test_header_and_sub_channel(host: Host) -> None:
    assert host.packet(bytes.fromhex("44 00 00000010 00 0008")) == bytes.fromhex("01000000 00000010")
    assert host.packet(bytes.fromhex("44 02 00000010 00 0008")) == bytes.fromhex("01000000 00000210")
    host.packet(struct.pack(">BBIxH3x", 0x44, 0, BLOCKS, 8))
    assert sense(host) == (5, 0x21, 0)
    host.packet(read_10(4, 1))
    assert host.packet(bytes.fromhex("42 00 00 01 000000 00ff")) == bytes.fromhex("00150000")
    position = "0015000c 01140101"
    assert host.packet(bytes.fromhex("42 00 40 01 000000 00ff")) == bytes.fromhex(position + "00000005 00000005")
    assert host.packet(bytes.fromhex("42 02 40 01 000000 00ff")) == bytes.fromhex(position + "00000205 00000005")
    assert host.packet(bytes.fromhex("42 00 40 02 000000 00ff")) == bytes.fromhex("00150014 02") + bytes(19)
    assert host.packet(bytes.fromhex("42 00 40 03 000001 00ff")) == bytes.fromhex("00150014 03140100") + bytes(16)
    for refused in ("42 00 40 00", "42 00 40 04", "42 00 40 03 0000 02"):
        host.packet(bytes.fromhex(refused))
        assert sense(host) == (5, 0x24, 0)


def test_speed(host: Host) -> None:
    for wanted, told in ((0xFFFF, 706), (353, 353), (10, 176), (0, 176)):
        host.packet(struct.pack(">BxHH", 0xBB, wanted, 0xFFFF))
        assert not host.status() & ERR
        assert struct.unpack(">H", mode_sense(host, 0x2A)[14:16])[0] == told


def read_cd(first: int, count: int, parts: int, kind: int = 0, sub_channel: int = 0) -> bytes:
    return struct.pack(">BBIBHBBx", 0xBE, kind << 2, first, count >> 16, count & 0xFFFF, parts, sub_channel)


def test_read_cd(host: Host) -> None:
    whole = [raw_sector(number, block(number)) for number in range(5, 65)]
    assert host.packet(read_cd(5, 60, 0xF8)) == b"".join(whole), "more than the buffer holds"
    assert host.packet(read_cd(5, 2, 0x10, kind=2)) == block(5) + block(6)
    for parts, start, end in ((0x20, 12, 16), (0x38, 12, 2352), (0x18, 16, 2352), (0x80, 0, 12), (0xA0, 0, 16)):
        assert host.packet(read_cd(7, 2, parts), 0x800) == whole[2][start:end] + whole[3][start:end]
    for nothing in (0x00, 0x40):
        assert host.packet(read_cd(7, 2, nothing)) == b""
        assert not host.status() & ERR
    assert host.packet(read_cd(7, 0, 0xF8)) == b""
    assert not host.status() & ERR


@pytest.mark.parametrize(
    ("packet", "expected"),
    [
        *((read_cd(0, 1, parts), (5, 0x24, 0)) for parts in (0x08, 0x28, 0x48, 0x88, 0x90, 0x98, 0xC0, 0xD0, 0xE8)),
        *((read_cd(0, 1, 0x10 | errors), (5, 0x24, 0)) for errors in (2, 4, 6)),  # C2
        *((read_cd(0, 1, 0x10, sub_channel=number), (5, 0x24, 0)) for number in (1, 2, 4)),
        *((read_cd(0, 1, 0x10, kind=kind), (5, 0x64, 0)) for kind in (1, 3, 4, 5)),
        (read_cd(BLOCKS, 1, 0x10), (5, 0x21, 0)),
        (read_cd(BLOCKS - 1, 2, 0x10), (5, 0x21, 0)),
        (read_cd(0, 0xFFFFFF, 0xF8), (5, 0x21, 0)),
        (bytes.fromhex("b9 00 00 000000 000300 10"), (5, 0x21, 0)),  # in the lead-in
        (bytes.fromhex("b9 00 00 00023b 00023a 10"), (5, 0x24, 0)),  # backwards
        (bytes.fromhex("b9 00 00 00024b 000300 10"), (5, 0x24, 0)),  # frame 75
        (bytes.fromhex("b9 00 00 003c00 010000 10"), (5, 0x24, 0)),  # second 60
        (bytes.fromhex("b9 00 00 000200 630000 10"), (5, 0x21, 0)),
    ],
)
def test_read_cd_refuses(host: Host, packet: bytes, expected: tuple[int, int, int]) -> None:
    assert host.packet(packet) == b""
    assert sense(host) == expected


def test_read_cd_msf(host: Host) -> None:
    assert host.packet(bytes.fromhex("b9 00 00 000205 000207 10")) == block(5) + block(6)
    assert host.packet(bytes.fromhex("b9 00 00 000300 000301 f8")) == raw_sector(75, block(75))
    assert host.packet(bytes.fromhex("b9 00 00 000205 000205 10")) == b""
    assert not host.status() & ERR


def test_unreadable_block_of_read_cd(host: Host, disc: MemoryDisk) -> None:
    disc.fail_from(7 * 4, errno.EIO)
    assert host.packet(read_cd(5, 5, 0xF8)) == raw_sector(5, block(5)) + raw_sector(6, block(6))
    assert sense(host) == (3, 0x11, 0)


def test_inquiry_refuses_pages_and_command_data(host: Host) -> None:
    for refused in (b"\x12\x01\0\0\x24", b"\x12\x01\x80\0\x24", b"\x12\x02\0\0\x24", b"\x12\0\x80\0\x24"):
        assert host.packet(refused) == b""
        assert sense(host) == (5, 0x24, 0)
    assert host.packet(b"\x12\0\0\0\0") == b""
    assert not host.status() & ERR


def test_capacity_has_no_partial_medium(host: Host) -> None:
    host.packet(b"\x25\0\0\0\0\x01")
    assert sense(host) == (5, 0x24, 0)


@pytest.mark.parametrize(("limit", "sizes"), [(5, [5]), (6, [5]), (4, [4, 1]), (3, [2, 3]), (2, [2, 2, 1])])
def test_only_the_last_block_is_odd(host: Host, limit: int, sizes: list[int]) -> None:
    for register, value in ((MID, limit), (HIGH, 0), (STATUS, 0xA0)):
        host.write(register, value)
    host.give(b"\x12\0\0\0\x05".ljust(12, b"\0"))
    told = []
    while host.status() & DRQ:
        told.append(host.read(MID) | host.read(HIGH) << 8)
        host.take(told[-1] + 1 & ~1)
    assert told == sizes
    assert host.status() & ERR == 0


def test_limit_of_one_takes_one_byte(host: Host) -> None:
    assert host.packet(b"\x12\0\0\0\x01", 1) == b"\x05"
    assert host.packet(b"\x12\0\0\0\x02", 1) == b""
    assert host.status() & ERR


def test_a_new_command_clears_the_error_of_the_last(host: Host) -> None:
    for code in (0xA1, 0xA0, 0xE5, 0xE1):
        assert host.command(0xFD, device=0) & ERR
        host.command(code, device=0)
        assert not host.read(CONTROL) & ERR
        assert host.read(ERROR) == 0


@pytest.mark.parametrize(
    ("mode", "good"), [(0, True), (1, True), (2, False), (8, True), (12, True), (13, False), (0x22, False)]
)
def test_transfer_modes_are_those_of_identify(host: Host, mode: int, good: bool) -> None:
    assert bool(host.command(0xEF, features=3, count=mode, device=0) & ERR) != good
    assert host.command(0xEF, features=0x02, device=0) & ERR, "there is no cache to switch"


CURRENT, CHANGEABLE, DEFAULTS, SAVED = 0x00, 0x40, 0x80, 0xC0


def mode_sense(host: Host, page: int, kind: int = CURRENT) -> bytes:
    data = host.packet(bytes([0x5A, 0, page | kind, 0, 0, 0, 0, 0, 255]))
    if data:
        assert struct.unpack(">H", data[:2])[0] == len(data) - 2
        assert data[6:8] == b"\0\0", "no block descriptors"
    return data[8:]


def test_mode_sense(host: Host) -> None:
    assert mode_sense(host, 0x2A)[:2] == b"\x2a\x12"
    pages, every = {}, mode_sense(host, 0x3F)
    while every:
        pages[every[0]] = every[: every[1] + 2]
        every = every[every[1] + 2 :]
    assert list(pages) == [0x01, 0x0D, 0x1A, 0x1D, 0x2A]
    assert all(mode_sense(host, page) == data for page, data in pages.items())
    assert all(mode_sense(host, page, DEFAULTS) == data for page, data in pages.items())
    assert mode_sense(host, 0x3F, CHANGEABLE).replace(b"\0", b"") == bytes.fromhex("010a ff 0d06 1a0a 1d08 2a12")
    mode_sense(host, 0x0E)  # audio only
    assert sense(host) == (5, 0x24, 0)
    mode_sense(host, 0x01, SAVED)
    assert sense(host) == (5, 0x39, 0)


def mode_select(host: Host, parameters: bytes, limit: int = 0xFFFE, bits: int = 0x10, size: int | None = None) -> None:
    """MODE SELECT (10); bits: PF, SP."""
    for register, value in ((ERROR, 0), (MID, limit & 0xFF), (HIGH, limit >> 8), (STATUS, 0xA0)):
        host.write(register, value)
    host.give(struct.pack(">BB5xHxxx", 0x55, bits, len(parameters) if size is None else size))
    while host.status() & DRQ:
        assert host.read(COUNT) == 0, "the host is to write data"
        wanted = host.read(MID) | host.read(HIGH) << 8
        assert 0 < wanted <= limit
        block, parameters = parameters[:wanted], parameters[wanted:]
        host.give(block + bytes(len(block) & 1))
        assert host.line.level
    assert host.read(COUNT) == 3


@pytest.mark.parametrize("limit", [0xFFFE, 20, 8, 7, 2])
def test_mode_select_changes_the_retry_count_alone(host: Host, limit: int) -> None:
    page = bytearray(mode_sense(host, 0x01))
    page[3] = 9
    mode_select(host, bytes(8) + page + mode_sense(host, 0x2A), limit)
    assert not host.status() & ERR
    assert mode_sense(host, 0x01) == page
    assert mode_sense(host, 0x01, DEFAULTS)[3] == 5
    page[2] = 1
    mode_select(host, bytes(8) + page)
    assert sense(host) == (5, 0x26, 0)
    assert mode_sense(host, 0x01)[2:4] == b"\0\x09"


@pytest.mark.parametrize(
    ("parameters", "bits", "expected"),
    [
        (b"", 0x10, (0, 0, 0)),
        (bytes(8), 0x10, (0, 0, 0)),
        (bytes(7), 0x10, (5, 0x1A, 0)),
        (bytes(8), 0x00, (5, 0x24, 0)),  # pages as vendors had them
        (bytes(8), 0x11, (5, 0x24, 0)),  # to be saved
        (b"\0\0\0\0\0\0\0\x08" + bytes(8), 0x10, (5, 0x26, 0)),  # a block descriptor
        (bytes(8) + b"\x01", 0x10, (5, 0x1A, 0)),
        (bytes(8) + b"\x01\x0a\0\x05", 0x10, (5, 0x1A, 0)),
        (bytes(8) + b"\x01\x06" + bytes(10), 0x10, (5, 0x26, 0)),
        (bytes(8) + b"\x0e\x0e" + bytes(14), 0x10, (5, 0x26, 0)),
    ],
)
def test_mode_select_refuses(host: Host, parameters: bytes, bits: int, expected: tuple[int, int, int]) -> None:
    mode_select(host, parameters, bits=bits)
    assert bool(host.read(CONTROL) & ERR) == (expected != (0, 0, 0))
    assert sense(host) == expected


def test_mode_select_may_be_as_long_as_a_count_can_say(host: Host) -> None:
    pages = mode_sense(host, 0x0D) * 8190
    mode_select(host, bytes(8) + pages, 0xFFFE)
    assert not host.read(CONTROL) & ERR


def features(host: Host, which: int = 0, start: int = 0, allocated: int = 0x400) -> dict[int, tuple[int, bytes]]:
    """Code: flags and data of the features that GET CONFIGURATION tells."""
    data = host.packet(struct.pack(">BBH3xHxxx", 0x46, which, start, allocated))
    assert struct.unpack(">I", data[:4])[0] == len(data) - 4
    assert data[4:6] == b"\0\0"
    found, at = {}, 8
    while at < len(data):
        code, flags, size = struct.unpack(">HBB", data[at : at + 4])
        found[code] = flags, data[at + 4 : at + 4 + size]
        assert size % 4 == 0
        at += 4 + size
    return found


OF_A_CDROM = [0x0000, 0x0001, 0x0002, 0x0003, 0x0010, 0x001E, 0x0100, 0x0105]


def test_configuration_has_what_a_cdrom_drive_must_have(host: Host) -> None:
    told = features(host)
    assert list(told) == OF_A_CDROM, "in ascending order"
    assert all(flags & 1 for flags, _ in told.values())
    assert told[0x0000][1] == b"\x00\x08\x01\x00"
    assert told[0x0001][1] == b"\x00\x00\x00\x02"
    assert told[0x0010][1] == b"\x00\x00\x08\x00\x00\x01\x01\x00"
    assert list(features(host, start=0x0010)) == OF_A_CDROM[4:]
    assert list(features(host, start=0x0011)) == OF_A_CDROM[5:]
    assert list(features(host, 2, 0x0003)) == [0x0003]
    assert features(host, 2, 0x0004) == {}
    assert host.packet(b"\x46\0\0\0\0\0\0\0\x08") == b"\0\0\0\x40\0\0\0\x08", "cut, but told whole"
    host.packet(b"\x46\x03\0\0\0\0\0\0\x08")
    assert sense(host) == (5, 0x24, 0)
    host.packet(b"\x1b\0\0\0\x02")
    told = features(host)
    assert list(told) == OF_A_CDROM
    assert [code for code, (flags, _) in told.items() if not flags & 1] == [0x0010, 0x001E]
    assert told[0x0000][1] == b"\x00\x08\x00\x00"
    assert list(features(host, 1)) == [code for code in OF_A_CDROM if code not in (0x0010, 0x001E)]
    assert host.packet(b"\x46\0\0\0\0\0\0\0\x08")[6:] == b"\0\0", "no profile without a disc"


def event(host: Host, classes: int) -> str:
    return host.packet(bytes([0x4A, 1, 0, 0, classes, 0, 0, 0, 8])).hex()


MEDIA, POWER, OPERATIONAL, BUSY = 0x10, 0x04, 0x02, 0x40


def test_events_of_the_medium(host: Host) -> None:
    assert event(host, MEDIA) == "0006045600020000"
    host.packet(b"\x1b\0\0\0\x02")
    host.packet(b"\x4a\x01\0\0\x10\0\0\0\x04")
    assert event(host, MEDIA) == "0006045603010000", "a header alone has told nothing"
    assert event(host, MEDIA) == "0006045600010000"
    host.packet(b"\x1b\0\0\0\x03")
    assert event(host, MEDIA) == "0006045602020000", "although UNIT ATTENTION waits"
    assert event(host, MEDIA) == "0006045600020000"
    host.packet(TEST_UNIT_READY)
    assert sense(host) == (6, 0x28, 0)


def test_events_of_the_other_classes(host: Host) -> None:
    assert event(host, OPERATIONAL) == "0006015600000000"
    assert event(host, BUSY) == "0006065600000000"
    assert event(host, 0x08 | 0x20 | 0x80 | 0x01) == "00028056", "none of these"
    assert event(host, 0) == "00028056"
    host.packet(b"\x4a\0\0\0\x10\0\0\0\x08")
    assert sense(host) == (5, 0x24, 0), "only polled"
    host.packet(b"\x1b\0\0\0\x30")
    host.packet(b"\x1b\0\0\0\x02")
    assert event(host, 0xFF) == "0006025601030000", "power comes before the medium"
    assert event(host, 0xFF) == "0006045603010000"
    assert event(host, 0xFF) == "0006015600000000", "nothing new: the first class says so"


def test_power_conditions(host: Host) -> None:
    for condition, mode in ((1, 0xFF), (2, 0xFF), (3, 0x00)):
        host.packet(bytes([0x1B, 0, 0, 0, condition << 4 | 2]))  # the other bits do not count then
        assert not host.status() & ERR
        assert event(host, POWER)[10:12] == f"{condition:02x}"
        host.command(0xE5, device=0)
        assert host.read(COUNT) == mode
    host.packet(read_10(0, 1))
    assert event(host, POWER) == "0006025601010000", "a read wakes it"
    for condition in (4, 6, 7, 8, 15):
        host.packet(bytes([0x1B, 0, 0, 0, condition << 4]))
        assert sense(host) == (5, 0x24, 0)
    for code, mode in ((0xE0, 0x00), (0xE1, 0xFF)):
        host.command(code, device=0)
        host.command(0xE5, device=0)
        assert host.read(COUNT) == mode
    host.packet(bytes([0x1B, 0, 0, 0, 0x50]))
    assert not host.status() & ERR
    host.write(STATUS, 0xA1)
    assert not host.read(CONTROL) & DRQ, "asleep"
    host.write(STATUS, 0x08)
    assert host.command(0xA1, device=0) & DRQ, "DEVICE RESET wakes it"


def test_tray(host: Host) -> None:
    host.packet(b"\x1e\0\0\0\x01")
    assert mode_sense(host, 0x2A)[6] & 2
    host.packet(b"\x1b\0\0\0\x02")
    assert sense(host) == (5, 0x53, 2)
    host.packet(b"\x1e\0\0\0\x03")
    host.packet(b"\x1e\0\0\0\x00")
    host.packet(b"\x1b\0\0\0\x02")
    assert sense(host) == (5, 0x53, 2), "the persistent lock is one of its own"
    host.packet(b"\x1e\0\0\0\x02")
    host.packet(b"\x1b\0\0\0\x02")
    assert host.packet(b"\xbd\0\0\0\0\0\0\0\0\x08")[1] == 0x10
    for packet in (TEST_UNIT_READY, read_10(0, 1), b"\x25", b"\x43", b"\x51", b"\x52", b"\xbe", b"\xb9", b"\x42"):
        host.packet(packet)
        assert sense(host) == (2, 0x3A, 2)
    host.packet(b"\x1b\0\0\0\x03")
    host.packet(TEST_UNIT_READY)
    assert sense(host) == (6, 0x28, 0)
    assert host.packet(read_10(0, 1)) == block(0)


def test_another_disc(host: Host) -> None:
    drive = host.channel.drives[0]
    assert isinstance(drive, AtapiCdrom)
    other = MemoryDisk(7 * 2048)
    assert drive.insert(other)
    assert not drive.tray_is_open
    assert event(host, MEDIA) == "0006045602020000"
    host.packet(b"\x25")
    assert sense(host) == (6, 0x28, 0)
    assert host.packet(b"\x25") == struct.pack(">II", 6, 2048)
    assert drive.insert(None)
    assert event(host, MEDIA) == "0006045603000000"
    host.packet(TEST_UNIT_READY)
    assert sense(host) == (2, 0x3A, 1), "no disc, tray closed"
    assert list(features(host, 1)) == [code for code in OF_A_CDROM if code not in (0x0010, 0x001E)]


def test_disc_that_goes_in_mid_read(host: Host, disc: MemoryDisk) -> None:
    drive = host.channel.drives[0]
    assert isinstance(drive, AtapiCdrom)
    for register, value in ((MID, 0), (HIGH, 8), (STATUS, 0xA0)):
        host.write(register, value)
    host.give(read_10(0, 80).ljust(12, b"\0"))
    assert host.take(2048) == block(0)
    assert drive.press_button()
    assert host.take(31 * 2048) == b"".join(map(block, range(1, 32))), "what the buffer has"
    assert host.status() & (ERR | DRQ) == ERR
    assert sense(host) == (2, 0x3A, 2)


def test_button_of_a_locked_tray_is_an_event(host: Host, disc: MemoryDisk) -> None:
    drive = host.channel.drives[0]
    assert isinstance(drive, AtapiCdrom)
    host.packet(b"\x1e\0\0\0\x01")
    assert not drive.press_button()
    assert not drive.insert(None)
    assert drive.disk is disc
    assert event(host, MEDIA) == "0006045601020000"
    host.packet(b"\x1e")
    assert drive.press_button()
    assert drive.tray_is_open
    assert drive.press_button()


def test_reset_and_new_disc_are_told_one_after_the_other(host: Host) -> None:
    drive = host.channel.drives[0]
    assert isinstance(drive, AtapiCdrom)
    drive.insert(MemoryDisk(2048))
    host.reset()
    assert host.packet(b"\x12\0\0\0\x24")
    assert features(host)
    for expected in ((6, 0x29, 0), (6, 0x28, 0)):
        host.packet(TEST_UNIT_READY)
        assert sense(host) == expected
    host.packet(TEST_UNIT_READY)
    assert not host.status() & ERR
    host.reset()
    assert sense(host) == (6, 0x29, 0), "REQUEST SENSE takes what waits"
    host.packet(TEST_UNIT_READY)
    assert not host.status() & ERR


def test_sense_data_is_that_of_the_last_packet(host: Host, disc: MemoryDisk) -> None:
    host.packet(b"\xfe")
    host.packet(TEST_UNIT_READY)
    assert sense(host) == (0, 0, 0)
    disc.fail_from(20 * 4, errno.EIO)
    host.packet(read_10(18, 5))
    data = host.packet(REQUEST_SENSE)
    assert data[0] == 0xF0
    assert data[3:7] == struct.pack(">I", 20), "the block that could not be read"
    assert host.packet(REQUEST_SENSE) == bytes.fromhex("70000000000000 0a 00000000 0000 00000000")
    assert host.packet(b"\x03\0\0\0\x05") == b"\x70\0\0\0\0"


@pytest.mark.parametrize("features", [1, 2])
def test_dma_and_overlap_are_aborted(host: Host, features: int) -> None:
    assert host.command(0xA0, features=features, device=0) & (ERR | DRQ) == ERR
    assert host.read(ERROR) == ABRT


def test_unknown_packet(host: Host) -> None:
    host.packet(b"\xfe")
    assert host.status() & ERR
    assert sense(host) == (5, 0x20, 0)
