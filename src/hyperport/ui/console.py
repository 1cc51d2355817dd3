# SPDX-License-Identifier: GPL-2.0-or-later
"""The user's console: the channel on stdin and stdout, with the escape key; and open_channel() for all kinds."""

from __future__ import annotations

import os
import select
from collections.abc import Callable
from pathlib import Path

from hyperport.host.channel import READ_SIZE, Channel, Events, FileChannel, PtyChannel, RequestStop
from hyperport.host.char import FdBackend
from hyperport.host.notes import hint, tell
from hyperport.host.specs import SerialSpec, parse_serial
from hyperport.host.streams import STDIN, STDOUT, is_open
from hyperport.host.terminal import Terminal
from hyperport.lines.attention import StopKind
from hyperport.ui.escape import Command, EscapeScanner, help_text, key_name
from hyperport.ui.options import CONTROL_A, NO_ESCAPE


class StdioChannel(Channel):
    """The user's console. On a terminal: raw input and the escape key. From a pipe: the bytes as they are.

    The end of input does not end the guest. Only the channel with takes_input reads; another one on stdio only writes.
    """

    def __init__(self, escape_key: int = CONTROL_A, *, takes_input: bool = True) -> None:
        super().__init__(FdBackend(STDOUT, where="stdout"))
        self.takes_input = takes_input and is_open(STDIN)
        self.terminal = Terminal(STDIN) if self.takes_input and os.isatty(STDIN) else None
        self.scanner = EscapeScanner(escape_key) if self.terminal and escape_key != NO_ESCAPE else None
        self.typed_ahead = b""  # typed behind the key that opened the monitor, so meant for it

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
        if self.terminal:
            self.terminal.leave()
        super().stop()

    def _readable(self) -> bool:
        if not self.backend.room():
            return False
        try:
            data = self._take(STDIN)
        except OSError:  # the terminal has hung up
            data = b""
        if data is None:
            return True
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
            self.backend.feed(guest)
            if command is Command.HELP:
                self._help(scanner.key)
            elif command is Command.QUIT:
                self.request_stop(StopKind.QUIT)
            elif command is Command.MONITOR and self.events and self.terminal:
                self.events.unwatch(STDIN)
                self.terminal.leave()
                self.typed_ahead, data = data, b""
                self.request_stop(StopKind.PAUSE)

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
    return Channel()
