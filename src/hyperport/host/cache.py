# SPDX-License-Identifier: GPL-2.0-or-later
"""Where hyperport keeps what it can make or fetch again."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

NO_HOME: Final = Path("/nonexistent")  # of a user whom the system does not know; Debian calls it so


def cache_directory() -> Path:
    """$XDG_CACHE_HOME/hyperport, as a rule ~/.cache/hyperport: fetched guests, apt's state, what KVM is worth.

    A relative $XDG_CACHE_HOME does not count: XDG Base Directory Specification, 0.8.
    """
    set_by_user = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (set_by_user if set_by_user.is_absolute() else home() / ".cache") / "hyperport"


def home() -> Path:
    """The user's home directory; a place that is not there for a user without one."""
    try:
        return Path.home()
    except RuntimeError:
        return NO_HOME
