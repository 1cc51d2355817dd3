# SPDX-License-Identifier: GPL-2.0-or-later
"""Ends the process when nothing else does: the main thread loops in a device, waits for a disk, a FIFO, a reader.

A request to stop is served by the vCPU's thread, as soon as it comes out of what it does. The watchdog waits PATIENCE_S
for that. Then it gives the terminal back, writes out what is gathered (each for a moment only: what holds the main
thread may hold that too), says so in one line, and leaves with the status that the run would have had.
See docs/decisions/0028-watchdog.md.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable
from typing import Final, Self

from hyperport.host import last_resort
from hyperport.host.notes import note

PATIENCE_S: Final = 0.55  # from a request to the bite
LAST_WORDS_S: Final = 0.1  # for each thing that is done before leaving
HELD_S: Final = 0.15  # later, for one that cannot bite because compiled code holds Python
SAMPLE_S: Final = 0.15  # over which a thread is looked at: does it work, or wait?
WORKS_S: Final = 0.005  # CPU time in a sample of a thread that works
EXTENSION_S: Final = 15.0  # for one that works, where that is good


class Watchdog:
    """Watches the thread that enters it. Use as a context manager."""

    def __init__(self) -> None:
        self.last_words: list[Callable[[], object]] = []  # called before leaving, in order
        self._changed = threading.Condition()
        self._deadline: float | None = None
        self._status = 0
        self._may_work = False
        self._ended = False
        self._clock = -1
        self._thread = threading.Thread(target=self._watch, name="hyperport-watchdog", daemon=True)

    def __enter__(self) -> Self:
        self._clock = time.pthread_getcpuclockid(threading.get_ident())
        self._thread.start()
        last_resort.begin()
        return self

    def __exit__(self, *exc: object) -> None:
        with self._changed:
            self._ended = True
            last_resort.end_at(None)
            self._changed.notify()
        self._thread.join()

    def expect_end(self, status: int, after: float = 0.0, *, may_work: bool = False) -> None:
        """Leave with status unless forget() comes within `after` + PATIENCE_S seconds; the earliest request counts.

        may_work: a thread that is seen to work is given more time; one that waits is not.
        """
        deadline = time.monotonic() + after + PATIENCE_S
        with self._changed:
            if self._deadline is None or deadline < self._deadline:
                self._deadline, self._status, self._may_work = deadline, status, may_work
                last_resort.end_at(deadline + HELD_S + may_work * EXTENSION_S, status)
                self._changed.notify()

    def forget(self) -> None:
        """What was expected has come."""
        with self._changed:
            self._deadline = None
            last_resort.end_at(None)
            self._changed.notify()

    def _watch(self) -> None:
        hard = None
        while not self._ended:
            with self._changed:
                deadline = self._deadline
                left = None if deadline is None else deadline - time.monotonic()
                if left is None or left > 0:
                    hard = None
                    self._changed.wait(None if left is None else min(left, threading.TIMEOUT_MAX))
                    continue
            hard = hard or time.monotonic() + EXTENSION_S
            if self._may_work and time.monotonic() < hard and self._works():
                continue
            with self._changed:
                late = self._deadline is not None and time.monotonic() >= self._deadline and not self._ended
            if late:
                self._leave()

    def _works(self) -> bool:
        before = time.clock_gettime(self._clock)
        time.sleep(SAMPLE_S)
        return time.clock_gettime(self._clock) - before > WORKS_S

    def _leave(self) -> None:
        last_resort.end_at(time.monotonic() + 1.0, self._status)
        for words in (*self.last_words, _say):
            speaker = threading.Thread(target=_quietly, args=(words,), daemon=True)
            speaker.start()
            speaker.join(LAST_WORDS_S)
        os._exit(self._status)


def _quietly(words: Callable[[], object]) -> None:
    with contextlib.suppress(Exception):  # the process is about to leave, and this is what it can still do
        words()


def _say() -> None:
    note("the machine does not stop: a device, a file or a reader holds it; left without its reports")
