# SPDX-License-Identifier: GPL-2.0-or-later
"""When a machine may be saved: while it is held, or between two instructions, if another thread asks.

A machine is held before and after a run, and while the monitor has it. In a device's code it is in the middle of an
instruction: whoever asks there is refused.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

from hyperport.errors import ThreadError
from hyperport.lines.attention import StopKind
from hyperport.machine.run import FOR_A_SAVE

Machine = Any  # of machine.py, which needs this file


class Request:
    """One file that a thread waits for."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.done = threading.Event()
        self.size = 0
        self.error: BaseException | None = None


class SaveRequests:
    """Of one machine, whose run loop calls serve()."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.lock = threading.Lock()
        self.waiting: list[Request] = []

    def save(self, path: Path) -> int:
        """Save the machine now, or have its runner do it; returns the file's bytes."""
        machine = self.machine
        with self.lock:
            runner = machine.guard.runner
            if runner is None or machine.guard.inherited:
                machine.guard.check("save")
                return self._write(path)
            if runner != threading.get_ident():
                request = Request(path)
                self.waiting.append(request)
                machine.attention.stop(StopKind.PAUSE, FOR_A_SAVE)
        if runner == threading.get_ident():
            if machine.interrupter is None or not machine.interrupter.held:
                raise ThreadError("save: the guest is in the middle of an instruction; ask from another thread")
            return self._write(path)
        request.done.wait()
        if request.error is not None:
            raise request.error
        return request.size

    def serve(self) -> None:
        """Do what was asked for; on the thread that runs the guest, while it is held."""
        with self.lock:
            waiting, self.waiting = self.waiting, []
        for request in waiting:
            try:
                request.size = self._write(request.path)
            except BaseException as error:  # it is the other thread's
                request.error = error
            request.done.set()

    def run_begins(self) -> None:
        """From now on this thread runs the guest."""
        with self.lock:
            self.machine.guard.runner = threading.get_ident()

    def run_ends(self) -> None:
        """The guest is held again. Who asked too late for the run is served now."""
        self.serve()
        with self.lock:
            self.machine.guard.runner = None
            late = bool(self.waiting)
        if late:
            self.serve()

    def _write(self, path: Path) -> int:
        from hyperport.machine.state import save_state
        from hyperport.machine.state_file import write_state

        record, streams = save_state(self.machine)
        return write_state(path, record, streams)
