# SPDX-License-Identifier: GPL-2.0-or-later
"""Lines for the user, on stderr. A note tells of trouble and is always shown; a hint is of the ordinary course."""

from __future__ import annotations

import sys

_quiet = False


def be_quiet(quiet: bool = True) -> None:
    """Whether hints are kept back from now on, in this process (--quiet)."""
    global _quiet
    _quiet = quiet


def note(text: str) -> None:
    """One line that the user should see."""
    print(f"hyperport: {text}", file=sys.stderr, flush=True)


def hint(text: str) -> None:
    """One line that --quiet leaves out."""
    if not _quiet:
        note(text)
