# SPDX-License-Identifier: GPL-2.0-or-later
"""Options of time."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from hyperport.errors import UsageError
from hyperport.options import Kind, Option

NS_LIMIT: Final = 1_000_000


class ClockSpec(NamedTuple):
    """What `--clock` says. ns: of one instruction; None for the host's time."""

    ns: int | None = None


REAL: Final = ClockSpec()


def parse_clock(text: str) -> ClockSpec:
    """A ClockSpec of `real`, `insns` or `insns=NS`. Raises UsageError."""
    if text == "real":
        return REAL
    match = re.fullmatch(r"insns(?:=([0-9]{1,9}))?", text)
    if match is None or not 1 <= int(match[1] or 4) <= NS_LIMIT:
        raise UsageError(f"clock {text!r}: it is real, insns, or insns=NS with 1 to {NS_LIMIT} ns for an instruction")
    return ClockSpec(int(match[1] or 4))


def _possible(given: object) -> object:
    """A ClockSpec that Python code made. Raises TypeError for a time that no instruction takes."""
    ns = given.ns if isinstance(given, ClockSpec) else None
    if ns is not None and (type(ns) is not int or not 1 <= ns <= NS_LIMIT):
        raise TypeError(f"an instruction takes 1 to {NS_LIMIT} ns, not {ns!r:.30}")
    return given


OPTIONS: Final = (
    Option(
        "clock",
        "what time is: `real`, the host's, by default; `insns`, the guest's instructions, at 4 ns or NS each",
        Kind(parse_clock, take=_possible),
        metavar="real|insns[=NS]",
        default=REAL,
        values=("real", "insns"),
        engine="unicorn",
        see="A clock of instructions",
    ),
)
