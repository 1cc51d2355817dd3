# SPDX-License-Identifier: GPL-2.0-or-later
"""guest/programs/netbench.c: what goes through an NE2000's data port, on every path and under qemu."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from hyperport.host.specs import NetSpec
from hyperport.io import PATHS

from ..conftest import FNV_OFFSET, FNV_PRIME, LIMIT_S, run_guest
from .test_programs import command

CARD = ("-netdev", "hubport,id=net0,hubid=0", "-device", "ne2k_isa,iobase=0x300,irq=9,netdev=net0")


def expected() -> list[str]:
    checksum = FNV_OFFSET
    for number in range(1024):
        checksum = (checksum ^ number * 2654435761 & 0xFFFFFFFF) * FNV_PRIME & 0xFFFFFFFF
    return [f"checksum {checksum:08x}"] * 2


def checksums(output: str) -> list[str]:
    return [line for line in output.splitlines() if line.startswith("checksum")]


@pytest.mark.parametrize("path", sorted(PATHS))
def test_blocks_are_whole_on_every_path(path: str) -> None:
    outcome, output = run_guest("netbench", "n=10", io=path, net=(NetSpec(),))
    assert outcome.status == 1
    assert checksums(output) == expected()
    assert [line.split()[1] for line in output.splitlines() if line.startswith("bench")] == ["read", "write", "dwords"]


@pytest.mark.skipif(shutil.which("qemu-system-i386") is None, reason="qemu-system-i386 is not installed")
def test_blocks_are_whole_under_qemu() -> None:
    line = [*command("netbench.elf", "n=10"), *CARD]
    done = subprocess.run(line, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=LIMIT_S, check=False)
    assert done.returncode == 1
    assert checksums(done.stdout) == expected()


def test_a_machine_without_a_card() -> None:
    outcome, output = run_guest("netbench")
    assert outcome.status == 3
    assert output == "netbench: no NE2000 at 300\n"
