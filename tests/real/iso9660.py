# SPDX-License-Identifier: GPL-2.0-or-later
"""A small ISO 9660 image: one directory with a few files, level 1 names (ECMA-119, second edition)."""

from __future__ import annotations

import struct
from collections.abc import Mapping

BLOCK = 2048
FIRST = 18  # blocks 0 to 15 are the system area, then a volume descriptor and the terminator
DATE = bytes([126, 1, 1, 0, 0, 0, 0])  # 2026-01-01 (9.1.5)


def both(form: str, number: int) -> bytes:
    """A number in both byte orders (7.2.3, 7.3.3)."""
    return struct.pack(f"<{form}", number) + struct.pack(f">{form}", number)


def record(name: bytes, block: int, size: int, *, folder: bool = False) -> bytes:
    """A directory record (9.1)."""
    padding = bytes(1 - len(name) % 2)
    head = both("I", block) + both("I", size) + DATE + bytes([2 if folder else 0, 0, 0]) + both("H", 1)
    return bytes([33 + len(name) + len(padding), 0]) + head + bytes([len(name)]) + name + padding


def image(files: Mapping[str, bytes]) -> bytes:
    """The image. Names as in "DATA.BIN"."""
    root, tables = FIRST, (FIRST + 1, FIRST + 2)
    places: dict[str, int] = {}
    block = FIRST + 3
    for name, data in sorted(files.items()):
        places[name] = block
        block += -(-len(data) // BLOCK)
    listing = record(b"\0", root, BLOCK, folder=True) + record(b"\1", root, BLOCK, folder=True)
    for name, place in places.items():
        listing += record(f"{name};1".encode(), place, len(files[name]))
    assert len(listing) <= BLOCK
    descriptor = b"".join(  # 8.4
        (
            *(b"\1CD001\1\0", b" " * 32, b"HYPERPORT".ljust(32), bytes(8), both("I", block), bytes(32)),
            *(both("H", 1), both("H", 1), both("H", BLOCK), both("I", 10)),
            *(struct.pack("<II", tables[0], 0), struct.pack(">II", tables[1], 0)),
            record(b"\0", root, BLOCK, folder=True),
            *(b" " * (4 * 128 + 3 * 37), (b"0" * 16 + b"\0") * 4, b"\1"),
        )
    )
    path_tables = [struct.pack(f"{order}BBIHBB", 1, 0, root, 1, 0, 0) for order in "<>"]  # 9.4
    blocks = [*[b""] * 16, descriptor, b"\xffCD001\1", listing, *path_tables]
    out = b"".join(part.ljust(BLOCK, b"\0") for part in blocks)
    for name in places:
        out += files[name] + bytes(-len(files[name]) % BLOCK)
    return out
