# SPDX-License-Identifier: GPL-2.0-or-later
"""A folder as a floppy: a FAT12 file system of 1.44 or 2.88 MB, made in memory.

Source: Microsoft, FAT32 File System Specification (FAT: General Overview of On-Disk Format), 1.03. Names that are no
8.3 names get a short one (FILENA~1.TXT) and their long one beside it. A boot sector of the user's is not there: the
image boots to a line that says so.
"""

from __future__ import annotations

import datetime
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from hyperport.errors import ConfigError

SECTOR: Final = 512
ENTRY: Final = 32  # bytes of a directory's entry
ROOT_ENTRIES: Final = 224
DEEPEST: Final = 16
# sectors, sectors a cluster, sectors a FAT, media byte, sectors a track
SHAPES: Final = ((2880, 1, 9, 0xF0, 18), (5760, 2, 9, 0xF0, 36))
ARCHIVE, DIRECTORY, LABEL, LONG_NAME = 0x20, 0x10, 0x08, 0x0F
END: Final = 0xFFF  # of a chain of clusters
SHORT_EXTRA: Final = "!#$%&'()-@^_`{}~"
LONG_PART: Final = 13  # characters of a long name in one entry
TOO_MUCH: Final = "floppy {}: its files do not fit on 2.88 MB; make a CD of it with --cdrom"
BOOT_CODE: Final = bytes.fromhex("fa31c08ed8be1e7cfcac08c07409b40ebb0700cd10ebf2f4ebfd")
MESSAGE: Final = b"This floppy was made of a folder; it does not boot.\r\n\0"


