# SPDX-License-Identifier: GPL-2.0-or-later
"""Every verb in a host that is not as it should be: streams closed, full or left, no home, any terminal and locale.

run has a finer table of its own: test_streams.py.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

HANGS_S: Final = 60
OK, GUEST_EXIT, IO, LEFT = 0, 1, 74, 141  # the guest demo ends with value 0, which is status 1
HYPERPORT: Final = f"exec {sys.executable} -m hyperport"
FULL: Final = "No space left on device"

WORDS: Final = {  # of each verb, with what it says on stdout, and the status where all is well
    "run": ("run demo --quiet --report", GUEST_EXIT),
    "profile": ("profile demo --quiet", GUEST_EXIT),
    "profile-json": ("profile demo --quiet --json", GUEST_EXIT),
    "compare": ("compare delay --repeat 1 --scale 0.01", OK),
    "trace-show": ("trace show guest.trace", OK),
    "trace-diff": ("trace diff guest.trace guest.trace", OK),
    "trace-export": ("trace export guest.trace", OK),
    "trace-play": ("trace play guest.trace", OK),
    "project": ("project guest.trace", OK),
    "audit": ("audit guest.trace --quiet", OK),
    "list": ("list guests", OK),
    "doctor": ("doctor", OK),
    "completion": ("completion bash", OK),
    "help": ("--help", OK),
}
ALONE: Final = ("list", "doctor", "completion", "help", "trace-show", "project")  # those quick enough for every state

# Environments: what differs from the tests' own; None: not there.
ENVIRONMENTS: Final[dict[str, dict[str, str | None]]] = {
    "no home": {"HOME": None, "XDG_CACHE_HOME": None},
    "no such home": {"HOME": "/nonexistent", "XDG_CACHE_HOME": None},
    "home is a file": {"HOME": "/etc/passwd", "XDG_CACHE_HOME": None},
    "no terminal": {"TERM": None, "COLUMNS": None},
    "a terminal without columns": {"COLUMNS": "0"},
    "one column": {"COLUMNS": "1"},
    "columns are a word": {"COLUMNS": "wide"},
    "the locale C": {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"},
    "an encoding with few letters": {"PYTHONIOENCODING": "ascii"},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("host")
    done = sh("run demo --quiet --serial null --trace guest.trace", place)
    assert done.returncode == GUEST_EXIT, done.stderr
    return place


def sh(line: str, place: Path, **environment: str | None) -> subprocess.CompletedProcess[str]:
    settings = {word: text for word, text in (os.environ | environment).items() if text is not None}
    return subprocess.run(
        ["bash", "-c", f"set -o pipefail; {HYPERPORT} {line}"],
        cwd=place,
        env=settings,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=HANGS_S,
        check=False,
    )


def said(done: subprocess.CompletedProcess[str]) -> list[str]:
    """Its lines for the user, without those of a report."""
    assert "Traceback" not in done.stderr
    return [line for line in done.stderr.splitlines() if line.startswith("hyperport: ")]


@pytest.mark.parametrize("verb", WORDS)
def test_stdout_is_full(verb: str, folder: Path) -> None:
    done = sh(f"{WORDS[verb][0]} >/dev/full", folder)
    assert done.returncode == IO, done.stderr
    assert any(line.startswith(f"hyperport: stdout: {FULL}") for line in said(done))


@pytest.mark.parametrize("verb", WORDS)
def test_stdout_is_closed(verb: str, folder: Path) -> None:
    done = sh(f"{WORDS[verb][0]} >&-", folder)
    assert done.returncode == WORDS[verb][1], done.stderr
    said(done)


@pytest.mark.parametrize("verb", WORDS)
def test_nobody_reads_stdout(verb: str, folder: Path) -> None:
    """The reader has gone before anything is written: so it does not depend on how much that is."""
    done = sh(f"{WORDS[verb][0]} | :", folder)
    assert done.returncode in (LEFT, IO, WORDS[verb][1]), done.stderr
    assert (f"(status {IO})" in done.stderr) == (done.returncode == IO), done.stderr
    assert len(said(done)) <= (verb in ("run", "profile")), done.stderr


@pytest.mark.parametrize("state", ENVIRONMENTS)
@pytest.mark.parametrize("verb", [*ALONE, "profile"])
def test_environment(verb: str, state: str, folder: Path) -> None:
    done = sh(WORDS[verb][0], folder, **ENVIRONMENTS[state])
    assert done.returncode == WORDS[verb][1], done.stderr
    assert said(done) == []
    assert done.stdout


@pytest.mark.parametrize(
    "line",
    [
        "profile demo --quiet --html /dev/full",
        "profile demo --quiet --speedscope /dev/full",
        "trace export guest.trace --output /dev/full",
        "audit guest.trace --quiet --output /dev/full",
    ],
)
def test_a_file_that_takes_nothing_is_named(line: str, folder: Path) -> None:
    """And what else was asked for is still said."""
    done = sh(line, folder)
    assert done.returncode == IO
    (told,) = said(done)
    assert told.endswith(("it is not written", FULL))
    assert f"/dev/full: {FULL}" in told
    assert ("port" in done.stdout) == line.startswith("profile")


def test_a_folder_that_is_gone(tmp_path: Path) -> None:
    (tmp_path / "gone").mkdir()
    gone = f"cd {tmp_path}/gone; rmdir ../gone; {HYPERPORT} list guests"
    done = subprocess.run(["bash", "-c", gone], capture_output=True, text=True, timeout=HANGS_S, check=False)
    assert (done.returncode, said(done)) == (OK, [])
