# SPDX-License-Identifier: GPL-2.0-or-later
"""Signals that ask for the end, and the watchdog behind them, each in a process of its own."""

from __future__ import annotations

import signal
import subprocess
import sys
from typing import Final

import pytest

HANGS_S: Final = 60

TAKES: Final = """
import os, signal, sys, time
from hyperport.host.signals import HostSignals
signal.signal(signal.SIGHUP, signal.{hangup})
asked = []
with HostSignals(asked.append) as signals:
    for signum in ({signals}):
        os.kill(os.getpid(), signum)
        end = time.monotonic() + 30
        while signum != signal.SIGHUP and not signals.received and time.monotonic() < end:
            time.sleep(0.001)
    print([int(signum) for signum in asked], int(signals.received))
"""

BITES: Final = """
import os, time
from hyperport.host.watchdog import Watchdog
with Watchdog() as dog:
    dog.last_words.append(lambda: os.write(1, b"first, "))
    dog.last_words.append(lambda: 1 // 0)
    dog.last_words.append(lambda: os.write(1, b"last"))
    dog.expect_end(77)
    {then}
"""


def python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=HANGS_S,
        check=False,
        start_new_session=True,
    )


@pytest.mark.parametrize(
    ("hangup", "signals", "told", "status"),
    [
        ("SIG_DFL", "signal.SIGTERM,", "[15] 15\n", 0),
        ("SIG_DFL", "signal.SIGHUP, signal.SIGTERM", "", 128 + signal.SIGTERM),  # a second one leaves at once
        ("SIG_IGN", "signal.SIGHUP, signal.SIGTERM", "[15] 15\n", 0),  # as under nohup(1)
        ("SIG_DFL", "signal.SIGTERM, signal.SIGINT", "", 128 + signal.SIGINT),
    ],
)
def test_which_signals_ask_for_the_end(hangup: str, signals: str, told: str, status: int) -> None:
    done = python(TAKES.format(hangup=hangup, signals=signals))
    assert (done.stdout, done.returncode) == (told, status), done.stderr


def test_the_watchdog_says_its_last_words_and_leaves() -> None:
    done = python(BITES.format(then="time.sleep(40)"))
    assert (done.stdout, done.returncode) == ("first, last", 77)
    assert done.stderr.startswith("hyperport: the machine does not stop")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("then", ["dog.forget(); time.sleep(1.2)", "pass"])
def test_the_watchdog_is_quiet_where_the_end_has_come(then: str) -> None:
    done = python(BITES.format(then=then))
    assert (done.stdout, done.stderr, done.returncode) == ("", "", 0)
