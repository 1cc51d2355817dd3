# SPDX-License-Identifier: GPL-2.0-or-later
"""The guest floppies: media of every format in A and B, read and written by the BIOS, one changed under way."""

from __future__ import annotations

import random
import re
import shutil
import struct
import subprocess
import time
from pathlib import Path
from typing import Any, Final

import pytest

from hyperport import Machine, MemoryBackend
from hyperport.errors import FetchError
from hyperport.guests import firmware
from hyperport.host.floppy_image import MEDIA, Medium
from hyperport.host.specs import FloppySpec
from hyperport.machine.drives import fits
from hyperport.outcome import GuestExit

from ..conftest import MIB
from .test_build import BIN

SECTOR: Final = 512
FORMAT: Final = 0x1F8  # as in guest/programs/floppies.S
BIOS_CYLINDERS: Final = 80  # SeaBIOS reads no further
LIMIT_S: Final = 60


@pytest.fixture(scope="module", autouse=True)
def seabios() -> None:
    try:
        firmware.find()
    except FetchError as error:
        pytest.skip(str(error))


def make(path: Path, medium: Medium, number: int) -> bytes:
    """A floppy of random sectors behind the guest's; number: its own."""
    content = bytearray(random.Random(number).randbytes(medium.size))
    content[:SECTOR] = (BIN / "floppies.bin").read_bytes()
    cylinders = min(medium.cylinders, BIOS_CYLINDERS)
    content[FORMAT : FORMAT + 4] = bytes((cylinders - 1, medium.heads - 1, medium.sectors, number))
    path.write_bytes(content)
    return bytes(content)


def told(content: bytes, drive: str) -> str:
    """What the guest says of a floppy."""
    cylinder, head, sectors = content[FORMAT : FORMAT + 3]
    total = 0
    for (word,) in struct.iter_unpack("<I", content[: (cylinder + 1) * (head + 1) * sectors * SECTOR]):
        total = (total + word) & 0xFFFFFFFF
        total = (total << 1 | total >> 31) & 0xFFFFFFFF
    return f"{drive}{total:08X}\n"


def written(content: bytes, by: bytes) -> bytes:
    """The floppy with the first sector of the one that was started as the second one of its last track."""
    cylinder, head, sectors = content[FORMAT : FORMAT + 3]
    at = ((cylinder * (head + 1) + head) * sectors + 1) * SECTOR
    return content[:at] + by[:SECTOR] + content[at + SECTOR :]


def lines(text: str) -> str:
    """What the guest said; firmware may write beside it."""
    return "".join(re.findall(r"^[AB][0-9A-F]{8}\n", text, re.MULTILINE))


def name_of(medium: Medium) -> str:
    return f"{medium.size >> 10}K"


@pytest.mark.parametrize("number", range(len(MEDIA)), ids=[name_of(medium) for medium in MEDIA])
def test_floppies_of_every_format(number: int, tmp_path: Path) -> None:
    """In A the one, then another of its kind; in B the next format."""
    first, second = MEDIA[number], MEDIA[(number + 1) % len(MEDIA)]
    third = next(medium for medium in MEDIA[number - 1 :: -1] + MEDIA[::-1] if fits(medium, first.drive))
    a, b, c = (tmp_path / letter for letter in "abc")
    contents = [make(path, medium, index) for index, (path, medium) in enumerate(((a, first), (b, second), (c, third)))]
    text = MemoryBackend()
    drives: dict[str, Any] = {"floppies": (FloppySpec(path=a), FloppySpec(path=b)), "bios": "seabios", "boot": "a"}
    with Machine(**drives, memory=4 * MIB, engine="unicorn", debugcon=text) as machine:
        said = told(contents[0], "A") + told(contents[1], "B")
        for _ in range(10 * LIMIT_S):
            machine.run(timeout=0.1)
            if lines(text.output().decode()) == said:
                break
        machine.drives.change_floppy("fda", c)
        outcome = machine.run(timeout=LIMIT_S)
    own = contents[0]
    assert outcome == GuestExit(0)
    assert lines(text.output().decode()) == said + told(contents[2], "A") + told(written(contents[1], own), "B")
    assert [path.read_bytes() for path in (a, b, c)] == [written(content, own) for content in contents]


@pytest.mark.skipif(shutil.which("qemu-system-i386") is None, reason="qemu-system-i386 is not installed")
@pytest.mark.parametrize("medium", [MEDIA[0], MEDIA[3], MEDIA[5], MEDIA[8], MEDIA[-1]], ids=name_of)
def test_qemu_says_the_same_of_the_first(medium: Medium, tmp_path: Path) -> None:
    image, log = tmp_path / "a", tmp_path / "log"
    content = make(image, medium, 7)
    command = ["qemu-system-i386", "-accel", "tcg", "-machine", "isapc", "-display", "none", "-net", "none", "-m", "4"]
    drive = ["-drive", f"if=floppy,format=raw,file={image}", "-boot", "a", "-debugcon", f"file:{log}"]
    qemu = subprocess.Popen([*command, *drive], stdin=subprocess.DEVNULL)
    try:
        for _ in range(10 * LIMIT_S):
            time.sleep(0.1)
            if log.exists() and told(content, "A") in log.read_text():
                break
    finally:
        qemu.kill()
        qemu.wait()
    assert told(content, "A") in log.read_text()
    assert image.read_bytes() == written(content, content)
