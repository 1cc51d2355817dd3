# SPDX-License-Identifier: GPL-2.0-or-later
"""Other hosts get one clear line, from the import and from the build."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from hyperport.supported_host import unsupported

ROOT: Final = Path(__file__).parents[1]


def no_such_name(name: str) -> str:
    raise ValueError("unrecognized configuration name")


def test_this_host_is_supported() -> None:
    assert unsupported() is None


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ((platform, "machine", lambda: "aarch64"), "this is Linux on aarch64 with a 64-bit Python"),
        ((sys, "maxsize", (1 << 31) - 1), "this is Linux on x86_64 with a 32-bit Python"),
        ((os, "confstr", no_such_name), "this Linux has another C library"),
    ],
    ids=["aarch64", "32 bits", "musl"],
)
def test_others_are_not(monkeypatch: pytest.MonkeyPatch, what: tuple[object, str, object], said: str) -> None:
    monkeypatch.setattr(*what)
    assert unsupported() == f"hyperport runs on Linux on x86-64 with glibc and a 64-bit Python: {said}"


def test_macos_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(platform, "system", lambda: "Darwin")
    monkeypatch.setattr(platform, "machine", lambda: "arm64")
    assert str(unsupported()).endswith(": this is Darwin on arm64 with a 64-bit Python")


@pytest.mark.parametrize(
    ("program", "last"),
    [
        ("import hyperport", "ImportError: hyperport runs on "),
        (
            "import sys; sys.argv = ['setup.py', 'build_ext', '--inplace']; exec(open('setup.py').read())",
            "error: hyperp",
        ),
    ],
    ids=["import", "build"],
)
def test_import_and_build_say_so(program: str, last: str) -> None:
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            f"import platform; platform.machine = lambda: 'aarch64'; __file__ = 'setup.py'; {program}",
        ],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    line = done.stderr.splitlines()[-1]
    assert line.startswith(last)
    assert "aarch64" in line
