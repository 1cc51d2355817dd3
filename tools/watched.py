# SPDX-License-Identifier: GPL-2.0-or-later
"""Work in child processes that may die or hang, for the fuzzers: who did it, and at which step."""

from __future__ import annotations

import faulthandler
import mmap
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass

FOUND = 1  # exit status of a child that found something by itself
STEP_BYTES = 8


@dataclass(frozen=True)
class End:
    """How a child ended: what went wrong ("" if nothing did), and at which step."""

    what: str
    step: int


class Child:
    """Runs work(progress) in a child process; work writes its step to the first 8 bytes of progress.

    A child whose step has not changed for `patience` seconds is killed.
    """

    def __init__(self, work: Callable[[mmap.mmap], None], patience: float) -> None:
        self._progress = mmap.mmap(-1, STEP_BYTES)  # shared with the child
        self._patience = patience
        self._step, self._moved, self._hung = 0, time.monotonic(), False
        sys.stdout.flush()
        self.pid = os.fork()
        if not self.pid:
            _work_and_leave(work, self._progress)

    def poll(self) -> End | None:
        """None while it runs."""
        pid, status = os.waitpid(self.pid, os.WNOHANG)
        step, now = int.from_bytes(self._progress[:STEP_BYTES], sys.byteorder), time.monotonic()
        if pid == self.pid:
            return End(self._verdict(status), step)
        if step != self._step:
            self._step, self._moved = step, now
        elif not self._hung and now - self._moved > self._patience:
            self._hung = True
            os.kill(self.pid, signal.SIGKILL)
        return None

    def _verdict(self, status: int) -> str:
        if not status:
            return ""
        if self._hung:
            return f"no progress for {self._patience:g} s"
        if os.WIFSIGNALED(status):
            return f"died of {signal.Signals(os.WTERMSIG(status)).name}"
        return "failed (see above)"


def _work_and_leave(work: Callable[[mmap.mmap], None], progress: mmap.mmap) -> None:
    """Work and leave, without what Python does at its end."""
    faulthandler.enable()
    status = FOUND
    try:
        work(progress)
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
