# SPDX-License-Identifier: GPL-2.0-or-later
"""The process's standard streams, whatever state the caller has left them in: closed, full, gone, or non-blocking.

reserve() comes before anything is opened. A descriptor 0, 1 or 2 that is closed would else be given to the first file
that is opened, and the guest's console would write into it.
"""

from __future__ import annotations

import contextlib
import io
import os
import select
import sys
from typing import Any, Final, TextIO

STDIN, STDOUT, STDERR = 0, 1, 2
MODES: Final = (
    (STDIN, os.O_RDONLY, "r", "stdin"),
    (STDOUT, os.O_WRONLY, "w", "stdout"),
    (STDERR, os.O_WRONLY, "w", "stderr"),
)
PATIENCE_MS: Final = 1000  # for a reader of what we say ourselves; the guest's output waits in FdBackend

closed: set[int] = set()  # descriptors that reserve() has found closed


def reserve() -> None:
    """Open /dev/null at those of descriptors 0 to 2 that are closed: for reading at 0, for writing at 1 and 2.

    What is said on the others never fails for the terminal's encoding.
    """
    for fd, flags, mode, name in MODES:
        if is_open(fd):
            if getattr(sys, name) is not None and fd != STDIN:
                setattr(sys, name, _patient(_lenient(getattr(sys, name)), fd))
            continue
        closed.add(fd)
        opened = os.open(os.devnull, flags)  # the lowest number that is free: those below are open by now
        if opened != fd:
            os.dup2(opened, fd)
            os.close(opened)
        os.set_inheritable(fd, True)
        setattr(sys, name, os.fdopen(fd, mode, closefd=False))


def is_open(fd: int) -> bool:
    """Whether there is a descriptor fd."""
    with contextlib.suppress(OSError):
        os.fstat(fd)
        return True
    return False


def abandon(fd: int) -> None:
    """Nobody takes what is written to fd: let it go nowhere, so that the last flush does not fail again."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, fd)
    os.close(nowhere)


class _PatientRaw(io.RawIOBase):
    """A descriptor that may be non-blocking: a write waits until it is taken, but not for ever."""

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self.fd

    def isatty(self) -> bool:
        return os.isatty(self.fd)

    def write(self, data: Any) -> int:
        while True:
            try:
                return os.write(self.fd, data)
            except BlockingIOError:
                waiting = select.poll()
                waiting.register(self.fd, select.POLLOUT)
                if not waiting.poll(PATIENCE_MS):
                    raise


def _lenient(stream: TextIO) -> TextIO:
    """The stream, which now writes an escape for a character that its encoding does not have."""
    if isinstance(stream, io.TextIOWrapper):  # nobody has replaced it
        stream.reconfigure(errors="backslashreplace")
    return stream


def _patient(stream: TextIO, fd: int) -> TextIO:
    """The stream itself, or one that waits where its descriptor does not."""
    try:
        if stream.fileno() != fd or os.get_blocking(fd):
            return stream
    except (OSError, ValueError):  # replaced by something without a descriptor
        return stream
    return io.TextIOWrapper(
        io.BufferedWriter(_PatientRaw(fd)),
        encoding=stream.encoding,
        errors=stream.errors,
        line_buffering=fd == STDERR or os.isatty(fd),
    )
