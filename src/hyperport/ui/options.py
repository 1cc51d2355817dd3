# SPDX-License-Identifier: GPL-2.0-or-later
"""Options of screen and keyboard."""

from __future__ import annotations

import re
from typing import Final

from hyperport.errors import UsageError
from hyperport.options import FILE, FILES, Option, one_of

CONTROL_A: Final = 0x01
NO_ESCAPE: Final = -1
DISPLAYS: Final = ("none", "term")

parse_display: Final = one_of("display", DISPLAYS)


def parse_escape_key(text: str) -> int:
    """The console's escape key as a byte: a or ^a for Ctrl-a, a number from 1 to 31, or none (NO_ESCAPE)."""
    if text == "none":
        return NO_ESCAPE
    letter = text.removeprefix("^").lower()
    if re.fullmatch(r"[a-z]", letter):
        return ord(letter) & 0x1F
    if re.fullmatch(r"0x[0-9a-f]+|\d+", text, re.ASCII) and 1 <= int(text, 0 if text.startswith("0x") else 10) <= 31:
        return int(text, 0 if text.startswith("0x") else 10)
    raise UsageError(f"escape key {text!r}: write a letter for Ctrl-letter, a code from 1 to 31, or none")


OPTIONS: Final = (
    Option(
        "display",
        "where the VGA's screen is shown: `none` (default), or `term`, this terminal, which is then its keyboard too",
        parse_display,
        metavar="WHERE",
        default="none",
        values=DISPLAYS,
        see="The screen",
        of_machine=False,
    ),
    Option(
        "screenshot",
        "write a picture of the screen at the end",
        FILE,
        metavar="FILE.png",
        values=FILES,
        see="The screen",
        of_machine=False,
    ),
    Option(
        "screen-text",
        "write the screen's text at the end, in UTF-8",
        FILE,
        metavar="FILE",
        values=FILES,
        see="The screen",
        of_machine=False,
    ),
    Option(
        "echr",
        "the console's escape key: a letter for Ctrl-letter, a code from 1 to 31, or `none`; `a` by default",
        parse_escape_key,
        metavar="KEY",
        default=CONTROL_A,
        see="The console's keys",
        of_machine=False,
    ),
)
