# SPDX-License-Identifier: GPL-2.0-or-later
"""The hard disk: its commands, addresses, blocks and errors."""

from __future__ import annotations

import errno
import struct

import pytest

from hyperport.devices.ata_drive import AtaDrive
from hyperport.host.disk import MemoryDisk

from .ide_host import ABRT, CONTROL, COUNT, DEVICE, DRQ, ERR, ERROR, HIGH, HOB, IDNF, LBA, LOW, MID, READY, UNC, Host

SECTORS = 2000
READ, READ_EXT, READ_MULTIPLE, READ_MULTIPLE_EXT = 0x20, 0x24, 0xC4, 0x29
WRITE, WRITE_EXT, WRITE_MULTIPLE, WRITE_MULTIPLE_EXT = 0x30, 0x34, 0xC5, 0x39


def sector(number: int) -> bytes:
    return struct.pack("<Q", number * 0x9E3779B97F4A7C15 & (1 << 64) - 1) * 64


def made(sectors: int = SECTORS, *, writable: bool = True) -> tuple[Host, MemoryDisk]:
    disk = MemoryDisk(sectors * 512)
    disk.write_sectors(0, b"".join(sector(number) for number in range(sectors)))
    if not writable:
        read_only = MemoryDisk(sectors * 512, writable=False)
        return Host(AtaDrive(read_only)), read_only
    return Host(AtaDrive(disk)), disk


def identify(host: Host) -> tuple[int, ...]:
    assert host.command(0xEC, device=0) == READY | DRQ
    assert host.line.level
    words = struct.unpack("<256H", host.take(512))
    assert host.status() == READY
    return words


def text(words: tuple[int, ...]) -> str:
    return struct.pack(f">{len(words)}H", *words).decode("ascii")


def test_identify() -> None:
    words = identify(made()[0])
    assert words[0] == 0x0040
    assert (words[1], words[3], words[6]) == (1, 16, 63)
    assert text(words[10:20]).strip() == "HP00000001"
    assert text(words[27:47]).strip() == "HYPERPORT HARD DISK"
    assert words[47] == 0x8080
    assert words[49] & 0x0100 == 0, "no DMA"
    assert words[59] == 0x0180
    assert words[60] | words[61] << 16 == SECTORS
    assert words[82] == words[85] == 0x7068
    assert words[83] == 0x7400
    assert words[86] == 0x3400
    assert sum(struct.pack("<256H", *words)) % 256 == 0
    assert words[255] & 0xFF == 0xA5
    assert sum(word << 16 * place for place, word in enumerate(words[100:104])) == SECTORS


@pytest.mark.parametrize("width", [2, 4])
def test_read_has_an_interrupt_for_each_sector(width: int) -> None:
    host, _ = made()
    assert host.command(READ, lba=7, count=3) == READY | DRQ
    for number in (7, 8, 9):
        assert host.line.level
        assert host.status() == READY | DRQ
        assert not host.line.level
        assert host.take(512, width) == sector(number)
    assert not host.line.level, "no interrupt after the last block"
    assert host.status() == READY


def test_bytes_of_the_data_port_are_lower_halves_of_words() -> None:
    host, _ = made()
    host.command(READ, lba=7, count=1)
    assert host.take(256, 1) == sector(7)[::2]
    assert host.status() == READY


@pytest.mark.parametrize(("code", "block"), [(READ, 1), (READ_MULTIPLE, 128)])
def test_read_of_256_sectors(code: int, block: int) -> None:
    host, disk = made()
    host.command(code, lba=1000, count=0)
    data = b""
    interrupts = 0
    while host.line.level:
        interrupts += 1
        assert host.status() & DRQ
        data += host.take(block * 512)
    assert data == disk.read_sectors(1000, 256)
    assert interrupts == 256 // block


def test_multiple_has_an_interrupt_for_each_block_and_a_short_last_one() -> None:
    host, disk = made()
    host.command(0xC6, count=16)
    host.command(READ_MULTIPLE, lba=5, count=40)
    sizes = []
    data = b""
    for size in (16, 16, 8):
        assert host.line.level
        assert host.status() & DRQ
        data += host.take(size * 512)
        sizes.append(size)
    assert not host.line.level
    assert data == disk.read_sectors(5, 40)


def test_one_string_may_take_all_blocks() -> None:
    host, disk = made()
    host.command(READ, lba=5, count=200)
    assert host.take(200 * 512, 4) == disk.read_sectors(5, 200)
    assert host.channel.read_block(0, 2, 2) == b"\xff" * 4


