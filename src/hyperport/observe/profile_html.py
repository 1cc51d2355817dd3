# SPDX-License-Identifier: GPL-2.0-or-later
"""A profile as one page for a browser: profile.html with the report in it. It asks for no other file."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import msgspec

PAGE: Final = Path(__file__).with_name("profile.html")
MARK: Final = b"/*DATA*/"
ESCAPES: Final = (
    (b"<", rb"\u003c"),
    (b"\xe2\x80\xa8", rb"\u2028"),
    (b"\xe2\x80\xa9", rb"\u2029"),
)  # none ends the script


def page(report: dict[str, Any]) -> bytes:
    """The page. Names in the report are a guest's or a file's: they are shown as text, and cannot end the data."""
    data = msgspec.json.encode(report)
    for what, written in ESCAPES:
        data = data.replace(what, written)
    return PAGE.read_bytes().replace(MARK, data, 1)
