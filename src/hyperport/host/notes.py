# SPDX-License-Identifier: GPL-2.0-or-later
"""Lines for the user, on stderr. A note tells of trouble and is always shown; a hint is of the ordinary course."""

from __future__ import annotations

import contextlib
import sys

_quiet = False


def be_quiet(quiet: bool = True) -> None:
    """Whether hints are kept back from now on, in this process (--quiet)."""
    global _quiet
    _quiet = quiet


def tell(text: str) -> None:
    """Lines on stderr as they are. A stderr that takes nothing is no reason to stop: there is nowhere to say so."""
    with contextlib.suppress(OSError, ValueError):
        print(text, file=sys.stderr, flush=True)


def note(text: str) -> None:
    """One line that the user should see."""
    tell(f"hyperport: {text}")


def hint(text: str) -> None:
    """One line that --quiet leaves out."""
    if not _quiet:
        note(text)
