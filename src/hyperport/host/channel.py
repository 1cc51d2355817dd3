# SPDX-License-Identifier: GPL-2.0-or-later
"""Where a guest's serial line goes on the host: a pty, a file, nowhere. unix_channel.py has sockets, console.py stdio.

A Channel owns the host's end (file descriptors, the terminal's mode, the socket's name) and the CharBackend that the
chip talks to. Its life: open_channel() opens, so that a mistake shows before the machine is built; start() begins to
pass input on; stop() ends that and gives the terminal back; close() lets go of all.

Input is read on the machine's watcher thread, never more than the backend has room for: what the guest cannot take
yet stays in the pipe, the socket or the terminal, so none is lost and nothing here can grow.
"""

from __future__ import annotations

import contextlib
import os
import termios
from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol, Self

from hyperport.errors import ConfigError, OutputError
from hyperport.host.char import CharBackend, FdBackend
from hyperport.host.notes import hint
from hyperport.host.terminal import raw_mode
from hyperport.lines.attention import StopKind

READ_SIZE: Final = 4096


class Events(Protocol):
    """What is needed of HostEvents. A callback runs on the watcher thread, and may itself watch and unwatch."""

    def watch(self, fd: int, callback: Callable[[], bool]) -> None:
        """Call callback when fd is readable; when it returns False, leave fd alone for 10 ms."""

    def unwatch(self, fd: int) -> None:
        """Forget fd."""


RequestStop = Callable[[StopKind], None]


def _nobody_to_stop(_: StopKind) -> None:
    """What stands in for the machine until start()."""


def close_unwritten(fd: int) -> None:
    """Close a descriptor that has nothing to lose: whatever close() answers, it is closed (close(2))."""
    with contextlib.suppress(OSError):
        os.close(fd)


class Channel:
    """The null channel, and base of the others."""

    def __init__(self, backend: CharBackend | None = None) -> None:
        self.backend = backend if backend is not None else CharBackend()
        self.events: Events | None = None
        self.request_stop: RequestStop = _nobody_to_stop

    def start(self, events: Events, request_stop: RequestStop) -> None:
        """Pass input on from now; request_stop is called from the watcher thread."""
        self.events = events
        self.request_stop = request_stop

    def stop(self) -> None:
        """Pass no more input on; send what the backend still gathers. The machine must not run any more."""
        self.backend.drain()
        self.events = None

    def close(self) -> None:
        """Let go of all that was opened. Nothing may use the backend any more."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _take(self, fd: int) -> bytes | None:
        """What fd has and the backend has room for: b"" at the end of input, None if there is nothing now."""
        with contextlib.suppress(BlockingIOError):
            return os.read(fd, min(self.backend.room(), READ_SIZE))
        return None


class FileChannel(Channel):
    """Output into a file, which is emptied first. No input."""

    def __init__(self, path: Path | str) -> None:
        try:
            self.fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666)
        except OSError as error:
            raise ConfigError(f"serial line: {path}: {error.strerror}; give a file that can be written") from error
        self.path = path
        with contextlib.ExitStack() as undo:
            undo.callback(close_unwritten, self.fd)
            super().__init__(FdBackend(self.fd, where=f"serial line: {path}"))
            undo.pop_all()

    def close(self) -> None:
        """Close the file. Raises OutputError where the host only now says that it has not kept all."""
        fd, self.fd = self.fd, -1
        if fd >= 0:
            try:
                os.close(fd)
            except InterruptedError:  # it is closed all the same (close(2))
                pass
            except OSError as error:
                raise OutputError(f"serial line: {self.path}: {error.strerror}: the guest's output is lost") from error


class WatchedChannel(Channel):
    """A channel whose input comes from one descriptor, which is watched while the machine runs."""

    fd = -1

    def start(self, events: Events, request_stop: RequestStop) -> None:
        """Listen to fd."""
        super().start(events, request_stop)
        events.watch(self.fd, self._readable)

    def stop(self) -> None:
        """Listen no more."""
        if self.events:
            self.events.unwatch(self.fd)
        super().stop()

    def _readable(self) -> bool:
        """fd has input; see Events.watch()."""
        raise NotImplementedError


class PtyChannel(WatchedChannel):
    """A pseudo-terminal whose name is told on stderr. Whoever opens it talks to the guest; they may come and go.

    While nobody has it open, output is lost, and reading gives EIO: so input is looked for every 10 ms.
    """

    def __init__(self) -> None:
        self.fd = -1
        try:
            with contextlib.ExitStack() as undo:
                self.fd, slave = os.openpty()
                undo.callback(self.close)
                try:
                    self.name = os.ttyname(slave)
                    termios.tcsetattr(slave, termios.TCSANOW, raw_mode(termios.tcgetattr(slave)))
                finally:
                    close_unwritten(slave)
                os.set_blocking(self.fd, False)
                super().__init__(FdBackend(self.fd, reconnects=True, where=f"serial line: {self.name}"))
                undo.pop_all()
        except (OSError, termios.error) as error:
            why = error.args[-1]
            raise ConfigError(f"serial line: no pseudo-terminal: {why}; use unix:PATH") from error

    def start(self, events: Events, request_stop: RequestStop) -> None:
        """Tell the name and listen."""
        hint(f"serial line on {self.name}")
        super().start(events, request_stop)

    def close(self) -> None:
        """Close the master."""
        fd, self.fd = self.fd, -1
        if fd >= 0:
            close_unwritten(fd)

    def _readable(self) -> bool:
        if not self.backend.room():
            return False
        try:
            data = self._take(self.fd)
        except OSError:  # nobody has the slave open
            return False
        if data:
            self.backend.feed(data)
        return data != b""
