# SPDX-License-Identifier: GPL-2.0-or-later
"""Other hosts get one clear line: from the command, from the import of a name, and from the build."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Final

import pytest

from hyperport.supported_host import unsupported

ROOT: Final = Path(__file__).parents[1]
ELSEWHERE: Final = (
    "import os; there = os.uname_result(('Linux', 'host', '6.1', '1', 'aarch64')); os.uname = lambda: there;"
)
LINE: Final = "hyperport runs on Linux on x86-64 with glibc and a 64-bit Python; this is "


def arm() -> SimpleNamespace:
    return SimpleNamespace(machine="aarch64")


def no_such_name(name: str) -> str:
    raise ValueError("unrecognized configuration name")


def test_this_host_is_supported() -> None:
    assert unsupported() is None


@pytest.mark.parametrize(
    ("module", "name", "value", "said"),
    [
        (os, "uname", arm, "linux on aarch64 with a 64-bit Python"),
        (sys, "maxsize", (1 << 31) - 1, "linux on x86_64 with a 32-bit Python"),
        (sys, "platform", "darwin", "darwin on x86_64 with a 64-bit Python"),
        (os, "confstr", no_such_name, "a Linux with another C library"),
    ],
    ids=["aarch64", "32 bits", "macOS", "musl"],
)
def test_others_are_not(
    monkeypatch: pytest.MonkeyPatch, module: ModuleType, name: str, value: object, said: str
) -> None:
    monkeypatch.setattr(module, name, value)
    assert unsupported() == LINE + said


def run(program: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", ELSEWHERE + program],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    return done.stderr.splitlines()


def test_the_command_says_so_in_one_line() -> None:
    lines = run("import sys; from hyperport.cli.main import main; sys.exit(main(['run', 'demo']))")
    assert len(lines) == 1
    assert LINE + "linux on aarch64" in lines[0]


def test_a_name_of_the_package_says_so() -> None:
    assert run("from hyperport import Machine")[-1].startswith(f"ImportError: {LINE}linux on aarch64")


def test_the_build_says_so_in_one_line() -> None:
    program = "import runpy, sys; sys.argv = ['setup.py', '-q', 'build_ext']; runpy.run_path('setup.py')"
    assert run(program) == [f"error: {LINE}linux on aarch64 with a 64-bit Python"]
