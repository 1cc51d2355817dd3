# SPDX-License-Identifier: GPL-2.0-or-later
"""What an image is, by its content: a kernel, or the medium of a drive that firmware starts from."""

from __future__ import annotations

from os import SEEK_END
from pathlib import Path
from typing import Final, Literal, NamedTuple

from hyperport.boot import naming
from hyperport.boot.layout import HEAD, open_regular
from hyperport.boot.loader import detect
from hyperport.boot.options import NBD
from hyperport.errors import ImageError
from hyperport.host.floppy_image import BY_SIZE, LARGEST

Role = Literal["kernel", "floppy", "disk", "cdrom"]
SECTOR: Final = 512
ISO_9660: Final = (0x8001, b"CD001")
EL_TORITO: Final = (0x8807, b"EL TORITO SPECIFICATION")  # the descriptor after the first: what a BIOS starts
QCOW2: Final = (b"QFI\xfb\0\0\0\2", b"QFI\xfb\0\0\0\3")  # with the version; qcow had the first one
SIGNATURE: Final = (510, b"\x55\xaa")  # of a boot sector
PARTITIONS: Final = range(446, 510, 16)
KERNELS: Final = {"linux": "a Linux kernel", "multiboot": "a Multiboot kernel"}


class Found(NamedTuple):
    """role: what becomes of it. what: its name, for people."""

    role: Role
    what: str


def recognise(path: Path | str) -> Found:
    """What is in the file. Raises ImageError, with what to do, for one that nothing starts."""
    if str(path).startswith(NBD):
        return Found("disk", "a disk of an NBD server")
    if Path(path).is_dir():
        raise ImageError(f"image {path}: a folder; give it with --floppy or --cdrom, or an image")
    with open_regular(path, "image") as file:
        head = file.read(HEAD)
        size = file.seek(0, SEEK_END)
    if not head:
        raise ImageError(f"image {path}: the file is empty; give another")
    # In this order: a Linux kernel has what looks like a boot sector, and boot loaders are Multiboot kernels as well.
    if found := _medium(head) or _kernel(head, "linux") or _started(head, size) or _kernel(head, "multiboot"):
        return found
    if _has(head, ISO_9660):
        raise ImageError(
            f"image {path}: an ISO 9660 image without an El Torito boot record, so firmware finds nothing to start;"
            " give it with --cdrom, beside what starts"
        )
    if size in BY_SIZE:
        return Found("floppy", f"a floppy of {size >> 10} KB")
    raise ImageError(f"image {path}: {naming.describe(head, size)}")


def _medium(head: bytes) -> Found | None:
    """Formats with marks of their own. An ISO image may have a boot sector as well, for USB sticks."""
    if _has(head, ISO_9660):
        if _has(head, EL_TORITO):
            return Found("cdrom", "an ISO 9660 image")
        return Found("disk", "a disk image with an ISO 9660 file system") if has_partitions(head) else None
    return Found("disk", "a qcow2 disk image") if head.startswith(QCOW2) else None


def _kernel(head: bytes, kind: str) -> Found | None:
    return Found("kernel", KERNELS[kind]) if detect(head) == kind else None


def _started(head: bytes, size: int) -> Found | None:
    """Raw images with a boot sector: a floppy if it has the size of one, else what a partition table makes of it."""
    if not _has(head, SIGNATURE):
        return None
    if size in BY_SIZE:
        return Found("floppy", f"a floppy of {size >> 10} KB")
    if has_partitions(head) and size > SECTOR:
        return Found("disk", "a disk image with an MBR")
    if size <= LARGEST:
        return Found("floppy", f"a floppy with a boot sector, {size} bytes")
    return Found("disk", "a disk image with a boot sector")


def has_partitions(head: bytes) -> bool:
    """Whether there is a partition table: a boot flag is 0 or 80h in each entry, and one has a kind and a length."""
    if not _has(head, SIGNATURE) or any(head[entry] & 0x7F for entry in PARTITIONS):
        return False
    return any(head[entry + 4] and any(head[entry + 12 : entry + 16]) for entry in PARTITIONS)


def _has(head: bytes, mark: tuple[int, bytes]) -> bool:
    return head.startswith(mark[1], mark[0])
