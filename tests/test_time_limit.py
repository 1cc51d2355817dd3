# SPDX-License-Identifier: GPL-2.0-or-later
"""A test that hangs is ended by the limit of these tests, in a pytest run of its own with a small one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[1]
LIMIT_S: Final = 120

IN_PYTHON: Final = "import threading; threading.Event().wait()"
IN_A_GUEST: Final = """
    from tests.conftest import flat_guest
    flat_guest(tmp_path, "eb fe ; 1: jmp 1b").run()
"""
IN_C: Final = """
    import ctypes  # a lock that is taken twice, with the interpreter's held: no thread of Python runs
    mutex, c = ctypes.create_string_buffer(64), ctypes.PyDLL(None)
    c.pthread_mutex_lock(mutex), c.pthread_mutex_lock(mutex)
"""
CONFTEST: Final = """
import tests.conftest
from tests.conftest import pytest_configure, pytest_runtest_protocol
tests.conftest.GRACE_S = 2
"""


def run(folder: Path, body: str) -> subprocess.CompletedProcess[str]:
    (folder / "test_it.py").write_text(f"def test_hangs(tmp_path):\n    {body}\ndef test_next():\n    pass\n")
    (folder / "conftest.py").write_text(CONFTEST)
    options = ("-c", "pyproject.toml", "-p", "no:cacheprovider", "--timeout=1")
    return subprocess.run(
        [sys.executable, "-m", "pytest", *options, str(folder / "test_it.py")],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )


def test_hung_python_fails_and_the_next_test_runs(tmp_path: Path) -> None:
    done = run(tmp_path, IN_PYTHON)
    assert "Failed: Timeout (>1.0s) from pytest-timeout." in done.stdout
    assert "1 failed, 1 passed" in done.stdout
    assert done.returncode == 1


@pytest.mark.parametrize("body", [IN_A_GUEST, IN_C], ids=["in a guest", "in C"])
def test_what_hears_no_signal_ends_the_run_and_shows_where_it_is(tmp_path: Path, body: str) -> None:
    done = run(tmp_path, body)
    assert "Timeout (0:00:03)!" in done.stderr
    assert "in test_hangs" in done.stderr
    assert done.returncode == 1


def test_every_test_here_has_a_limit(request: pytest.FixtureRequest) -> None:
    assert float(request.config.getini("timeout")) > 0
