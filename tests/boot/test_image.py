# SPDX-License-Identifier: GPL-2.0-or-later
"""What an image is told to be by its content."""

from __future__ import annotations

import contextlib
import struct
from pathlib import Path
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperport.boot.image import Found, has_partitions, recognise
from hyperport.boot.layout import HEAD
from hyperport.errors import ImageError
from hyperport.guests.registry import locate
from hyperport.host.floppy_image import BY_SIZE

SIGNED: Final = bytes(510) + b"\x55\xaa"
ENTRY: Final = struct.pack("<B3sB3sII", 0x80, bytes(3), 6, bytes(3), 63, 1000)
MBR: Final = bytes(446) + ENTRY + bytes(48) + b"\x55\xaa"
MULTIBOOT: Final = struct.pack("<3I", 0x1BADB002, 0, -0x1BADB002 & 0xFFFFFFFF)
ENTRIES: Final = st.lists(
    st.tuples(st.sampled_from([0, 0x80, 1]), st.binary(min_size=15, max_size=15)).map(
        lambda pair: bytes(pair[:1]) + pair[1]
    )
    | st.just(bytes(16)),
    min_size=4,
    max_size=4,
)
ISO: Final = bytes(0x8000) + b"\1CD001\1".ljust(2048, b"\0") + b"\0CD001\1EL TORITO SPECIFICATION".ljust(2048, b"\0")


def linux(boot: bytes) -> bytes:
    """A boot sector with the header of the Linux boot protocol in and behind it."""
    image = bytearray(boot.ljust(0x1000, b"\0"))
    image[0x1FE:0x200] = b"\x55\xaa"
    image[0x202:0x206] = b"HdrS"
    image[0x206:0x208] = b"\x0f\x02"
    return bytes(image)


@pytest.mark.parametrize(
    ("image", "size", "found"),
    [
        (SIGNED, 1440 << 10, Found("floppy", "a floppy of 1440 KB")),
        (b"\xeb\xfe", 360 << 10, Found("floppy", "a floppy of 360 KB")),
        (MBR, 1440 << 10, Found("floppy", "a floppy of 1440 KB")),
        (SIGNED, 512, Found("floppy", "a floppy with a boot sector, 512 bytes")),
        (SIGNED, 1 << 20, Found("floppy", "a floppy with a boot sector, 1048576 bytes")),
        (MBR, 1 << 20, Found("disk", "a disk image with an MBR")),
        (MBR + MULTIBOOT, 8 << 20, Found("disk", "a disk image with an MBR")),
        (SIGNED, 8 << 20, Found("disk", "a disk image with a boot sector")),
        (b"QFI\xfb\0\0\0\3", 1 << 20, Found("disk", "a qcow2 disk image")),
        (ISO, 1 << 20, Found("cdrom", "an ISO 9660 image")),
        (MBR + ISO[512:], 1 << 20, Found("cdrom", "an ISO 9660 image")),
        (MBR + ISO[512:0x8800], 1 << 20, Found("disk", "a disk image with an ISO 9660 file system")),
        (linux(MBR), 8 << 20, Found("kernel", "a Linux kernel")),
        (MULTIBOOT, 1 << 20, Found("kernel", "a Multiboot kernel")),
    ],
)
def test_what_an_image_is(tmp_path: Path, image: bytes, size: int, found: Found) -> None:
    path = tmp_path / "image"
    with path.open("wb") as file:
        file.write(image[:size])
        file.truncate(size)
    assert recognise(path) == found


def test_every_size_of_a_floppy_is_one(tmp_path: Path) -> None:
    path = tmp_path / "image"
    for size in BY_SIZE:
        with path.open("wb") as file:
            file.truncate(size)
        assert recognise(path).role == "floppy"


def test_a_program_of_ours_is_a_kernel() -> None:
    assert recognise(locate("demo").kernel) == Found("kernel", "a Multiboot kernel")


def test_a_server_is_a_disk() -> None:
    assert recognise("nbd:unix:/nowhere").role == "disk"


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (b"", "the file is empty"),
        (b"\x1f\x8b" + bytes(100), "a gzip file; unpack it"),
        (b"KDMV" + bytes(1000), "a VMDK disk image; convert it"),
        (b"hello\n", "text"),
    ],
)
def test_what_nothing_starts_is_refused_by_its_name(tmp_path: Path, image: bytes, words: str) -> None:
    path = tmp_path / "image"
    path.write_bytes(image)
    with pytest.raises(ImageError, match=words):
        recognise(path)
    with pytest.raises(ImageError, match="a folder"):
        recognise(tmp_path)


@given(entries=ENTRIES.map(b"".join))
def test_a_partition_table_has_flags_of_0_or_80h_and_something_in_it(entries: bytes) -> None:
    table = [entries[at : at + 16] for at in range(0, 64, 16)]
    wanted = all(entry[0] in (0, 0x80) for entry in table) and any(entry[4] and any(entry[12:]) for entry in table)
    assert has_partitions(bytes(446) + entries + b"\x55\xaa") == wanted
    assert not has_partitions(bytes(446) + entries + b"\x55\xab")


@given(head=st.binary(max_size=2048))
def test_any_bytes_are_something_or_refused(tmp_path_factory: pytest.TempPathFactory, head: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "any"
    path.write_bytes(head + bytes(HEAD))
    with contextlib.suppress(ImageError):
        assert recognise(path).what
