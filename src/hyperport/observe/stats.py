# SPDX-License-Identifier: GPL-2.0-or-later
"""Writes what a run took (--stats), and other files, whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hyperport.errors import ConfigError


def check_destination(path: Path | str, what: str = "statistics") -> None:
    """Raise ConfigError, before a long run, if path could not be written after it."""
    path = Path(path)
    directory = path.parent
    if path.is_dir() or not directory.is_dir() or not os.access(directory, os.W_OK):
        raise ConfigError(f"{what}: {path} cannot be written; name a file in a directory that can")


def write_statistics(path: Path | str, statistics: Mapping[str, Any]) -> None:
    """Write the object to path, whole or not at all."""
    import msgspec

    write_whole(path, msgspec.json.format(msgspec.json.encode(statistics), indent=2) + b"\n")


def write_whole(path: Path | str, content: bytes) -> None:
    """Write a file, whole or not at all. A device or pipe is written directly. Raises OSError, with the file's name."""
    path = Path(path)
    try:
        _write_whole(path, content)
    except OSError as error:
        error.filename = str(path)  # a write that fails has none
        raise


def _write_whole(path: Path, content: bytes) -> None:
    if path.exists() and not path.is_file():
        path.write_bytes(content)
        return
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        unfinished.write_bytes(content)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
