# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs the same guest on hyperport and on qemu TCG, in turn, and reports medians, spread and the ratio.

A figure of ours means something only beside the peer's from the same run: hosts differ, and drift.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TypeVar

from hyperport.guests.registry import locate
from hyperport.observe.figures import interval

QEMU = "qemu-system-i386"
LIMIT_S = 120.0

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Run:
    """One finished process: seconds of wall time, of CPU time (user and system), exit status, standard output."""

    wall_s: float
    cpu_s: float
    status: int
    output: str


def run(command: Sequence[str], timeout: float) -> Run:
    """Run a command to its end and account for it alone. Exits with a message if it takes longer than timeout."""
    began = time.monotonic()
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, errors="replace"
    ) as child:
        assert child.stdout is not None
        watchdog = threading.Timer(timeout, child.kill)
        watchdog.start()
        output = child.stdout.read()
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        watchdog.cancel()
    if child.returncode < 0:
        sys.exit(f"{command[0]} was killed after {timeout:g} s; its last output: {output[-300:]!r}")
    return Run(time.monotonic() - began, usage.ru_utime + usage.ru_stime, child.returncode, output)


def hyperport(*arguments: str | Path) -> list[str]:
    """The command line of the hyperport of this tree."""
    return [sys.executable, "-m", "hyperport", "run", "--engine", "unicorn", "--serial", "stdio", *map(str, arguments)]


def qemu(*arguments: str | Path) -> list[str]:
    """A PC without what hyperport's has not: no APIC in CPUID, no ACPI, no network, exit by debug-exit or reset."""
    if shutil.which(QEMU) is None:
        sys.exit(f"{QEMU} is not installed: apt-get install qemu-system-x86")
    machine = ["-accel", "tcg", "-machine", "pc,acpi=off", "-cpu", "qemu32,-apic,+nx", "-m", "128", "-nodefaults"]
    console = ["-display", "none", "-serial", "stdio", "-no-reboot"]
    return [QEMU, *machine, *console, "-device", "isa-debug-exit,iobase=0xf4,iosize=4", *map(str, arguments)]


def workload_on_qemu(name: str, words: str) -> tuple[int, int]:
    """Run a program of guest/workloads on qemu, with these words; returns its accesses and its nanoseconds."""
    append = f"ops=native {words}"
    output = run(qemu("-kernel", locate(name).kernel, "-append", append), LIMIT_S).output
    found = re.search(r"accesses (\d+) checksum \w+ ns (\d+)", output)
    if found is None:
        sys.exit(f"workload {name} did not come to its end on {QEMU}: {output[-500:]}")
    return int(found[1]), int(found[2])


def alternate(
    pairs: int, ours: Callable[[], Result], theirs: Callable[[], Result]
) -> tuple[list[Result], list[Result]]:
    """Run both in turn, the first of each pair changing, so that drift of the host hits both alike."""
    mine: list[Result] = []
    peer: list[Result] = []
    for number in range(pairs):
        order = ((ours, mine), (theirs, peer))
        for job, results in order if number % 2 == 0 else reversed(order):
            results.append(job())
    return mine, peer


def report(title: str, unit: str, ours: Sequence[float], theirs: Sequence[float], peer: str = "qemu") -> float:
    """Print one row: median (smallest to largest) of both, and the median of the pairs' ratios, which is returned, with
    its interval."""

    def column(values: Sequence[float]) -> str:
        return f"{median(values):9.3f} ({min(values):.3f} to {max(values):.3f})"

    ratios = [mine / peer for mine, peer in zip(ours, theirs, strict=True)]
    low, high = interval(ratios)
    between = f"{median(ratios):.3f} [{low:.3f}, {high:.3f}]"
    print(f"{title:<28} {unit:<6} hyperport {column(ours):<32} {peer} {column(theirs):<32} ratio {between}")
    return median(ratios)
