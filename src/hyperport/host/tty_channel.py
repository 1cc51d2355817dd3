# SPDX-License-Identifier: GPL-2.0-or-later
"""A serial line that is one of the host's serial ports."""

from __future__ import annotations

import contextlib
import os
import termios
from pathlib import Path

from hyperport.errors import ConfigError
from hyperport.host.channel import WatchedChannel, close_unwritten
from hyperport.host.terminal import raw_mode
from hyperport.host.tty import TtyBackend
from hyperport.lines.attention import StopKind


class TtyChannel(WatchedChannel):
    """The port at path, raw, for us alone, and given back as it was found. A port that hangs up ends the run."""

    def __init__(self, path: Path | str) -> None:
        what = f"serial line: {path}"
        try:
            self.fd = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            raise ConfigError(f"{what}: {error.strerror}; name a serial port that you may read and write") from error
        with contextlib.ExitStack() as undo:
            undo.callback(close_unwritten, self.fd)
            try:
                self.found = termios.tcgetattr(self.fd)
                termios.tcsetattr(self.fd, termios.TCSANOW, raw_mode(self.found))
            except termios.error as error:
                raise ConfigError(f"{what}: {error.args[-1]}: this is no serial port; use file:PATH") from error
            super().__init__(TtyBackend(self.fd, where=what))
            undo.pop_all()

    def close(self) -> None:
        """Give the port back as it was found."""
        fd, self.fd = self.fd, -1
        if fd >= 0:
            with contextlib.suppress(termios.error):  # it may be gone
                termios.tcsetattr(fd, termios.TCSANOW, self.found)
            close_unwritten(fd)

    def _readable(self) -> bool:
        if not self.backend.room():
            return False
        try:
            data = self._take(self.fd)
        except OSError:  # it has hung up: an adapter that was pulled out
            data = b""
        if data:
            self.backend.feed(data)
        elif data == b"" and self.events:
            self.events.unwatch(self.fd)
            self.request_stop(StopKind.QUIT)
        return data is not None
