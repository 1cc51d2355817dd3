# SPDX-License-Identifier: GPL-2.0-or-later
"""The user's console: the channel on stdin and stdout, with the escape key; and open_channel() for all kinds."""

from __future__ import annotations

import os
import select
from collections.abc import Callable
from pathlib import Path
from typing import Final

from hyperport.errors import ConfigError
from hyperport.host.channel import READ_SIZE, Channel, Events, FileChannel, PtyChannel, RequestStop, close_unwritten
from hyperport.host.char import FdBackend
from hyperport.host.notes import hint, note, tell
from hyperport.host.specs import SerialSpec, parse_serial
from hyperport.host.streams import STDIN, STDOUT, is_open
from hyperport.host.terminal import Terminal
from hyperport.lines.attention import StopKind
from hyperport.ui.escape import Command, EscapeScanner, help_text, key_name
from hyperport.ui.options import CONTROL_A, NO_ESCAPE

MOST_WAITING: Final = 1 << 20  # bytes that are kept for a guest which takes none, so that commands behind them are seen


class StdioChannel(Channel):
    """The user's console. On a terminal: raw input and the escape key. From a pipe: the bytes as they are.

    The end of input does not end the guest. Only the channel with takes_input reads; another one on stdio only writes.

    A terminal is read although the guest takes nothing, since a command may stand behind what was typed: bytes for the
    guest wait here, up to MOST_WAITING. Beyond that nothing more is read: it stays in the terminal, none is lost, and
    the user is told once that keys are not seen.
    """

    def __init__(self, escape_key: int = CONTROL_A, *, takes_input: bool = True) -> None:
        super().__init__(FdBackend(STDOUT, where="stdout"))
        self.takes_input = takes_input and is_open(STDIN)
        self.terminal = Terminal(STDIN) if self.takes_input and os.isatty(STDIN) else None
        self.scanner = EscapeScanner(escape_key) if self.terminal and escape_key != NO_ESCAPE else None
        self.typed_ahead = b""  # typed behind the key that opened the monitor, so meant for it
        self.waiting = bytearray()  # typed for the guest, which has had no room for it
        self.retry_fd = -1  # always readable: while it is watched, delivery is tried every 10 ms
        self.retrying = False
        self.told = False
        if self.scanner:
            try:
                self.retry_fd = os.eventfd(1, os.EFD_CLOEXEC)
            except OSError as error:
                raise ConfigError(f"console: {error.strerror}; close some files") from None

    def start(self, events: Events, request_stop: RequestStop) -> None:
        """Take raw mode, and say how to leave it."""
        super().start(events, request_stop)
        if self.terminal:
            self.terminal.enter()
            if self.scanner:
                name = key_name(self.scanner.key)
                hint(f"{name} x ends the guest, {name} h shows the other keys")
        if self.takes_input:
            events.watch(STDIN, self._readable)

    def stop(self) -> None:
        """Give the terminal back."""
        if self.events and self.takes_input:
            self.events.unwatch(STDIN)
            self._retry(False)
        if self.terminal:
            self.terminal.leave()
        super().stop()

    def close(self) -> None:
        """Let go of what was opened; stdin and stdout stay."""
        fd, self.retry_fd = self.retry_fd, -1
        if fd >= 0:
            close_unwritten(fd)

    def _readable(self) -> bool:
        room = self.backend.room() if self.scanner is None else MOST_WAITING - len(self.waiting)
        if room <= 0:
            if self.scanner and not self.told:
                self.told = True
                self._say("the guest takes no input: what is typed now, and the escape key, waits until it does")
            return False
        try:
            data = os.read(STDIN, min(room, READ_SIZE))
        except BlockingIOError:
            return True
        except OSError:  # the terminal has hung up
            data = b""
        if not data and self.events:
            self.events.unwatch(STDIN)
        elif self.scanner is None:
            self.backend.feed(data)
        else:
            self._obey(self.scanner, data)
        return True

    def _obey(self, scanner: EscapeScanner, data: bytes) -> None:
        while data:
            guest, command, data = scanner.split(data)
            self.waiting += guest
            self._deliver()
            if command is Command.HELP:
                self._help(scanner.key)
            elif command is Command.QUIT:
                self.request_stop(StopKind.QUIT)
            elif command is Command.MONITOR and self.events and self.terminal:
                self.events.unwatch(STDIN)
                self._retry(False)
                self.terminal.leave()
                self.typed_ahead, data = data, b""
                self.request_stop(StopKind.PAUSE)

    def _deliver(self) -> bool:
        """Give the guest what waits for it. Where it has no room for all, come back."""
        ready = min(self.backend.room(), len(self.waiting))
        if ready:
            self.backend.feed(bytes(self.waiting[:ready]))
            del self.waiting[:ready]
        self._retry(bool(self.waiting))
        return ready > 0

    def _retry(self, wanted: bool) -> None:
        if self.events and wanted != self.retrying:
            self.retrying = wanted
            if wanted:
                self.events.watch(self.retry_fd, self._deliver)
            else:
                self.events.unwatch(self.retry_fd)

    def _say(self, text: str) -> None:
        note(text)

    def _help(self, key: int) -> None:
        tell("\n" + help_text(key).rstrip("\n"))

    # For the monitor, which runs on the main thread while the guest is held.

    def read_line(self, give_up: Callable[[], bool] = lambda: False) -> str | None:
        """A line the user typed, without its end; None at the end of input or when give_up() says so."""
        typed = self.typed_ahead.replace(b"\r", b"\n")
        self.typed_ahead = b""
        while b"\n" not in typed:
            if give_up():
                return None
            if select.select([STDIN], [], [], 0.2)[0]:
                more = os.read(STDIN, READ_SIZE)
                if not more:
                    return None
                typed += more.replace(b"\r", b"\n")
        line, _, self.typed_ahead = typed.partition(b"\n")
        return line.decode("utf-8", "replace")

    def resume(self) -> None:
        """Back from the monitor: raw mode, and the guest hears what is typed."""
        if self.terminal:
            self.terminal.enter()
        data, self.typed_ahead = self.typed_ahead, b""
        if self.scanner:
            self._obey(self.scanner, data)
            self._deliver()
        if self.events and self.takes_input:
            self.events.watch(STDIN, self._readable)


def open_channel(spec: SerialSpec | str, *, escape_key: int = CONTROL_A, takes_input: bool = True) -> Channel:
    """The channel that spec asks for, opened. Raises ConfigError if the host does not let us have it."""
    if isinstance(spec, str):
        spec = parse_serial(spec)
    match spec:
        case SerialSpec("stdio"):
            return StdioChannel(escape_key, takes_input=takes_input)
        case SerialSpec("pty"):
            return PtyChannel()
        case SerialSpec("file", Path() as path):
            return FileChannel(path)
        case SerialSpec("unix", Path() as path):
            from hyperport.host.unix_channel import UnixChannel

            return UnixChannel(path)
        case SerialSpec("tty", Path() as path):
            from hyperport.host.tty_channel import TtyChannel

            return TtyChannel(path)
    return Channel()
