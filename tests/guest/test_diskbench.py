# SPDX-License-Identifier: GPL-2.0-or-later
"""guest/programs/diskbench.c: what it reads from the disk is what the image holds, on every path and under qemu."""

from __future__ import annotations

import random
import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from hyperport.host.specs import DiskSpec
from hyperport.io import PATHS

from ..conftest import FNV_OFFSET, FNV_PRIME, LIMIT_S, run_guest
from .test_programs import command

SECTORS = 150  # more than a command of it reads


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "disk.img"
    path.write_bytes(random.Random(1).randbytes(SECTORS * 512))
    return path


def expected(image: Path) -> list[str]:
    checksum = FNV_OFFSET
    for (word,) in struct.iter_unpack("<I", image.read_bytes()):
        checksum = (checksum ^ word) * FNV_PRIME & 0xFFFFFFFF
    return [f"checksum {name} {checksum:08x}" for name in ("multiple", "sectors", "dwords")]


def checksums(output: str) -> list[str]:
    return [line for line in output.splitlines() if line.startswith("checksum")]


@pytest.mark.parametrize("path", sorted(PATHS))
def test_reads_the_image_on_every_path(image: Path, path: str) -> None:
    outcome, output = run_guest("diskbench", f"n={SECTORS}", io=path, disks=(DiskSpec(path=image, read_only=True),))
    assert outcome.status == 1
    assert checksums(output) == expected(image)


@pytest.mark.skipif(shutil.which("qemu-system-i386") is None, reason="qemu-system-i386 is not installed")
def test_reads_the_image_under_qemu(image: Path) -> None:
    line = [*command("diskbench.elf", f"n={SECTORS}"), "-drive", f"file={image},if=ide,format=raw"]
    done = subprocess.run(line, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=LIMIT_S, check=False)
    assert done.returncode == 1
    assert checksums(done.stdout) == expected(image)


def test_a_machine_without_disks_has_no_drive() -> None:
    outcome, output = run_guest("diskbench")
    assert outcome.status == 3
    assert output == "diskbench: no drive at 1f0\n"


def test_a_disk_that_is_too_small_is_an_error(tmp_path: Path) -> None:
    small = tmp_path / "small.img"
    small.write_bytes(bytes(512 * 10))
    outcome, output = run_guest("diskbench", "n=11 sectors", disks=(DiskSpec(path=small),))
    assert outcome.status == 5
    assert "diskbench: command failed, status 51" in output
