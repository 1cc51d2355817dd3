# SPDX-License-Identifier: GPL-2.0-or-later
"""hyperport fetch: bring known guests into the cache."""

from __future__ import annotations

from pathlib import Path

from hyperport.guests import registry
from hyperport.host.notes import tell


def fetch(*names: str, folder: Path | None = None) -> None:
    """Fetch known guests from the Debian archive, or from a folder with its packages, into the cache."""
    for name in names:
        registry.find(name)  # a wrong name is told before anything is downloaded
    for name in names:
        registry.fetch(name, tell, folder)
