# SPDX-License-Identifier: GPL-2.0-or-later
"""An ordinary user of Debian runs code that killed the process once: long blocks, from ring 3."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from hyperport.guests.toolchain import CODE_FLAGS, compiler

from .scripted import run_script

pytestmark = pytest.mark.real

COPIES = 700
DONE_STATUS = 42
RUNS = {
    "aam": "aam",
    "fsub": "fsub %st(1), %st",
    "fld1, fstp": "fld1; fstp %st(0)",
    "pshufd": "pshufd $0x1b, %xmm1, %xmm0",
    "mov to fs": "mov %cx, %fs",
}


def user_program(folder: Path) -> bytes:
    """Runs each, then exits with DONE_STATUS by the system call exit (1)."""
    runs = "".join(f".rept {COPIES}\n{code}\n.endr\n" for code in RUNS.values())
    source = folder / "program.S"
    exits = f"mov $1, %eax\nmov ${DONE_STATUS}, %ebx\nint $0x80\n"
    source.write_text(f".globl _start\n_start:\nxor %ecx, %ecx\nfldpi\nfldpi\n{runs}{exits}")
    output = folder / "program"
    subprocess.run([compiler(), *CODE_FLAGS, "-static", "-o", str(output), str(source)], check=True)
    return output.read_bytes()


def test_long_blocks_from_ring_3(tmp_path: Path) -> None:
    script = "/program; echo status $?\n"
    told = run_script(tmp_path, script, program=user_program(tmp_path))
    assert f"status {DONE_STATUS}\n" in told
