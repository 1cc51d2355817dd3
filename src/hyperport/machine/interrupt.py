# SPDX-License-Identifier: GPL-2.0-or-later
"""Brings run() back from Python code of the user's: a device, a listener, an observer that does not return.

A request to stop is served where the vCPU looks up, and code of the user's that loops never lets it. So, PATIENCE_S
after the request, an exception is raised in that code, as a debugger would (PyThreadState_SetAsyncExc). It arrives at
the next byte code: C code that waits, as time.sleep(), has to come back first.
"""

from __future__ import annotations

import ctypes
import sys
import threading
from collections.abc import Callable
from types import CodeType
from typing import Final

PATIENCE_S: Final = 0.25
AGAIN_S: Final = 0.1


class Unresponsive(BaseException):
    """Raised in code of the user's that did not return when the run was to end. Do not catch it."""


class Interrupter:
    """Watches one run, on the thread that entered it. request() may come from any thread.

    ours: code of the run loop itself, which looks at requests by itself.
    """

    def __init__(self, ours: frozenset[CodeType], stop_pending: Callable[[], bool]) -> None:
        self.ours = ours
        self.stop_pending = stop_pending
        self.held = False  # the monitor has the thread, and asks the user
        self.runner = threading.get_ident()
        self._lock = threading.Lock()
        self._timer: threading.Timer | None = None
        self._over = False
        self._raised = False

    def request(self) -> None:
        """A stop was asked for: look after a while whether it was heard."""
        self._look_in(PATIENCE_S)

    def end(self) -> None:
        """On the run's thread: it is over; from now on nothing is raised, and nothing that was raised arrives."""
        with self._lock:
            self._over = True
            timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()
            timer.join()
        if self._raised:
            _let_arrive(self.runner)

    def _look_in(self, seconds: float) -> None:
        with self._lock:
            if self._over or self._timer is not None:
                return
            self._timer = threading.Timer(seconds, self._look)
            self._timer.daemon = True
            self._timer.start()

    def _look(self) -> None:
        with self._lock:
            if self._over:
                return
            frame = sys._current_frames().get(self.runner)
            if self.stop_pending() and not self.held and frame is not None and frame.f_code not in self.ours:
                self._raised = True
                _raise_in(self.runner, Unresponsive)
            self._timer = None
        self._look_in(AGAIN_S)


def _raise_in(thread: int, kind: type[BaseException]) -> None:
    """Let the next byte code of a thread raise kind, in place of what was to be raised there and has not arrived."""
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(kind))


def _let_arrive(thread: int) -> None:
    """Take what may be on its way to this thread.

    Setting NULL would leave CPython 3.11 looking for it for ever, and it hangs where a profiler traces it.
    """
    try:
        _raise_in(thread, Unresponsive)
        while True:
            pass
    except Unresponsive:
        pass
