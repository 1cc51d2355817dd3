# SPDX-License-Identifier: GPL-2.0-or-later
"""Fuzz the devices: each chip alone, and the whole board (hyperport.testing.fuzz).

    python tools/fuzz_devices.py --accesses 10000000 --seed 1 [--device NAME]

One line for each subject. Each runs in a child process: if that dies, or does not get on for --patience seconds, the
line names seed and step, and how to see it again. Exit status 0 if nothing was found, else 1.
"""

from __future__ import annotations

import argparse
import faulthandler
import mmap
import os
import signal
import sys
import time
import traceback
from dataclasses import dataclass

from hyperport.devices import CHIPS
from hyperport.testing.fuzz import BOARD, fuzz, subject

FOUND = 1  # exit status of a child that found something by itself
LOOK_S = 0.05


@dataclass(frozen=True)
class Job:
    """One child's work."""

    device: str
    accesses: int
    seed: int
    patience: float


def run_child(job: Job, progress: mmap.mmap) -> None:
    """Fuzz and leave, without what Python does at its end."""
    faulthandler.enable()
    status = FOUND
    try:
        print(fuzz(subject(job.device), job.accesses, job.seed, progress=progress), flush=True)
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)


def run_job(job: Job) -> bool:
    """Run a child to its end; True if it found nothing."""
    progress = mmap.mmap(-1, 8)  # shared with the child
    pid = os.fork()
    if not pid:
        run_child(job, progress)
    step, moved = 0, time.monotonic()
    ended = hung = False
    status = 0
    while not ended:
        time.sleep(LOOK_S)
        ended, status = (done := os.waitpid(pid, os.WNOHANG))[0] == pid, done[1]
        now = int.from_bytes(progress[:8], sys.byteorder)
        if now != step:
            step, moved = now, time.monotonic()
        elif not ended and not hung and time.monotonic() - moved > job.patience:
            hung = True
            os.kill(pid, signal.SIGKILL)
    if not status:
        return True
    if hung:
        what = f"no progress for {job.patience:g} s"
    elif os.WIFSIGNALED(status):
        what = f"died of {signal.Signals(os.WTERMSIG(status)).name}"
    else:
        what = "failed (see above)"
    print(
        f"{job.device}: {what} at step {step}, seed {job.seed}; again: "
        f"python tools/fuzz_devices.py --device {job.device} --seed {job.seed} --accesses {job.accesses}",
        flush=True,
    )
    return False


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description="Fuzz the devices, each alone and the whole board.")
    parser.add_argument("--accesses", type=int, default=1_000_000, help="for each subject (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--device", choices=[*sorted(CHIPS), BOARD], action="append", help="may be repeated")
    parser.add_argument("--patience", type=float, default=60.0, help="seconds without progress that count as a hang")
    options = parser.parse_args()
    names = options.device or [*sorted(CHIPS), BOARD]
    began = time.monotonic()
    good = sum(run_job(Job(name, options.accesses, options.seed, options.patience)) for name in names)
    print(
        f"fuzz: {good} of {len(names)} good, {options.accesses * len(names)} accesses, seed {options.seed},"
        f" {time.monotonic() - began:.0f} s"
    )
    return 0 if good == len(names) else 1


if __name__ == "__main__":
    sys.exit(main())
