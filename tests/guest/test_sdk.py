# SPDX-License-Identifier: GPL-2.0-or-later
"""The SDK as somebody else's kernel sees it: strict compilers, every header alone, any optimisation and code model."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Final

import pytest

GUEST: Final = Path(__file__).parents[2] / "guest"
HEADERS: Final = sorted((GUEST / "include" / "hyperport").glob("*.h"))
SOURCES: Final = [*sorted((GUEST / "sdk").glob("*.c")), GUEST / "examples" / "driver.c"]
COMPILER: Final = [
    *(os.environ.get("GUEST_CC", "gcc"), "-m32", "-march=i686", "-mgeneral-regs-only", "-ffreestanding"),
    *("-Wall", "-Wextra", "-Wshadow", "-Wconversion", "-Wmissing-prototypes", "-Werror", f"-I{GUEST / 'include'}"),
]


def compile_c(arguments: list[str], source: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMPILER, *arguments], input=source, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("header", HEADERS, ids=lambda path: path.name)
def test_each_header_stands_alone(header: Path) -> None:
    line = f"#include <hyperport/{header.name}>\n"
    result = compile_c(["-std=gnu99", "-fsyntax-only", "-x", "c", "-"], line * 2)
    assert (result.returncode, result.stderr) == (0, "")


@pytest.mark.parametrize("mode", [["-O0"], ["-O2"], ["-Os", "-std=gnu99"], ["-O2", "-fPIC"]], ids=" ".join)
@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.name)
def test_compiles_without_a_warning(source: Path, mode: list[str]) -> None:
    result = compile_c([*mode, "-c", "-o", os.devnull, str(source)])
    assert (result.returncode, result.stderr) == (0, "")


@pytest.mark.parametrize("mode", [["-O0"], ["-O2"], ["-Os"], ["-O2", "-fPIC"]], ids=" ".join)
def test_every_site_takes_a_call(mode: list[str], tmp_path: Path) -> None:
    listing = tmp_path / "driver.o"
    result = compile_c([*mode, "-c", "-o", str(listing), str(GUEST / "examples" / "driver.c")])
    assert result.returncode == 0, result.stderr
    section = tmp_path / "sites"
    subprocess.run(["objcopy", "-O", "binary", "-j", "hyperport_sites", str(listing), str(section)], check=True)
    records = section.read_bytes()
    ops, lengths = records[4::8], records[5::8]  # u32 address, u8 op, u8 length, u16
    assert set(ops) == {1, 5, 7, 12}  # inb, insw, outb, io_delay
    assert all(length >= 5 for length in lengths)
