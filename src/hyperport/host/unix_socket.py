# SPDX-License-Identifier: GPL-2.0-or-later
"""Listening Unix sockets: their names in the file system, which outlive a process that was killed."""

from __future__ import annotations

import contextlib
import socket
import stat
from pathlib import Path

from hyperport.errors import ConfigError


def identity(path: Path | str) -> tuple[int, int] | None:
    """Device and inode of what is at path, or None."""
    with contextlib.suppress(FileNotFoundError):
        found = Path(path).stat()
        return found.st_dev, found.st_ino
    return None


def remove(path: Path, made: tuple[int, int] | None) -> None:
    """Remove the name of a socket, if it is still the one that was made. listen() takes over one that stays."""
    with contextlib.suppress(OSError):
        if identity(path) == made:
            path.unlink()


def listen(path: Path | str, what: str) -> socket.socket:
    """A listening socket at path. A socket left behind by a process that is gone is removed; nothing else ever is.

    what: who asks, for the ConfigError.
    """
    path = Path(path)
    try:
        if path.exists() and not stat.S_ISSOCK(path.stat().st_mode):
            raise ConfigError(f"{what}: {path} exists and is no socket; remove it or give another name")
        if path.exists():
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
                probe.setblocking(False)  # a full queue must not hold us: somebody listens then as well
                try:
                    probe.connect(str(path))
                except ConnectionRefusedError:
                    path.unlink()
                except BlockingIOError:
                    raise ConfigError(f"{what}: another process listens on {path}; give another name") from None
                else:
                    raise ConfigError(f"{what}: another process listens on {path}; give another name")
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            listener.bind(str(path))
            listener.listen(4)
            listener.setblocking(False)
        except OSError:
            listener.close()
            raise
    except OSError as error:
        raise ConfigError(f"{what}: {path}: {error.strerror or error}; give another path") from error
    return listener
