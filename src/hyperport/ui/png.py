# SPDX-License-Identifier: GPL-2.0-or-later
"""A PNG file (W3C, Portable Network Graphics, 2nd edition): the whole of what a screen needs.

The standard library has zlib; a picture library would be a dependency for these lines.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from typing import Final

SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
PALETTE_COLOURS: Final = 3  # colour type: pixels are indices
TRUE_COLOURS: Final = 2  # they are red, green and blue
NO_FILTER: Final = b"\0"


def png(width: int, height: int, pixels: bytes, palette: Sequence[tuple[int, int, int]] | None = None) -> bytes:
    """The file. pixels: line by line, three bytes each (red, green, blue); with a palette one, an index into it.

    palette: at most 256 of (red, green, blue), 0 to 255.
    """
    line = width * (3 if palette is None else 1)
    kind = TRUE_COLOURS if palette is None else PALETTE_COLOURS
    header = struct.pack(">IIBBBBB", width, height, 8, kind, 0, 0, 0)
    lines = b"".join(NO_FILTER + pixels[at : at + line] for at in range(0, line * height, line))
    colours = b"".join(bytes(colour) for colour in palette or ())
    chunks = [(b"IHDR", header), (b"PLTE", colours), (b"IDAT", zlib.compress(lines)), (b"IEND", b"")]
    return SIGNATURE + b"".join(_chunk(name, data) for name, data in chunks if data or name == b"IEND")


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
