# SPDX-License-Identifier: GPL-2.0-or-later
"""Where hyperport keeps what it can make or fetch again."""

from __future__ import annotations

from pathlib import Path


def cache_directory() -> Path:
    """$XDG_CACHE_HOME/hyperport, as a rule ~/.cache/hyperport: fetched guests, apt's state, what KVM is worth."""
    import platformdirs

    return platformdirs.user_cache_path("hyperport", appauthor=False)
