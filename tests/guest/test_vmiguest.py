# SPDX-License-Identifier: GPL-2.0-or-later
"""The VMI-aware guest with ROMs of all kinds. The port calls are the instructions themselves, so any engine will do."""

from __future__ import annotations

import re
from typing import Any

import pytest

from hyperport.abi.rom import build_rom

from .board import run, self_sufficient, with_sum_zero


def verdict(lines: list[str]) -> tuple[int, int]:
    """Checks and failures by the last line."""
    found = re.fullmatch(r"vmiguest: (\d+) checks, (\d+) failures", lines[-1])
    assert found, lines
    return int(found[1]), int(found[2])


def test_full_rom() -> None:
    value, lines = run("vmiguest", rom=self_sufficient(build_rom()))
    assert (value, verdict(lines)[1]) == (0, 0), lines
    assert verdict(lines)[0] > 8000
    assert "vmi: active, kernel at CPL 0" in lines
    offered = {int(line.split()[2]): line.split()[3] for line in lines if line.startswith("vmi: call ")}
    assert offered == dict.fromkeys((33, 34, *range(49, 61)), "call_rel") | {65: "nop"}
    assert any(re.fullmatch(r"vmi: 12 port calls taken, (\d+) of \1 sites rewritten", line) for line in lines), lines


@pytest.mark.parametrize("calls", [["INB"], ["OUTB", "OUTSW"], ["49-54"], ["58-60", "INB"]])
def test_restricted_rom(calls: list[str]) -> None:
    rom = build_rom(calls)
    value, lines = run("vmiguest", rom=self_sufficient(rom))
    assert (value, verdict(lines)[1]) == (0, 0), lines
    assert any(line.startswith(f"vmi: {len(rom.doorbells)} port calls taken,") for line in lines), lines


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"licence": "BSD"}, "its licence is not the GPL"),
        ({"licence": "GPL v3"}, "its licence is not the GPL"),
        ({"licence": "GPLv2"}, "its licence is not the GPL"),
        ({"api": (4, 0)}, "its API version is not 3"),
        ({"pci": False}, "it has no PCI header"),
    ],
)
def test_stays_native_on_a_rom_that_linux_refuses(wrong: dict[str, Any], reason: str) -> None:
    value, lines = run("vmiguest", rom=self_sufficient(build_rom(**wrong)))
    assert value == 0
    assert f"vmi: refused: {reason}" in lines
    assert verdict(lines)[1] == 0
    assert not any(line.startswith("vmi: call") for line in lines)


def test_stays_native_without_rom() -> None:
    value, lines = run("vmiguest")
    assert (value, verdict(lines)[1]) == (0, 0)
    assert "vmi: refused: there is no VMI ROM" in lines


def test_stays_native_when_init_fails() -> None:
    image = bytearray(self_sufficient(build_rom()))
    image[128:136] = b"\x83\xc8\xff\xc3\x90\x90\x90\x90"  # or $-1, %eax; ret
    value, lines = run("vmiguest", rom=with_sum_zero(image))
    assert (value, verdict(lines)[1]) == (0, 0)
    assert "vmi: refused: init failed" in lines


def test_gpl_v2_is_a_licence_too() -> None:
    value, lines = run("vmiguest", rom=self_sufficient(build_rom(licence="GPL v2")))
    assert (value, verdict(lines)[1]) == (0, 0)
    assert "vmi: active, kernel at CPL 0" in lines


def test_disable_io_ops() -> None:
    doorbells = dict.fromkeys(range(49, 61), b"\x0f\x0b")  # ud2: one call would end the guest
    value, lines = run("vmiguest", "vmi=disable_io_ops", rom=self_sufficient(build_rom(), doorbells))
    assert (value, verdict(lines)[1]) == (0, 0), lines
    assert any(line.startswith("vmi: 0 port calls taken (disable_io_ops)") for line in lines), lines


@pytest.mark.parametrize("ops", ["kvm", "lguest"])
def test_entries_of_the_other_conventions(ops: str) -> None:
    value, lines = run("vmiguest", f"ops={ops} self")
    assert any(re.fullmatch(rf"vmiguest: ops {ops} by itself, (\d+) of \1 sites rewritten", line) for line in lines), (
        lines
    )
    assert (value, verdict(lines)[1]) == (0, 0), lines


@pytest.mark.parametrize(
    ("number", "stub"),
    [
        (50, b"\x31\xc0\xec\xc3"),  # INB: xor %eax, %eax; in: bits 8 to 31 lost, and flags
        (51, b"\xed\xc3"),  # INW: 32 bits read
        (50, b"\xec\x41\xc3"),  # INB: inc %ecx
        (56, b"\xc3"),  # OUTB: nothing written
        (56, b"\xee\xee\xc3"),  # OUTB: twice
        (56, b"\xee\xf9\xc3"),  # OUTB: stc
        (57, b"\x66\xef\x42\xc3"),  # OUTW: inc %edx
        (53, b"\xf3\x6c\x4f\xc3"),  # INSB: EDI one too low
        (53, b"\xf3\x6c\x49\xc3"),  # INSB: ECX -1 at the end
        (59, b"\xfc\xf3\x6e\xc3"),  # OUTSB: cld
        (60, b"\xf3\x6e\xc3"),  # OUTSW: bytes
        (58, b"\xf3\x6f\xfa\xc3"),  # OUTSL: cli
    ],
)
def test_it_notices_a_wrong_stub(number: int, stub: bytes) -> None:
    value, lines = run("vmiguest", rom=self_sufficient(build_rom(), {number: stub}))
    assert value == 1
    assert verdict(lines)[1] > 0
