# SPDX-License-Identifier: GPL-2.0-or-later
"""Signals to the host process, while a guest runs.

A Python signal handler runs on the main thread only, between two bytecodes, and the main thread is in guest code. So
the interpreter's wake-up descriptor (signal.set_wakeup_fd) hands the signal's number to the machine's watcher thread.
That thread lives only while the machine runs; before and after, the handler on the main thread takes the number from
the same descriptor. Whoever is first acts, the other finds nothing.

    SIGINT, SIGTERM, SIGHUP, SIGQUIT   ask the machine to stop; a second one leaves at once
    SIGTSTP                            give the terminal back, stop the process
    SIGCONT                            take the terminal again, if we are in the foreground
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable
from typing import Any, Final, Self

from hyperport.host.channel import Events
from hyperport.host.terminal import Terminal
from hyperport.outcome import STATUS_SIGNAL

ENDING: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
JOB_CONTROL: Final = (signal.SIGTSTP, signal.SIGCONT)


class HostSignals:
    """While entered, a signal that ends calls stop(signum), on any thread. Enter on the main thread only.

    terminal: the console's, given back before the process stops or leaves.
    received: the first signal that asked for the end, or 0.
    """

    def __init__(self, events: Events, stop: Callable[[int], None], terminal: Terminal | None = None) -> None:
        self.events = events
        self.stop = stop
        self.terminal = terminal
        self.received = 0
        self._before: dict[int, Any] = {}
        self._wakeup_before = -1
        self._reader = self._writer = -1

    def __enter__(self) -> Self:
        if threading.current_thread() is not threading.main_thread():
            raise RuntimeError("signals can be taken on the main thread only")
        self._reader, self._writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._wakeup_before = signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        for signum in (*ENDING, *(JOB_CONTROL if self.terminal else ())):
            if signal.getsignal(signum) is not signal.SIG_IGN:  # as nohup(1) and shells without job control want it
                self._before[signum] = signal.signal(signum, self._handler)
        self.events.watch(self._reader, self._arrived)
        return self

    def __exit__(self, *exc: object) -> None:
        self.events.unwatch(self._reader)
        for signum, handler in self._before.items():
            signal.signal(signum, handler)
        signal.set_wakeup_fd(self._wakeup_before)
        os.close(self._writer)
        os.close(self._reader)
        self._reader = self._writer = -1

    def _handler(self, *_: object) -> None:
        self._arrived()

    def _arrived(self) -> bool:
        with contextlib.suppress(BlockingIOError):
            for signum in os.read(self._reader, 64):
                self._act(signum)
        return True

    def _act(self, signum: int) -> None:
        if signum == signal.SIGTSTP and self.terminal:
            self.terminal.suspend()
            os.kill(os.getpid(), signal.SIGSTOP)
        elif signum == signal.SIGCONT and self.terminal:
            self.terminal.resume()
        elif signum in ENDING:
            if self.received:
                if self.terminal:
                    self.terminal.leave()
                os._exit(STATUS_SIGNAL + signum)
            self.received = signum
            self.stop(signum)
