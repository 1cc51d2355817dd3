# SPDX-License-Identifier: GPL-2.0-or-later
"""Debian's idea of time: it is told how fast the TSC runs, and loses nothing while the host is busy.

HYPERPORT_BOOTS boots of each guest, with HYPERPORT_LOAD busy processes beside them.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from hyperport.guests.initramfs import READY
from hyperport.guests.registry import DEBIAN_APPEND
from hyperport.time.tsc import STEP_KHZ, tsc_khz

from ..conftest import run_command
from .conftest import BOOT_S, Terminal, require, trouble

pytestmark = pytest.mark.real

BOOTS: Final = int(os.environ.get("HYPERPORT_BOOTS", "1"))
LOAD: Final = int(os.environ.get("HYPERPORT_LOAD", "8"))
WATCHED_S: Final = 5.0
SAMPLES: Final = 20
OFF_BY: Final = 500e-6  # what NTP corrects at most; a wrong clock is off by more
TICK_S: Final = 0.01  # /proc/uptime has hundredths; Debian's tick is 4 ms

GUESSES: Final = re.compile(r".*(?:calibration using PIT|alibration failed|alibration result|Refined TSC|unstable).*")
DETECTED: Final = re.compile(r"tsc: Detected (\d+)\.(\d{3}) MHz")
LAST_CLOCK: Final = re.compile(r"Switched to clocksource (\S+)")
BY_TICKS: Final = "notsc clocksource=jiffies nohz=off highres=off"  # time is the number of the PIT's interrupts
CONVENTIONS: Final = {
    "none": (),
    "vmi": ("--io", "hypercall"),
    "kvm": ("--io", "hypercall", "--abi", "kvm"),
    "lguest": ("--io", "hypercall", "--abi", "lguest"),
}


@pytest.fixture(params=["debian", "debian-pae"])
def guest(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    require(name)
    if not tsc_khz():
        pytest.skip("this host does not tell its guests how fast the TSC runs")
    return name


@pytest.fixture
def busy_host() -> Iterator[None]:
    """Processes that compute, on all CPUs."""
    loops = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(LOAD)]
    yield
    for loop in loops:
        loop.kill()
        loop.wait()


def boot(guest: str, *options: str) -> None:
    """Boot and reboot; the log must show the clock that the guest was told."""
    append = f"{DEBIAN_APPEND} hp.test=reboot"
    done = run_command(
        guest, *options, "--engine", "unicorn", "--append", append, "--timeout", str(BOOT_S), limit=2 * BOOT_S
    )
    log = done.stdout
    assert done.returncode == 0, log[-2000:]
    assert READY in log
    assert GUESSES.findall(log) == []
    assert trouble(log) == []
    mhz, khz = map(int, DETECTED.findall(log)[-1])  # the CPU's, then the TSC's if that is another
    assert abs(mhz * 1000 + khz - tsc_khz()) <= 2 * (STEP_KHZ + tsc_khz() * 1e-5)  # each process measures it
    assert LAST_CLOCK.findall(log)[-1] == "tsc"


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_nothing_is_calibrated(guest: str, convention: str) -> None:
    boot(guest, *CONVENTIONS[convention])


@pytest.mark.parametrize("number", range(BOOTS))
@pytest.mark.usefixtures("busy_host")
def test_boots_beside_busy_processes(guest: str, number: int) -> None:
    boot(guest)


def uptime(terminal: Terminal) -> tuple[float, float, float]:
    """Host's time before, the guest's time, host's time after it was told."""
    before = time.monotonic()
    status, said = terminal.shell("cat /proc/uptime")
    assert status == 0
    return before, float(said.split()[0]), time.monotonic()


def ahead(terminal: Terminal) -> tuple[float, float]:
    """How far the guest's clock is ahead of the host's, in s, and by how much that may be wrong.

    A guest whose process waits for a CPU has interrupts before it and is behind until it has taken them:
    of SAMPLES answers the one that is ahead most has least before it.
    """
    answers = []
    for _ in range(SAMPLES):
        asked, guest_s, told = uptime(terminal)
        answers.append((guest_s - told, told - asked))
    return max(answers)


@pytest.mark.parametrize("append", ["", BY_TICKS], ids=["tsc", "ticks"])
@pytest.mark.usefixtures("busy_host")
def test_time_passes_as_on_the_busy_host(guest: str, append: str) -> None:
    terminal = Terminal(guest, "--engine", "unicorn", "--append", f"{DEBIAN_APPEND} {append}")
    try:
        terminal.wait_for_prompt(BOOT_S)
        terminal.shell("dmesg -n 1")
        began, off_before = ahead(terminal)
        time.sleep(WATCHED_S)
        ended, off_after = ahead(terminal)
    finally:
        terminal.close()
    assert abs(ended - began) <= 2 * TICK_S + off_before + off_after + 2 * WATCHED_S * OFF_BY


@pytest.mark.parametrize("name", ["debian", "debian-pae"])
def test_two_boots_by_the_clock_of_instructions_make_the_same_accesses(name: str, tmp_path: Path) -> None:
    """In the same order, with the same data, at the same time of the guest's."""
    require(name)
    for trace in ("first", "second"):
        words = ("--clock", "insns", "--append", f"{DEBIAN_APPEND} hp.test=reboot", "--trace", str(tmp_path / trace))
        done = run_command(name, *words, limit=4 * BOOT_S)
        assert READY in done.stdout
        assert not trouble(done.stdout)
    compared = subprocess.run(
        [sys.executable, "-m", "hyperport", "trace", "diff", str(tmp_path / "first"), str(tmp_path / "second")],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert compared.returncode == 0, compared.stdout[:2000]
    assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes()
