# SPDX-License-Identifier: GPL-2.0-or-later
"""The CD-ROM drive: packets, their blocks, sense data, and what tells it from a hard disk."""

from __future__ import annotations

import errno
import struct

import pytest

from hyperport.devices.atapi_cdrom import AtapiCdrom
from hyperport.host.disk import MemoryDisk

from .ide_host import ABRT, COUNT, DRQ, ERR, ERROR, HIGH, LOW, MID, STATUS, Host

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
    assert data[0] == 0x70
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
    host.packet(b"\x43\0\0\0\0\0\x02\x03\x24")
    assert sense(host) == (5, 0x24, 0)


def test_mode_sense(host: Host) -> None:
    page = host.packet(b"\x5a\0\x2a\0\0\0\0\0\x80")
    assert len(page) == 28
    assert struct.unpack(">H", page[:2])[0] == 26
    assert page[8:10] == b"\x2a\x12"
    assert len(host.packet(b"\x5a\0\x3f\0\0\0\0\0\x80")) == 36
    host.packet(b"\x5a\0\x0e\0\0\0\0\0\x80")
    assert sense(host) == (5, 0x24, 0)


def test_configuration_and_events(host: Host) -> None:
    assert host.packet(b"\x46\0\0\0\0\0\0\0\x08")[6:8] == b"\x00\x08"
    assert host.packet(b"\x4a\x01\0\0\x10\0\0\0\x08") == bytes.fromhex("0006 0410 00020000")
    assert host.packet(b"\x4a\x01\0\0\x02\0\0\0\x08") == bytes.fromhex("0002 8010")
    host.packet(b"\x4a\0\0\0\x10\0\0\0\x08")
    assert sense(host) == (5, 0x24, 0)


def test_tray(host: Host) -> None:
    host.packet(b"\x1e\0\0\0\x01")
    host.packet(b"\x1b\0\0\0\x02")
    assert sense(host) == (5, 0x53, 2)
    host.packet(b"\x1e")
    host.packet(b"\x1b\0\0\0\x02")
    host.packet(read_10(0, 1))
    assert sense(host) == (2, 0x3A, 2)
    host.packet(b"\x1b\0\0\0\x03")
    host.packet(TEST_UNIT_READY)
    assert sense(host) == (6, 0x28, 0)
    assert host.packet(read_10(0, 1)) == block(0)


@pytest.mark.parametrize("features", [1, 2])
def test_dma_and_overlap_are_aborted(host: Host, features: int) -> None:
    assert host.command(0xA0, features=features, device=0) & (ERR | DRQ) == ERR
    assert host.read(ERROR) == ABRT


def test_unknown_packet(host: Host) -> None:
    host.packet(b"\xfe")
    assert host.status() & ERR
    assert sense(host) == (5, 0x20, 0)
