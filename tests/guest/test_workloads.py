# SPDX-License-Identifier: GPL-2.0-or-later
"""The workloads: what they print, that it is the same with and without the ROM, and what their checksums are of."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

from hyperport.abi.rom import build_rom

from .board import run, self_sufficient

WORKLOADS: Final = sorted(path.stem for path in (Path(__file__).parents[2] / "guest" / "workloads").glob("*.c"))
SEED: Final = 0x48500001
BLOCK: Final = 512


def fields(lines: list[str]) -> dict[str, str]:
    """The result line: name -> value."""
    words = lines[-1].split()
    assert words[0] == "workload", lines
    return dict(zip(words[::2], words[1::2], strict=True))


def fnv_1a(data: bytes) -> int:
    total = 2166136261
    for byte in data:
        total = (total ^ byte) * 16777619 % 2**32
    return total


def test_all_are_there() -> None:
    assert WORKLOADS == ["cmos", "console", "delay", "mix", "pci", "strings", "ticks"]


@pytest.mark.parametrize("name", WORKLOADS)
def test_same_with_and_without_the_rom(name: str) -> None:
    rom = self_sufficient(build_rom())
    results = {}
    for ops in ("native", "auto", "vmi"):
        value, lines = run(name, f"n=20 ops={ops} tsc_khz=1000000", rom=rom)
        assert value == 0, lines
        results[ops] = fields(lines)
    native, auto, vmi = results.values()
    assert (native["ops"], auto["ops"], vmi["ops"]) == ("native", "vmi", "vmi")
    assert (native["taken"], vmi["taken"]) == ("0", "12")
    assert vmi["sites"] == vmi["patched"] != "0"
    assert (native["workload"], native["units"], native["tsc_khz"]) == (name, "20", "1000000")
    assert int(native["ns"]) > 0
    for key in ("units", "accesses", "checksum"):
        assert native[key] == auto[key] == vmi[key], key


@pytest.mark.parametrize("name", WORKLOADS)
def test_sites_work_unpatched_too(name: str) -> None:
    rom = self_sufficient(build_rom())
    direct, indirect = (run(name, f"n=20 tsc_khz=1000000 {more}", rom=rom)[1] for more in ("", "ops_indirect"))
    assert fields(indirect)["patched"] == "0"
    assert fields(indirect)["checksum"] == fields(direct)["checksum"]


def test_disable_io_ops_calls_nothing() -> None:
    rom = self_sufficient(build_rom(), dict.fromkeys(range(49, 61), b"\x0f\x0b"))
    value, lines = run("mix", "n=20 vmi=disable_io_ops", rom=rom)
    assert (value, fields(lines)["taken"], fields(lines)["ops"]) == (0, "0", "vmi")


@pytest.mark.parametrize("name", WORKLOADS)
@pytest.mark.parametrize("ops", ["vmi", "kvm", "lguest", "bogus"])
def test_what_is_not_there_is_not_measured(name: str, ops: str) -> None:
    value, lines = run(name, f"n=1 ops={ops}")
    assert value == 2
    assert lines[-1].startswith(f"workload {name}: ")


def test_strings_checksum_is_of_the_device() -> None:
    value, lines = run("strings", "n=1 width=2 tsc_khz=1000000")
    state, words = SEED, []
    for _ in range(BLOCK // 2):
        state = (state * 1664525 + 1013904223) % 2**32
        words.append(state >> 16)
    written = 2166136261
    for word in words:
        written = (written ^ word) * 16777619 % 2**32
    data = b"".join(word.to_bytes(2, "little") for word in words)
    assert value == 0
    assert fields(lines)["accesses"] == "512"
    assert int(fields(lines)["checksum"], 16) == fnv_1a(data + written.to_bytes(4, "little"))


def test_strings_without_device() -> None:
    value, lines = run("strings", "n=1 port=1536")  # 0x600: nobody
    assert (value, lines) == (2, ["workload strings: no device"])
    assert run("strings", "n=1 port=1536 any")[0] == 0


def test_one_direction_counts_half() -> None:
    both, only_in = (int(fields(run("strings", f"n=2 width=4 {more}")[1])["accesses"]) for more in ("", "in"))
    assert (both, only_in) == (2 * 256, 2 * 128)


def test_cmos_checksum_is_of_the_pattern() -> None:
    lines = run("cmos", "n=128 tsc_khz=1000000")[1]
    assert int(fields(lines)["checksum"], 16) == fnv_1a(bytes(index * 167 & 0xFF for index in range(0x40, 0x80)))


def test_mix_ratio_is_compute_not_accesses() -> None:
    few, many = (fields(run("mix", f"n=100 ratio={ratio} tsc_khz=1000000")[1]) for ratio in (1, 2000))
    assert few["accesses"] == many["accesses"] == "600"
    assert few["checksum"] != many["checksum"]
