# SPDX-License-Identifier: GPL-2.0-or-later
"""The font that a VGA's firmware leaves in plane 2: code page 437 in 8 by 16 dots, from cp437.hex."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Final

GLYPH_LINES: Final = 16


@cache
def glyphs() -> bytes:
    """256 characters, GLYPH_LINES bytes each: a byte is a line of eight dots, the left one its highest bit."""
    text = (Path(__file__).parent / "cp437.hex").read_text("utf-8")
    return bytes.fromhex("".join(line.split(" ", 2)[1] for line in text.splitlines() if not line.startswith("#")))
