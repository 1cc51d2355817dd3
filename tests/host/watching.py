# SPDX-License-Identifier: GPL-2.0-or-later
"""A stand-in for the machine's watcher thread, in plain Python."""

from __future__ import annotations

import os
import select
import threading
import time
from collections.abc import Callable
from typing import Self


class WatcherThread:
    """Calls callbacks for readable descriptors; one that returns False is left alone for 10 ms."""

    def __init__(self) -> None:
        self.callbacks: dict[int, Callable[[], bool]] = {}
        self.resting: dict[int, float] = {}
        self.calls = 0
        self.reader, self.writer = os.pipe()
        self.running = True
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.failure: BaseException | None = None

    def __enter__(self) -> Self:
        self.thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.running = False
        self.wake()
        self.thread.join(5)
        os.close(self.writer)
        os.close(self.reader)
        if self.failure:
            raise self.failure

    def wake(self) -> None:
        os.write(self.writer, b"!")

    def watch(self, fd: int, callback: Callable[[], bool]) -> None:
        self.callbacks[fd] = callback
        self.wake()

    def unwatch(self, fd: int) -> None:
        self.callbacks.pop(fd, None)
        self.resting.pop(fd, None)

    def run(self) -> None:
        try:
            while self.running:
                self.turn()
        except BaseException as error:
            self.failure = error

    def turn(self) -> None:
        now = time.monotonic()
        poll = select.poll()
        poll.register(self.reader, select.POLLIN)
        for fd in [fd for fd in self.callbacks if self.resting.get(fd, 0) <= now]:
            poll.register(fd, select.POLLIN)
        for fd, _ in poll.poll(10 if self.resting else None):
            if fd == self.reader:
                os.read(self.reader, 64)
            elif fd in self.callbacks:
                self.calls += 1
                if self.callbacks[fd]():
                    self.resting.pop(fd, None)
                elif fd in self.callbacks:
                    self.resting[fd] = time.monotonic() + 0.01


def eventually(condition: Callable[[], bool], seconds: float = 10) -> bool:
    """Wait until condition holds; False if it does not in a time that only a broken program needs."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.005)
    return condition()
