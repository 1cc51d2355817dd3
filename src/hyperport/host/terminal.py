# SPDX-License-Identifier: GPL-2.0-or-later
"""The user's terminal in raw mode, and back: whatever happens, it is left as it was found."""

from __future__ import annotations

import atexit
import contextlib
import os
import termios
import threading
from typing import Any, Final

from hyperport.errors import HostError
from hyperport.host import last_resort

IFLAG, OFLAG, CFLAG, LFLAG, CC = 0, 1, 2, 3, 6  # indices of what tcgetattr() gives

RAW_IFLAG: Final = (
    termios.IGNBRK
    | termios.BRKINT
    | termios.PARMRK
    | termios.ISTRIP
    | termios.INLCR
    | termios.IGNCR
    | termios.ICRNL
    | termios.IXON
)
RAW_LFLAG: Final = termios.ECHO | termios.ECHONL | termios.ICANON | termios.ISIG | termios.IEXTEN
TRIES: Final = 3


def raw_input_mode(mode: list[Any]) -> list[Any]:
    """The same mode with input raw. Output is still processed, so that a bare newline of ours begins a line."""
    raw = [*mode[:CC], list(mode[CC])]
    raw[IFLAG] &= ~RAW_IFLAG
    raw[LFLAG] &= ~RAW_LFLAG
    raw[CFLAG] = raw[CFLAG] & ~(termios.CSIZE | termios.PARENB) | termios.CS8
    raw[CC][termios.VMIN] = 1
    raw[CC][termios.VTIME] = 0
    return raw


def raw_mode(mode: list[Any]) -> list[Any]:
    """The same mode with input and output raw: every byte goes through as it is."""
    raw = raw_input_mode(mode)
    raw[OFLAG] &= ~termios.OPOST
    return raw


class Terminal:
    """The terminal at fd. enter() and leave() say which mode is wanted; suspend() and resume() are for job control.

    May be called from any thread. While raw mode is wanted, leave() is registered with atexit, and last_resort.pyx
    knows the mode. farewell: what is written when the process dies, before the mode is set.
    """

    farewell = b""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self._found: list[Any] | None = None  # the mode to go back to, while raw mode is wanted
        self._lock = threading.RLock()

    @property
    def raw(self) -> bool:
        """Whether raw mode is wanted now."""
        return self._found is not None

    def enter(self) -> None:
        """Take raw mode. Raises HostError if the terminal does not tell the mode to go back to."""
        with self._lock:
            if self._found is None:
                try:
                    self._found = termios.tcgetattr(self.fd)
                except termios.error as error:
                    raise HostError(f"terminal: {error.args[-1]}; use --serial pty, or a pipe") from error
                atexit.register(self.leave)
                last_resort.arm(self.fd, self.farewell)
                self._set(raw_input_mode(self._found))

    def leave(self) -> None:
        """Give the terminal back as it was found."""
        with self._lock:
            if self._found is not None:
                self._set(self._found)
                self._found = None
                last_resort.disarm()
                atexit.unregister(self.leave)

    def suspend(self) -> None:
        """The process is about to be stopped: the shell gets the terminal as it was."""
        with self._lock:
            if self._found is not None:
                self._set(self._found)

    def resume(self) -> None:
        """The process runs again: back to raw mode, if it is wanted and we are in the foreground."""
        with self._lock:
            if self._found is not None and self.in_foreground():
                self._set(raw_input_mode(self._found))

    def in_foreground(self) -> bool:
        """Whether the terminal would let us change it, and not stop us with SIGTTOU."""
        with contextlib.suppress(OSError):  # the terminal has gone, or is not our controlling one
            return os.tcgetpgrp(self.fd) == os.getpgrp()
        return False

    def _set(self, mode: list[Any]) -> None:
        for _ in range(TRIES):
            with contextlib.suppress(termios.error):  # interrupted; or the terminal has gone, and its mode with it
                termios.tcsetattr(self.fd, termios.TCSANOW, mode)
                return
