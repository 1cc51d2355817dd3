# SPDX-License-Identifier: GPL-2.0-or-later
"""Children that die, hang and fail are told apart, with the step that they had reached."""

from __future__ import annotations

import mmap
import os
import signal
import sys
import time
from collections.abc import Callable

import pytest

from tools.watched import STEP_BYTES, Child, End

PATIENT = 100.0  # seconds: a loaded host is slow to start a child


def reach(progress: mmap.mmap, step: int) -> None:
    progress[:STEP_BYTES] = step.to_bytes(STEP_BYTES, sys.byteorder)


def dies(progress: mmap.mmap) -> None:
    reach(progress, 7)
    os.kill(os.getpid(), signal.SIGSEGV)


def hangs(progress: mmap.mmap) -> None:
    reach(progress, 8)
    time.sleep(600)


def fails(progress: mmap.mmap) -> None:
    reach(progress, 9)
    raise ValueError("as it should")


def is_good(progress: mmap.mmap) -> None:
    reach(progress, 10)


@pytest.mark.parametrize(
    ("work", "patience", "end"),
    [
        (dies, PATIENT, End("died of SIGSEGV", 7)),
        (hangs, 0.2, End("no progress for 0.2 s", 8)),
        (fails, PATIENT, End("failed (see above)", 9)),
        (is_good, PATIENT, End("", 10)),
    ],
)
def test_how_a_child_ended(
    work: Callable[[mmap.mmap], None], patience: float, end: End, capfd: pytest.CaptureFixture[str]
) -> None:
    child = Child(work, patience=patience)
    while (seen := child.poll()) is None:
        time.sleep(0.01)
    assert seen == end
    assert ("ValueError: as it should" in capfd.readouterr().err) == (work is fails)