class _Node:
    """A file or folder with the names it gets. content: of a file its bytes; of a folder its nodes."""

    def __init__(self, path: Path, short: bytes, content: bytes | list[_Node]) -> None:
        self.name, self.short, self.content = path.name, short, content
        when = datetime.datetime.fromtimestamp(max(path.stat().st_mtime, 315619200))
        self.date = min(when.year - 1980, 127) << 9 | when.month << 5 | when.day
        self.time = when.hour << 11 | when.minute << 5 | when.second // 2
        self.cluster = 0

    def long_entries(self) -> bytes:
        """What goes before its entry; nothing if its short name says all."""
        base, _, extension = self.name.partition(".")
        if self.short == base.encode("ascii", "replace").ljust(8) + extension.encode("ascii", "replace").ljust(3):
            return b""
        units = self.name.encode("utf-16-le")
        count = -(-len(units) // (2 * LONG_PART))
        if len(units) < count * 2 * LONG_PART:
            units = (units + b"\0\0").ljust(count * 2 * LONG_PART, b"\xff")
        checksum = 0
        for byte in self.short:
            checksum = ((checksum & 1) << 7) + (checksum >> 1) + byte & 0xFF
        entries = b""
        for number in range(count, 0, -1):
            part = units[(number - 1) * 2 * LONG_PART : number * 2 * LONG_PART]
            order = number | (0x40 if number == count else 0)
            entries += struct.pack(
                "<B10sBBB12sH4s", order, part[:10], LONG_NAME, 0, checksum, part[10:22], 0, part[22:]
            )
        return entries

    def entry(self) -> bytes:
        """All entries of it in its folder."""
        folder = isinstance(self.content, list)
        size = 0 if folder else len(self.content)
        return self.long_entries() + _entry(
            self.short, DIRECTORY if folder else ARCHIVE, self.time, self.date, self.cluster, size
        )


def image_of(folder: Path | str) -> bytes:
    """The image. Raises ConfigError if the folder cannot be read or does not fit on a floppy."""
    folder = Path(folder)
    try:
        nodes = list(_nodes(folder, 0))
    except OSError as error:
        raise ConfigError(f"floppy {folder}: {error.filename or folder}: {error.strerror}") from None
    for shape in SHAPES:
        image = _lay_out(nodes, *shape)
        if image is not None:
            return image
    raise ConfigError(TOO_MUCH.format(folder))


def _nodes(folder: Path, depth: int) -> Iterator[_Node]:
    if depth > DEEPEST:
        raise ConfigError(f"floppy {folder}: folders are more than {DEEPEST} deep")
    taken: set[bytes] = set()
    room = SHAPES[-1][0] * SECTOR
    for path in sorted(folder.iterdir()):
        if path.is_dir():
            content: bytes | list[_Node] = list(_nodes(path, depth + 1))
        elif path.is_file():
            room -= path.stat().st_size
            if room < 0:
                raise ConfigError(TOO_MUCH.format(folder))
            content = path.read_bytes()
        else:
            continue  # a device or a socket is nothing for a floppy
        short = _short_name(path.name, taken)
        taken.add(short)
        yield _Node(path, short, content)


def _short_name(name: str, taken: set[bytes]) -> bytes:
    """Eleven bytes that no other file of the folder has."""
    stem, dot, extension = name.rpartition(".")
    if not stem:
        stem, extension = name.strip("."), ""
    legal = ["".join(filter(_is_short, part.upper())) for part in (stem, extension)]
    plain = legal[0].encode() + (b"." + legal[1].encode() if dot and legal[1] else b"")
    if plain == name.upper().encode("ascii", "replace") and 0 < len(legal[0]) <= 8 and len(legal[1]) <= 3:
        short = legal[0].encode().ljust(8) + legal[1].encode().ljust(3)
        if short not in taken:
            return short
    for number in range(1, 1_000_000):
        tail = f"~{number}"
        short = ((legal[0] or "FILE")[: 8 - len(tail)] + tail).encode().ljust(8) + legal[1][:3].encode().ljust(3)
        if short not in taken:
            return short
    raise ConfigError(f"floppy: too many names like {name}")


def _is_short(character: str) -> bool:
    return character.isascii() and (character.isalnum() or character in SHORT_EXTRA)


def _entry(short: bytes, kind: int, time: int, date: int, cluster: int, size: int) -> bytes:
    return struct.pack("<11sBBBHHHHHHHI", short, kind, 0, 0, time, date, date, 0, time, date, cluster, size)


def _lay_out(
    nodes: list[_Node], sectors: int, per_cluster: int, fat_sectors: int, media: int, track: int
) -> bytes | None:
    """The image in this shape, or None if they do not fit."""
    first = 1 + 2 * fat_sectors + ROOT_ENTRIES * ENTRY // SECTOR
    clusters = (sectors - first) // per_cluster
    cluster_bytes = per_cluster * SECTOR
    fat = [0xF00 | media, END]
    data = bytearray()

    def allot(content: bytes) -> int:
        """Room for content, in one chain; its first cluster, 0 for none."""
        count = -(-len(content) // cluster_bytes)
        if not count:
            return 0
        cluster = len(fat)
        fat.extend([*range(cluster + 1, cluster + count), END])
        data.extend(content.ljust(count * cluster_bytes, b"\0"))
        return cluster

    def lay(node: _Node, parent: int) -> None:
        if not isinstance(node.content, list):
            node.cluster = allot(node.content)
            return
        size = 2 * ENTRY + sum(len(child.entry()) for child in node.content)
        node.cluster = allot(bytes(size))
        for child in node.content:
            lay(child, node.cluster)
        up = ((b".", node.cluster), (b"..", parent))
        dots = [_entry(name.ljust(11), DIRECTORY, node.time, node.date, where, 0) for name, where in up]
        listing = b"".join([*dots, *(child.entry() for child in node.content)])
        at = (node.cluster - 2) * cluster_bytes
        data[at : at + len(listing)] = listing

    for node in nodes:
        lay(node, 0)
        if len(fat) - 2 > clusters:
            return None
    root = _entry(b"HYPERPORT  ", LABEL, 0, 33, 0, 0) + b"".join(node.entry() for node in nodes)
    if len(root) > ROOT_ENTRIES * ENTRY:
        return None
    packed = bytearray(fat_sectors * SECTOR)
    for number, value in enumerate(fat):
        at = number * 3 // 2
        packed[at] |= value << 4 & 0xF0 if number & 1 else value & 0xFF
        packed[at + 1] |= value >> 4 if number & 1 else value >> 8
    # BIOS parameter block
    block = struct.pack(
        "<3s8sHBHBHHBHHHIIBBBI11s8s",
        *(b"\xeb\x3c\x90", b"HYPERPRT", SECTOR, per_cluster, 1, 2, ROOT_ENTRIES, sectors, media, fat_sectors, track, 2),
        *(0, 0, 0, 0, 0x29, 0x68700001, b"HYPERPORT  ", b"FAT12   "),
    )
    code = BOOT_CODE.replace(b"\x1e\x7c", struct.pack("<H", 0x7C00 + len(block) + len(BOOT_CODE)), 1)
    boot = (block + code + MESSAGE).ljust(SECTOR - 2, b"\0") + b"\x55\xaa"
    image = boot + bytes(packed) * 2 + root.ljust(ROOT_ENTRIES * ENTRY, b"\0") + bytes(data)
    return image.ljust(sectors * SECTOR, b"\0")
