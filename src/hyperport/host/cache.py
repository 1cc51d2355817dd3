# SPDX-License-Identifier: GPL-2.0-or-later
"""Where hyperport keeps what it can make or fetch again."""

from __future__ import annotations

import os
from pathlib import Path


def cache_directory() -> Path:
    """$XDG_CACHE_HOME/hyperport, as a rule ~/.cache/hyperport: fetched guests, apt's state, what KVM is worth.

    A relative $XDG_CACHE_HOME does not count: XDG Base Directory Specification, 0.8.
    """
    set_by_user = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (set_by_user if set_by_user.is_absolute() else Path.home() / ".cache") / "hyperport"
