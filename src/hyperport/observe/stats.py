# SPDX-License-Identifier: GPL-2.0-or-later
"""Writes what a run took (--stats)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hyperport.host.files import write_whole


def write_statistics(path: Path | str, statistics: Mapping[str, Any]) -> None:
    """Write the object to path, whole or not at all."""
    import msgspec

    write_whole(path, msgspec.json.format(msgspec.json.encode(statistics), indent=2) + b"\n")
