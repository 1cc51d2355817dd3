# SPDX-License-Identifier: GPL-2.0-or-later
"""A kernel's kallsyms tables as scripts/kallsyms.c lays them out, made here, and found in a guest's RAM."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from hyperport import GuestMemory, Machine
from hyperport.cpu.state import protected_flat
from hyperport.observe.kallsyms import DIGITS, running_symbols
from hyperport.observe.profile import Profile

BASE = 0xC100_0000
TOKENS = [bytes((token,)) if 0x20 < token < 0x7F else b"" for token in range(256)]
TOKENS[0x80], TOKENS[0x81], TOKENS[0xFF] = b"Tin", b"serial_", b"long_name_of_"
COUNT = 3000
NAMES = [b"\x80" + b"b_%d" % number for number in range(COUNT)]  # Tinb_17
NAMES[5] = b"t" + b"\x81" * 3 + b"out"
NAMES[6] = b"D" + b"data"
NAMES[7] = b"T" + b"\xff" * 200 + b"x"  # 202 bytes: a length of two bytes


def aligned(data: bytes) -> bytes:
    return data.ljust((len(data) + 3) & ~3, b"\0")


def tables(*, old: bool, sequences: str) -> bytes:
    """sequences: before the token table, last, or none."""
    names, markers = b"", []
    for number, name in enumerate(NAMES):
        if number % 256 == 0:
            markers.append(len(names))
        size = len(name)
        names += (bytes((size,)) if size < 0x80 else bytes((size & 0x7F | 0x80, size >> 7))) + name
    offsets = b"".join(struct.pack("<I", 16 * number) for number in range(COUNT)) + struct.pack("<I", BASE)
    table = b"".join(token + b"\0" for token in TOKENS)
    index, at = b"", 0
    for token in TOKENS:
        index += struct.pack("<H", at)
        at += len(token) + 1
    order = aligned(bytes(range(1, 251)) * (3 * COUNT // 250 + 1))[: 3 * COUNT]
    return (
        (offsets if old else b"")
        + struct.pack("<I", COUNT)
        + aligned(names)
        + b"".join(struct.pack("<I", marker) for marker in markers)
        + (aligned(order) if sequences == "before" else b"")
        + aligned(table)
        + aligned(index)
        + (b"" if old else offsets)
        + (order if sequences == "last" else b"")
    )


def memory(data: bytes, at: int = 0x12_3450) -> GuestMemory:
    made = GuestMemory(8 << 20)
    made.write(at, data)
    return made


@pytest.mark.parametrize(("old", "sequences"), [(True, "none"), (True, "before"), (False, "before"), (False, "last")])
def test_each_layout_that_there_has_been(old: bool, sequences: str) -> None:
    ram = memory(tables(old=old, sequences=sequences))
    ram.write(0x1000, DIGITS * 3)  # what looks like a table at first
    symbols = running_symbols(ram)
    assert symbols is not None
    assert symbols.name(BASE) == "inb_0"
    assert symbols.told(BASE + 16 * 17 + 3) == "inb_17+0x3"
    assert symbols.name(BASE + 16 * 5) == "serial_serial_serial_out"
    assert symbols.name(BASE + 16 * 6) == ""  # data
    assert symbols.name(BASE + 16 * 7) == "long_name_of_" * 200 + "x"
    assert len(symbols.rows) == COUNT - 1


def bad(change: Callable[[bytearray], None]) -> bytes:
    data = bytearray(tables(old=True, sequences="none"))
    change(data)
    return bytes(data)


def put(at: int, value: int) -> Callable[[bytearray], None]:
    def change(data: bytearray) -> None:
        struct.pack_into("<I", data, at, value)

    return change


@pytest.mark.parametrize(
    "data",
    [
        b"",
        DIGITS * 1000,
        tables(old=True, sequences="none")[:-1],  # an index that is cut off
        tables(old=True, sequences="none")[4 * COUNT :],  # no offsets
        bad(put(4 * COUNT, 0x1000)),  # a base that is no kernel's
        bad(put(4 * COUNT + 4, COUNT + 256)),  # a number of symbols that the markers deny
        bad(put(4 * COUNT + 8, 0x7F7F_7F7F)),  # lengths that lead elsewhere
        bad(put(0, 0xFFFF_FFFF)),  # offsets that do not rise
    ],
)
def test_what_does_not_agree_is_no_symbols(data: bytes) -> None:
    assert running_symbols(memory(data)) is None


def test_tables_at_the_ends_of_memory() -> None:
    data = tables(old=True, sequences="none")
    ram = GuestMemory(1 << 20)
    ram.write(0, data)
    assert running_symbols(ram) is not None
    ram = GuestMemory(1 << 20)
    ram.write((1 << 20) - len(data), data)
    assert running_symbols(ram) is not None


def test_memory_full_of_bait_is_given_up() -> None:
    """Token tables everywhere, with rising numbers before them: bounded by tries, not by what is there."""
    table = tables(old=True, sequences="none")
    tail = table[table.index(DIGITS) - 0x30 - 94 :][:1400]
    rising = b"".join(struct.pack("<I", 300 * number) for number in range(20_000))
    block = aligned(rising) + aligned(tail)
    ram = GuestMemory(16 << 20)
    ram.write(0, (block * ((16 << 20) // len(block)))[: 16 << 20])
    running_symbols(ram)


def test_a_profile_names_functions_by_them(tmp_path: Path) -> None:
    with Machine(memory=8 << 20, engine="unicorn") as machine:
        machine.memory.write(0x40_0000, tables(old=True, sequences="none"))
        machine.memory.write(0x10_0000, b"\xe6\x80\xfa\xf4")
        machine.engine.set_state(protected_flat(eip=0x10_0000))
        with Profile(machine) as profile:
            machine.run(timeout=20)
        report = profile.report()
    assert report["symbols"] == "kallsyms in the guest's RAM"
    assert report["rows"][0]["function"] == "0x00100000"  # outside the kernel's
