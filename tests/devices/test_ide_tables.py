# SPDX-License-Identifier: GPL-2.0-or-later
"""The tables of docs/ide.md are what the drives do: every command code and every packet is sent."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from hyperport.devices import ata_drive, atapi_cdrom
from hyperport.devices.ata_drive import AtaDrive
from hyperport.devices.atapi_cdrom import AtapiCdrom
from hyperport.devices.ide_drive import IdeDrive
from hyperport.host.disk import MemoryDisk

from .ide_host import ABRT, CONTROL, DRQ, ERR, ERROR, LBA, STATUS, Host

DOCUMENT = Path(__file__).parents[2] / "docs" / "ide.md"
TRANSFER_MODE = 0x03
DIAGNOSTIC = 0x90  # is the channel's
REFUSED_BY_NAME = {"disk": {0x00}, "cdrom": {0x00, 0x20, 0xEC}}  # commands that exist and are always aborted


def codes(title: str) -> set[int]:
    """First column of the table under a heading: 10-1f, or 20, 21."""
    text = re.split(r"^## ", DOCUMENT.read_text(), flags=re.M)
    (part,) = (section for section in text if section.startswith(title + "\n"))
    found: list[int] = []
    for first in re.findall(r"^\| ([0-9a-f][^|]*) \|", part, re.M):
        for item in first.split(", "):
            start, _, end = item.partition("-")
            found += range(int(start, 16), int(end or start, 16) + 1)
    assert found
    assert len(found) == len(set(found)), "each code once"
    return set(found)


def disk() -> IdeDrive:
    return AtaDrive(MemoryDisk(1000 * 512))


def cdrom() -> IdeDrive:
    return AtapiCdrom(MemoryDisk(100 * 2048, writable=False))


def test_tables_of_the_code() -> None:
    assert codes("The hard disk") == {code for code, *_ in ata_drive.COMMANDS} | {DIAGNOSTIC}
    assert codes("The CD-ROM drive") == set(atapi_cdrom.COMMANDS) | {DIAGNOSTIC}
    assert codes("Its packets") == set(atapi_cdrom.PACKETS)


@pytest.mark.parametrize(("title", "make"), [("The hard disk", disk), ("The CD-ROM drive", cdrom)])
def test_a_command_that_is_not_in_the_table_is_aborted_and_one_that_is_goes_well(
    title: str, make: Callable[[], IdeDrive]
) -> None:
    told = codes(title) - REFUSED_BY_NAME[make.__name__]
    for code in range(256):
        host = Host(make())
        host.write(ERROR, TRANSFER_MODE if code == 0xEF else 0)
        status = host.command_48(code, count=1)  # writes each register twice: good for short addresses, too
        if code in told:
            assert not status & ERR, f"{code:02x}"
        else:
            assert status & (ERR | DRQ) == ERR, f"{code:02x}"
            assert host.read(ERROR) == ABRT
            assert host.line.level
        assert host.command(0xE5, device=LBA) & ERR == 0 or code in told, "and the next one goes well"


# What a packet needs to be a good one, where all zeros is none.
GOOD = {
    0x43: "43 00 00 000000 00 00ff",
    0x4A: "4a 01 0000 10 0000 0008",
    0x55: "55 10",
    0x5A: "5a 00 2a",
    0xB9: "b9 00 00 000200 000201 10",
    0xBE: "be 00 00000000 000001 10",
}


def test_a_packet_that_is_not_in_the_table_is_unknown_and_one_that_is_goes_well() -> None:
    told = codes("Its packets")
    for code in range(256):
        host = Host(cdrom())
        host.packet(b"\x00")
        host.packet(bytes.fromhex(GOOD.get(code, f"{code:02x}")).ljust(12, b"\0"))
        assert bool(host.read(CONTROL) & ERR) == (code not in told), f"{code:02x}"
        sense = host.packet(b"\x03\0\0\0\x12")
        assert (sense[2], sense[12]) == ((0, 0) if code in told else (5, 0x20))
    host = Host(cdrom())
    host.write(STATUS, 0xA0)
    assert host.read(CONTROL) & DRQ


def test_features_are_those_of_the_drive() -> None:
    host = Host(cdrom())
    data, at, found = host.packet(b"\x46\0\0\0\0\0\0\4\0"), 8, set()
    while at < len(data):
        found.add(int.from_bytes(data[at : at + 2], "big"))
        at += 4 + data[at + 3]
    assert codes("Features and mode pages") == found
