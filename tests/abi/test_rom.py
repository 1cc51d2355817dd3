# SPDX-License-Identifier: GPL-2.0-or-later
"""The ROM's bytes: what a BIOS and a kernel look at before they run any of it."""

from __future__ import annotations

import struct

import pytest

from hyperport.abi.numbers import PORT_CALLS, ROM_BASE, VMI_SCAN_END, VMI_SCAN_START, VMI_SCAN_STEP, Relocation
from hyperport.abi.rom import ANSWER, ANSWERS_AT, RomImage, build_rom, offered_calls, select_calls
from hyperport.errors import ConfigError

ROM = build_rom()
FULL = build_rom(["full"])
IO_NUMBERS = set(range(49, 61))
TIMER_NUMBERS = {66, 67, 68, 69, 70}


def u8(data: bytes, at: int) -> int:
    return data[at]


def u16(data: bytes, at: int) -> int:
    return int(struct.unpack_from("<H", data, at)[0])


def text(data: bytes, at: int) -> bytes:
    return data[at : data.index(0, at)]


def answer(rom: RomImage, number: int) -> tuple[int, int]:
    found = ANSWER.unpack_from(rom.data, u16(rom.data, ANSWERS_AT) + ANSWER.size * number)
    return int(found[0]), int(found[1])


def test_kernels_find_it_where_it_is() -> None:
    assert VMI_SCAN_START <= ROM_BASE < ROM_BASE + len(ROM.data) <= VMI_SCAN_END
    assert ROM_BASE % VMI_SCAN_STEP == 0
    assert ROM_BASE >= 0xC8000  # the specification's scan begins here, Linux's at C0000h


@pytest.mark.parametrize("calls", [None, [], ["INB", "OUTSW"], ["iodelay"]])
def test_length_and_checksum(calls: list[str] | None) -> None:
    data = build_rom(calls).data
    assert data[:2] == b"\x55\xaa"
    assert len(data) == u8(data, 2) * 512
    assert sum(data) % 256 == 0


def test_header() -> None:
    data = ROM.data
    assert data[3] == 0xCB  # the BIOS calls this 16-bit entry: a far return
    assert data[8:12] == b"cVmi"
    assert (u8(data, 13), u8(data, 12)) == (3, 0)
    assert data[16:20] == bytes(4)  # virtual_top: no address space is kept
    assert text(data, u16(data, 22)) == b"GPL"
    assert data[32:128] == bytes(96)


def test_entries_are_jumps_that_fit() -> None:
    for entry in (128, 136):
        assert ROM.data[entry] == 0xEB
        assert 144 <= entry + 2 + ROM.data[entry + 1] < len(ROM.data)


def test_pci_data_structure() -> None:
    at = u16(ROM.data, 24)
    assert at % 4 == 0
    assert ROM.data[at : at + 4] == b"PCIR"
    assert (u16(ROM.data, at + 4), u16(ROM.data, at + 6)) == (0x15AD, 0x0801)
    assert u16(ROM.data, at + 10) == 24
    assert u16(ROM.data, at + 16) == u8(ROM.data, 2)
    assert u8(ROM.data, at + 20) == 0
    assert u8(ROM.data, at + 21) == 0x80


def test_pnp_header() -> None:
    at = u16(ROM.data, 26)
    assert at % 16 == 0
    assert ROM.data[at : at + 4] == b"$PnP"
    size = 16 * u8(ROM.data, at + 5)
    assert size == 32
    assert sum(ROM.data[at : at + size]) % 256 == 0
    assert text(ROM.data, u16(ROM.data, at + 14)) == b"hyperport"
    assert text(ROM.data, u16(ROM.data, at + 16)) == b"hyperport VMI ROM"


def test_doorbells_are_where_the_map_says() -> None:
    assert sorted(ROM.doorbells.values()) == sorted(IO_NUMBERS)
    for offset, number in ROM.doorbells.items():
        assert ROM.data[offset : offset + 3] == bytes((0xE6, number, 0xC3))
        assert answer(ROM, number) == (offset, Relocation.CALL_REL)


def test_offered_calls() -> None:
    ports = [call.name for call in PORT_CALLS]
    assert set(ports) < set(offered_calls())
    assert select_calls(["minimal"]) == {33, 34, 65} | IO_NUMBERS
    assert build_rom() == build_rom(["minimal"])


def test_the_full_rom_answers_all_that_kernels_ask_for() -> None:
    """But the local APIC's registers, 63 and 64: there is none, and a kernel's own way is right."""
    never_asked_for = {1, 2, 8, 26, 36, 37, 42, 43, 72}
    answered = {number for number in range(74) if answer(FULL, number)[1] != Relocation.NONE}
    assert answered == set(range(74)) - never_asked_for - {63, 64}
    assert select_calls(["full"]) == answered
    kinds = {number: answer(FULL, number)[1] for number in answered}
    assert {number for number, kind in kinds.items() if kind == Relocation.NOP} == {40, 41, 44, 45, 48, 62, 65, 73}
    assert {kind for number, kind in kinds.items()} == {Relocation.NOP, Relocation.CALL_REL}
    assert set(FULL.doorbells.values()) == IO_NUMBERS | TIMER_NUMBERS
    for offset, number in FULL.doorbells.items():
        assert FULL.data[offset : offset + 2] == bytes((0xE6, number))


@pytest.mark.parametrize(
    ("calls", "numbers"),
    [
        (["INB"], {50}),
        (["inb", " OutSw "], {50, 60}),
        (["50"], {50}),
        (["49-60"], IO_NUMBERS),
        (["58-65"], {58, 59, 60, 61, 62, 65}),
        (["IODelay", "INB", "INB"], {50, 65}),
        (["MINIMAL", "getcr0"], {19, 33, 34, 65} | IO_NUMBERS),
        (["29-34"], set(range(29, 35))),
        (["SYSEXIT"], {34}),
        ([], set()),
    ],
)
def test_restricted_sets(calls: list[str], numbers: set[int]) -> None:
    assert select_calls(calls) == numbers
    rom = build_rom(calls)
    offered = {number for number in range(74) if answer(rom, number)[1] != Relocation.NONE}
    assert offered == numbers | {33, 34}
    assert set(rom.doorbells.values()) == numbers & (IO_NUMBERS | TIMER_NUMBERS)


@pytest.mark.parametrize(
    "bad", ["", "nonsense", "WRMSR", "1", "63-64", "fullest", "60-49", "-", "49-", "-60", "4²", "9" * 5000, "INB-OUTB"]
)
def test_unknown_calls_are_refused_in_one_line(bad: str) -> None:
    with pytest.raises(ConfigError) as error:
        build_rom(["INB", bad])
    assert repr(bad) in str(error.value)
    assert "OUTSW" in str(error.value)
    assert "\n" not in str(error.value)


def test_roms_that_guests_refuse() -> None:
    bsd = build_rom(licence="BSD").data
    assert text(bsd, u16(bsd, 22)) == b"BSD"
    future = build_rom(api=(4, 1)).data
    assert (u8(future, 13), u8(future, 12)) == (4, 1)
    assert u16(build_rom(pci=False).data, 24) == 0
    for data in (bsd, future, build_rom(pci=False).data):
        assert sum(data) % 256 == 0


def test_a_licence_that_does_not_fit() -> None:
    assert len(build_rom(licence="x" * 2000).data) > len(ROM.data)
    with pytest.raises(ConfigError, match="shorten"):
        build_rom(licence="x" * 200_000)
