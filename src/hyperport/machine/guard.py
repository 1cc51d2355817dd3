# SPDX-License-Identifier: GPL-2.0-or-later
"""Whose a machine is at a moment: the process that made it, and while the guest runs the thread that called run().

docs/api-rules.md has what may be called from where. What may not be raises ThreadError, before it has touched anything.
"""

from __future__ import annotations

import os
import threading

from hyperport.errors import ThreadError


class Guard:
    """Asked by whatever would disturb a guest that runs. check() costs a system call, so it is not for hot paths."""

    def __init__(self) -> None:
        self.process = os.getpid()
        self.runner: int | None = None  # the thread that runs the guest

    @property
    def inherited(self) -> bool:
        """Whether this process is a fork of the one that has the machine."""
        return os.getpid() != self.process

    def check(self, what: str) -> None:
        """Raise ThreadError if the calling thread may not do `what` now."""
        if self.inherited:
            raise ThreadError(
                f"{what}: this machine belongs to process {self.process}, and fork() copied it: make a new one here"
            )
        if self.runner is not None and self.runner != threading.get_ident():
            raise ThreadError(f"{what}: the guest runs on another thread; stop it first, or do it in a device")
