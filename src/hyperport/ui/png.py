# SPDX-License-Identifier: GPL-2.0-or-later
"""A PNG file of palette pixels (W3C, Portable Network Graphics, 2nd edition): the whole of what a text screen needs.

The standard library has zlib; a picture library would be a dependency for these lines.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from typing import Final

SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
PALETTE_COLOURS: Final = 3  # colour type: pixels are indices
NO_FILTER: Final = b"\0"


def png(rows: Sequence[bytes], palette: Sequence[tuple[int, int, int]]) -> bytes:
    """The file. rows: one byte a pixel, an index into palette; palette: at most 256 of (red, green, blue), 0 to 255."""
    header = struct.pack(">IIBBBBB", len(rows[0]), len(rows), 8, PALETTE_COLOURS, 0, 0, 0)
    pixels = b"".join(NO_FILTER + row for row in rows)
    colours = b"".join(bytes(colour) for colour in palette)
    chunks = (b"IHDR", header), (b"PLTE", colours), (b"IDAT", zlib.compress(pixels)), (b"IEND", b"")
    return SIGNATURE + b"".join(_chunk(kind, data) for kind, data in chunks)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
