# SPDX-License-Identifier: GPL-2.0-or-later
"""Debian's own floppy driver, and its file systems checked by the host's tools."""

from __future__ import annotations

import random
import subprocess
from pathlib import Path

import pytest

from .scripted import run_script
from .test_disk import host_tool

pytestmark = pytest.mark.real


def mtool(*words: str) -> bytes:
    """One of the mtools, which root need not mount for."""
    return subprocess.run([host_tool(words[0]), *words[1:]], capture_output=True, check=True).stdout


@pytest.mark.parametrize("size", [2880, 1440, 720])  # sectors of 512 bytes, two to a KiB
def test_files_written_to_a_floppy(size: int, tmp_path: Path) -> None:
    image, data = tmp_path / "floppy.img", random.Random(size).randbytes(120_000)
    subprocess.run([host_tool("mkfs.fat"), "-C", str(image), str(size // 2)], capture_output=True, check=True)
    (tmp_path / "in.bin").write_bytes(data)
    mtool("mcopy", "-i", str(image), str(tmp_path / "in.bin"), "::in.bin")
    said = run_script(
        tmp_path,
        """
        load floppy
        wait_for /dev/fd0
        mount -t vfat /dev/fd0 /mnt && cat /mnt/in.bin > /mnt/OUT.BIN && mkdir /mnt/folder
        echo hello > /mnt/folder/note
        sync; umount /mnt && echo unmounted
        cat /proc/interrupts | grep floppy
        """,
        *("--floppy", str(image)),
        words="",
    )
    assert "unmounted" in said
    assert "floppy" in said.rpartition("unmounted")[2], "it has an interrupt"
    assert subprocess.run([host_tool("fsck.fat"), "-n", str(image)], capture_output=True, check=False).returncode == 0
    assert mtool("mtype", "-i", str(image), "::OUT.BIN") == data
    assert mtool("mtype", "-i", str(image), "::folder/note") == b"hello\n"


def test_a_folder_is_a_floppy(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    (folder / "A Folder with a name").mkdir(parents=True)
    (folder / "readme.txt").write_text("read me\n")
    (folder / "A Folder with a name" / "more.than.one.dot").write_bytes(random.Random(3).randbytes(70_000))
    said = run_script(
        tmp_path,
        """
        load floppy
        wait_for /dev/fd0
        mount -t vfat -o ro /dev/fd0 /mnt && cat /mnt/readme.txt && cd /mnt && md5sum */*
        echo x > /dev/fd0 || echo protected
        """,
        *("--floppy", str(folder)),
        words="",
    )
    expected = subprocess.run(["md5sum", *(folder.glob("*/*"))], capture_output=True, text=True, check=True).stdout
    assert "read me" in said
    assert expected.split()[0] in said
    assert "more.than.one.dot" in said
    assert "protected" in said
