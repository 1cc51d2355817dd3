# SPDX-License-Identifier: GPL-2.0-or-later
"""Integer instructions beside this host's processor: registers, flags and memory after random programs."""

from __future__ import annotations

import shutil
import struct
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import pytest

from hyperport import Machine
from hyperport.outcome import GuestExit

from ...conftest import MIB
from .integers import ARITHMETIC, DATA, RECORD, REGISTERS, RESULTS, STACK, Programs

CODE: Final = 0x200000
COUNT: Final = 400
DATA_BYTES: Final = 256
MAPPED: Final = 0x300000, 0x300000  # where the data, the stack and the results are, in bytes
NAMES: Final = (*REGISTERS[32], "eflags", "esp")
LIMIT_S: Final = 60

PREPARE: Final = f"mov esi, offset data; mov edi, {DATA:#x}; mov ecx, {DATA_BYTES}; cld; rep movsb; mov esp, {STACK:#x}"
BEGIN_PROCESS: Final = f"mov eax, 90; mov ebx, offset map; int 0x80; {PREPARE}"  # mmap
END_PROCESS: Final = (
    *(f"mov eax, 4; mov ebx, 1; mov ecx, {at:#x}; mov edx, {size}; int 0x80"  # write
      for at, size in ((RESULTS, COUNT * RECORD), (DATA, DATA_BYTES))),
    "mov eax, 1; xor ebx, ebx; int 0x80",  # exit
)  # fmt: skip
BEGIN_GUEST: Final = f"mov al, 0xFF; out 0x21, al; out 0xA1, al; {PREPARE}"
END_GUEST: Final = ("push 2; popf", "mov al, 0; out 0xF4, al; hlt")
TABLES: Final = (
    f"data: .byte {', '.join(str(index * 37 + 11 & 0xFF) for index in range(DATA_BYTES))}",
    f"map: .long {MAPPED[0]}, {MAPPED[1]}, 3, 0x32, -1, 0",  # read and write; private, fixed, anonymous
)


def link(path: Path, lines: Iterable[str], *options: str) -> Path:
    source = path.with_suffix(".s")
    source.write_text("\n".join((".intel_syntax noprefix", ".globl _start", "_start:", *lines, "")))
    assembled = path.with_suffix(".o")
    subprocess.run(["as", "--32", "-o", assembled, source], check=True)
    subprocess.run(["ld", "-m", "elf_i386", f"-Ttext={CODE:#x}", *options, "-o", path, assembled], check=True)
    return path


@pytest.mark.skipif(not shutil.which("as") or not shutil.which("ld"), reason="binutils are not installed")
@pytest.mark.parametrize("seed", range(3))
def test_random_programs_end_as_on_a_processor(tmp_path: Path, seed: int) -> None:
    programs = [*Programs(seed, COUNT).lines()]
    process = link(tmp_path / "process", (BEGIN_PROCESS, *programs, *END_PROCESS, *TABLES))
    guest = link(tmp_path / "guest", (BEGIN_GUEST, *programs, *END_GUEST, *TABLES), "--oformat=binary")
    try:
        ran = subprocess.run([process], stdin=subprocess.DEVNULL, capture_output=True, check=True, timeout=LIMIT_S)
    except OSError as error:
        pytest.skip(f"no 32-bit programs run on this host: {error}")
    with Machine(kernel=guest, flat=(CODE, "protected"), memory=8 * MIB, engine="unicorn") as machine:
        assert machine.run(timeout=LIMIT_S) == GuestExit(0)
        ours = machine.memory.read(RESULTS, COUNT * RECORD)
        data = machine.memory.read(DATA, DATA_BYTES)
    for number in range(COUNT):
        told = [
            dict(zip(NAMES, struct.unpack_from("<9I", from_, number * RECORD), strict=True))
            for from_ in (ours, ran.stdout)
        ]
        for end in told:
            end["eflags"] &= ARITHMETIC
        assert told[0] == told[1], f"program {number}"
    assert data == ran.stdout[COUNT * RECORD :]
