# SPDX-License-Identifier: GPL-2.0-or-later
"""Files of the host: read without waiting for a writer, JSON without trust; written whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, Final

from hyperport.errors import ConfigError

UNFIT: Final = (  # what has no contents that can be read twice, by its mode; a block device has
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISCHR, "a character device"),
    (stat.S_ISSOCK, "a socket"),
)


class UnfitFile(OSError):  # noqa: N818 - as those of Python
    """A pipe, character device or socket; strerror says which."""


def open_to_read(path: Path | str) -> BinaryIO:
    """The file, open; opening does not wait, as a FIFO's would. Raises OSError, and ValueError for what is no path."""
    file = os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY), "rb")
    mode = os.fstat(file.fileno()).st_mode
    if kind := next((name for test, name in UNFIT if test(mode)), None):
        file.close()
        raise UnfitFile(errno.EINVAL, kind)
    return file


def parse_json(data: bytes) -> Any:
    """The value of a JSON text. Raises ValueError for what is none, or is nested too deep.

    Without msgspec's type=: its version 0.22 crashes where Ctrl-C comes as it looks at one.
    """
    import msgspec

    try:
        return msgspec.json.decode(data)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise ValueError(str(error)) from None


def check_destination(path: Path | str, what: str = "statistics") -> None:
    """Raise ConfigError, before a long run, if path could not be written after it."""
    try:
        target = _target(path)
        wanted = target if _in_place(target) else target.parent
        good = not target.is_dir() and os.access(wanted, os.W_OK)
    except OSError as error:
        raise ConfigError(f"{what}: {str(path)!r}: {error.strerror}; name another file") from None
    if not good:
        raise ConfigError(f"{what}: {path} cannot be written; name a file in a directory that can")


def write_whole(path: Path | str, content: bytes) -> None:
    """Write a file, whole or not at all. A device or pipe is written directly. Raises OSError, with the file's name."""
    try:
        with whole_file(path) as file:
            file.write(content)
    except OSError as error:
        error.filename = str(path)  # a write that fails has none
        raise


@contextlib.contextmanager
def whole_file(path: Path | str, *, durable: bool = False) -> Iterator[BinaryIO]:
    """A file to be written, which gets its name at the end of the block; an exception in it leaves the old one.

    durable: the host's power may fail after the block. A symbolic link stays, and what it points to is written. A
    device or pipe is written directly. Raises OSError.
    """
    target = _target(path)
    if _in_place(target):
        with target.open("wb") as file:
            yield file
        return
    unfinished = target.with_name(f".{secrets.token_hex(8)}.part")  # not of its own name, which may be of 255 bytes
    try:
        with unfinished.open("xb") as file:
            yield file
            file.flush()
            if durable:
                os.fsync(file.fileno())
        unfinished.replace(target)
        if durable:
            folder = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
    finally:
        unfinished.unlink(missing_ok=True)


def _target(path: Path | str) -> Path:
    """Where symbolic links lead. Raises OSError."""
    try:
        return Path(os.path.realpath(path))
    except ValueError:
        raise OSError(errno.EINVAL, "not a path") from None


def _in_place(target: Path) -> bool:
    """Whether it is there and no ordinary file, which nothing may take the place of."""
    return target.exists() and not target.is_file()