@pytest.mark.parametrize(("code", "block"), [(WRITE, 1), (WRITE_MULTIPLE, 16)])
def test_write_has_no_interrupt_before_the_first_block(code: int, block: int) -> None:
    host, disk = made()
    host.command(0xC6, count=16)
    host.status()
    assert host.command(code, lba=100, count=40) == READY | DRQ
    assert not host.line.level
    data = b"".join(sector(number) for number in range(5000, 5040))
    for at in range(0, 40, block):
        assert host.status() == READY | DRQ
        host.give(data[at * 512 : (at + block) * 512])
        assert host.line.level
    assert host.status() == READY
    assert disk.read_sectors(99, 42) == sector(99) + data + sector(140)


@pytest.mark.parametrize("code", [READ_EXT, READ_MULTIPLE_EXT])
def test_read_with_48_bits(code: int) -> None:
    host, disk = made()
    host.command_48(code, lba=1, count=0x0300)
    assert host.take(0x300 * 512) == disk.read_sectors(1, 0x300)
    assert host.status() == READY


def test_write_with_48_bits() -> None:
    host, disk = made()
    for code in (WRITE_EXT, WRITE_MULTIPLE_EXT):
        host.command_48(code, lba=3, count=300)
        host.give(bytes([code]) * 300 * 512)
        assert host.status() == READY
        assert disk.read_sectors(3, 300) == bytes([code]) * 300 * 512


def test_the_far_end_of_a_large_disk() -> None:
    """Only the registers can tell: nobody has the memory, so the disk's answer is an error beyond its end."""
    host, _ = made()
    host.command_48(READ_EXT, lba=0xFEDCBA987654, count=1)
    assert host.status() & ERR
    assert host.read(ERROR) == IDNF
    assert [host.read(register) for register in (LOW, MID, HIGH)] == [0x54, 0x76, 0x98]
    host.write(CONTROL, HOB)
    assert [host.read(register) for register in (LOW, MID, HIGH)] == [0xBA, 0xDC, 0xFE]


def chs(host: Host, code: int, cylinder: int, head: int, number: int, count: int = 1) -> int:
    return host.command(code, lba=number | cylinder << 8, count=count, device=head)


def test_cylinders_heads_and_sectors() -> None:
    host, _ = made()
    chs(host, READ, 0, 15, 3)
    assert host.take(512) == sector(15 * 63 + 2)
    chs(host, 0x91, 0, 3, 0, 17)  # INITIALIZE DEVICE PARAMETERS: 17 sectors, 4 heads
    assert host.status() == READY
    chs(host, READ, 1, 2, 3)
    assert host.take(512) == sector((1 * 4 + 2) * 17 + 2)
    words = identify(host)
    assert words[54:57] == (SECTORS // 68, 4, 17)
    assert words[57] | words[58] << 16 == SECTORS // 68 * 68
    for cylinder, head, number in ((0, 4, 1), (0, 0, 0), (0, 0, 18), (SECTORS // 68, 0, 1)):
        chs(host, READ, cylinder, head, number)
        assert host.status() & ERR
        assert host.read(ERROR) == IDNF
    chs(host, READ_EXT, 0, 0, 1)
    assert host.read(ERROR) == ABRT
    chs(host, 0x91, 0, 3, 0, 0)
    assert host.read(ERROR) == ABRT


@pytest.mark.parametrize(("lba", "count"), [(SECTORS, 1), (SECTORS - 1, 2), (0xFFFFFFF, 1), (SECTORS - 255, 0)])
@pytest.mark.parametrize("code", [READ, WRITE, READ_MULTIPLE, WRITE_MULTIPLE, 0x40])
def test_beyond_the_end(code: int, lba: int, count: int) -> None:
    host, _ = made()
    assert host.command(code, lba=lba, count=count) == READY | ERR
    assert host.line.level
    assert host.read(ERROR) == IDNF
    assert host.address() == max(lba, SECTORS)


def test_unreadable_sector_is_named_after_what_could_be_read() -> None:
    host, disk = made()
    disk.fail_from(13, errno.EIO)
    host.command(READ, lba=10, count=10)
    assert host.take(3 * 512) == sector(10) + sector(11) + sector(12)
    assert host.line.level
    assert host.status() == READY | ERR
    assert host.read(ERROR) == UNC
    assert host.address() == 13
    assert host.read(COUNT) == 7
    assert disk.failures
    assert disk.last_errno == errno.EIO


def test_unreadable_sector_ends_its_block_of_a_multiple_before_it() -> None:
    host, disk = made()
    host.command(0xC6, count=8)
    disk.fail_from(13, errno.EIO)
    host.command(READ_MULTIPLE, lba=0, count=24)
    assert host.take(8 * 512) == b"".join(map(sector, range(8)))
    assert host.status() == READY | ERR
    assert (host.read(ERROR), host.address()) == (UNC, 13)


@pytest.mark.parametrize("reason", [errno.ENOSPC, errno.EIO])
def test_host_that_cannot_write(reason: int) -> None:
    host, disk = made()
    host.command(0xC6, count=8)
    disk.fail_from(13, reason)
    host.command(WRITE_MULTIPLE, lba=8, count=16)
    host.give(b"w" * 8 * 512)
    assert host.line.level
    assert host.status() == READY | ERR
    assert (host.read(ERROR), host.address(), host.read(COUNT)) == (ABRT, 13, 11)
    disk.fail_from(0, 0)
    assert disk.read_sectors(8, 6) == b"w" * 5 * 512 + sector(13)


def test_flush_fails_if_the_host_fails() -> None:
    host, disk = made()
    for code in (0xE7, 0xEA, 0xE0, 0xE6):
        disk.fail_from(SECTORS, errno.EIO)
        host.command(code)
        assert host.status() == READY | ERR
        assert host.read(ERROR) == ABRT
        disk.fail_from(0, 0)
        host.reset()
        host.command(code)
        assert host.status() == READY


def test_write_cache_off_means_that_each_write_is_flushed() -> None:
    host, disk = made()
    host.command(0xEF, features=0x82)
    assert identify(host)[85] & 0x20 == 0
    disk.fail_from(SECTORS, errno.EIO)  # writes go well, flushes do not
    host.command(WRITE, lba=1, count=1)
    host.give(b"x" * 512)
    assert host.status() == READY | ERR
    host.command(0xEF, features=0x02)
    host.command(WRITE, lba=1, count=1)
    host.give(b"y" * 512)
    assert host.status() == READY


def test_read_only_disk_aborts_writes() -> None:
    host, _ = made(writable=False)
    for code in (WRITE, WRITE_MULTIPLE):
        assert host.command(code, lba=5, count=1) == READY | ERR
        assert host.read(ERROR) == ABRT
    assert host.command(0xE7) == READY
    host.command(READ, lba=5, count=1)
    assert host.take(512) == bytes(512)


@pytest.mark.parametrize("count", [3, 129, 255])
def test_block_sizes_that_are_refused_switch_multiple_off(count: int) -> None:
    host, _ = made()
    assert host.command(0xC6, count=count) == READY | ERR
    assert host.command(READ_MULTIPLE, count=1) == READY | ERR
    assert host.read(ERROR) == ABRT
    assert identify(host)[59] == 0


def test_verify_and_seek_move_no_data() -> None:
    host, disk = made()
    for code in (0x40, 0x41, 0x70, 0x10):
        assert host.command(code, lba=100, count=200) == READY
        assert host.line.level
    assert host.command_48(0x42, lba=0, count=1500) == READY
    disk.fail_from(150, errno.EIO)
    assert host.command(0x40, lba=100, count=200) == READY | ERR
    assert (host.read(ERROR), host.address()) == (UNC, 150)


def test_recalibrate_and_seek_do_not_look_at_what_they_do_not_take() -> None:
    host, _ = made()
    for code in range(0x10, 0x20):
        assert host.command(code, lba=SECTORS + 5, count=9) == READY, "RECALIBRATE has no address"
    assert chs(host, 0x10, 9999, 0, 0) == READY
    assert host.command(0x70, lba=SECTORS - 1, count=0) == READY, "SEEK has no count"
    assert host.command(0x70, lba=SECTORS, count=1) == READY | ERR


@pytest.mark.parametrize("code", [READ, READ_MULTIPLE, WRITE, 0x40, 0x70, 0xE7, 0xEC, 0xE5, 0xE4, 0xE8, 0xC6])
def test_a_new_command_clears_what_the_last_one_left(code: int) -> None:
    host, disk = made()
    disk.fail_from(500, errno.EIO)
    for failing in ({"code": 0xFD}, {"code": READ, "lba": 500}, {"code": READ, "lba": SECTORS + 1}):
        assert host.command(count=1, **failing) & ERR
        assert host.read(ERROR)
        disk.fail_from(0, 0)
        assert not host.command(code, count=1) & ERR
        assert host.read(ERROR) == 0
        disk.fail_from(500, errno.EIO)
    host.command(WRITE, count=1)
    host.give(bytes(512))
    assert host.status() == READY
    host.command(READ, lba=5, count=2)
    assert not host.command(0xE1) & DRQ, "nor is there anything left of a transfer"
    assert host.take(2) == b"\xff\xff"


def test_buffer_is_written_and_read_back() -> None:
    host, disk = made()
    host.command(0xE4)
    assert host.take(512) == bytes(512)
    assert host.command(0xE8) == READY | DRQ
    assert host.line.level == 0
    host.give(sector(77))
    assert host.line.level == 1
    assert host.status() == READY
    host.command(READ, lba=3, count=1)
    assert host.take(512) == sector(3)
    host.command(0xE4)
    assert host.line.level
    assert host.take(512) == sector(77)
    assert disk.read_sectors(0, 1) == sector(0)


def test_error_of_a_long_address_is_told_in_both_halves_of_the_registers() -> None:
    host, disk = made()
    disk.fail_from(1000, errno.EIO)
    host.command_48(READ_EXT, lba=700, count=600, device=LBA | 0x0F)
    assert len(host.take(300 * 512)) == 300 * 512
    assert host.status() & ERR
    low = [host.read(register) for register in (COUNT, LOW, MID, HIGH)]
    assert host.read(DEVICE) == LBA | 0x0F, "has no part of a long address"
    host.write(CONTROL, HOB)
    high = [host.read(register) for register in (COUNT, LOW, MID, HIGH)]
    assert low == [300 & 0xFF, 1000 & 0xFF, 1000 >> 8, 0]
    assert high == [300 >> 8, 0, 0, 0]


def test_rest_that_cannot_be_flushed_is_none() -> None:
    host, disk = made()
    for code in (0xE0, 0xE2, 0xE6):
        disk.fail_from(SECTORS, errno.EIO)
        assert host.command(code) == READY | ERR
        disk.fail_from(0, 0)
        host.command(0xE5)
        assert host.read(COUNT) == 0xFF, "still active, and not asleep"


def test_power_modes() -> None:
    host, _ = made()

    def mode() -> int:
        host.command(0xE5)
        return host.read(COUNT)

    assert mode() == 0xFF
    for code, expected in ((0xE0, 0), (0xE1, 0xFF), (0xE2, 0), (0xE3, 0xFF), (0xE2, 0)):
        assert host.command(code) == READY
        assert mode() == expected
    host.command(READ, count=1)
    host.take(512)
    assert mode() == 0xFF, "a read wakes it"
    host.command(0xE6)
    host.status()
    host.command(0xEC)
    assert not host.line.level, "only a reset wakes a drive that sleeps"
    host.reset()
    assert host.command(0xEC) & DRQ


@pytest.mark.parametrize(
    ("features", "count", "good"),
    [
        (0x03, 0x00, True),  # transfer modes
        (0x03, 0x0C, True),
        (0x03, 0x20, False),
        (0x03, 0x42, False),
        (0x03, 0x0D, False),
        (0x66, 0, True),
        (0xCC, 0, True),
        (0xAA, 0, True),
        (0x55, 0, True),
        (0x01, 0, False),  # bytes on the data port
        (0x05, 1, False),
    ],
)
def test_set_features(features: int, count: int, good: bool) -> None:
    host, _ = made()
    assert host.command(0xEF, features=features, count=count) == (READY if good else READY | ERR)


def test_settings_go_with_a_soft_reset_if_the_host_wants_that() -> None:
    host, _ = made()
    host.command(0xC6, count=4)
    host.reset()
    assert identify(host)[59] == 0x0104
    host.command(0xEF, features=0xCC)
    host.reset()
    assert identify(host)[59] == 0x0180


@pytest.mark.parametrize("code", [0x00, 0x08, 0xA0, 0xA1, 0x25, 0xC8, 0xCA, 0xB0, 0xF5, 0xFF])
def test_commands_that_are_not_there_are_aborted(code: int) -> None:
    host, _ = made()
    assert host.command(code, count=1) == READY | ERR
    assert host.read(ERROR) == ABRT
    assert host.line.level
    assert host.read(DEVICE) == LBA
