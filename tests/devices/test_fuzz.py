# SPDX-License-Identifier: GPL-2.0-or-later
"""Random accesses on every chip and on the board; tools/fuzz_devices.py does the same for longer."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import ClassVar

import pytest

from hyperport import Device
from hyperport.devices import CHIPS
from hyperport.testing.fuzz import BOARD, FuzzError, alone, fuzz, subject

ROOT = Path(__file__).parents[2]
TOOL = ROOT / "tools" / "fuzz_devices.py"
SUBJECTS = [*sorted(CHIPS), BOARD]
ACCESSES = 100_000
FEW = 20_000  # of devices in plain Python
LIMIT_S = 120


def in_a_child(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(TOOL), *arguments],
        env={"PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )


def test_no_device_minds_random_accesses() -> None:
    done = in_a_child("--accesses", str(ACCESSES), "--seed", "2007")
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"fuzz: {len(SUBJECTS)} of {len(SUBJECTS)} good" in done.stdout


@pytest.mark.parametrize("name", SUBJECTS)
def test_save_reset_and_load_cannot_be_seen(name: str) -> None:
    with_it, without = (fuzz(subject(name), ACCESSES // 2, 822, save_load=flag) for flag in (True, False))
    assert with_it.loads > 0
    assert without.loads == 0
    assert with_it.answers == without.answers


class Forgetful(Device):
    """Keeps a byte, but not in its record."""

    kept = 0
    stateless = True  # a lie

    def read(self, offset: int, size: int) -> int:
        return self.kept

    def write(self, offset: int, size: int, value: int) -> None:
        self.kept = value

    def reset(self) -> None:
        self.kept = 0


def test_a_device_that_forgets_is_found() -> None:
    with_it, without = (
        fuzz(alone("forgetful", lambda *_: Forgetful()), FEW, 1, save_load=flag) for flag in (True, False)
    )
    assert with_it.answers != without.answers


def test_a_device_that_raises_is_found() -> None:
    class Fragile(Device):
        def write(self, offset: int, size: int, value: int) -> None:
            assert value != 0x5A

    with pytest.raises(FuzzError, match=r"fragile raised AssertionError.*by step \d+") as caught:
        fuzz(alone("fragile", lambda *_: Fragile()), FEW, 1)
    assert isinstance(caught.value.__cause__, AssertionError)


def test_a_device_that_grows_is_found() -> None:
    class Hoarder(Device):
        hoard: ClassVar = bytearray()

        def write(self, offset: int, size: int, value: int) -> None:
            self.hoard.extend(bytes(64))

    with pytest.raises(FuzzError, match=r"hoarder grew by \d+ bytes in Python"):
        fuzz(alone("hoarder", lambda *_: Hoarder()), FEW, 1)


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("os.abort()", r"post-code: died of SIGABRT at step \d+, seed 7; again: python tools/fuzz_devices.py "),
        ("time.sleep(60)", r"post-code: no progress for 1 s at step \d+, seed 7"),
    ],
)
def test_a_child_that_dies_or_hangs_is_reported_with_its_step(body: str, says: str, tmp_path: Path) -> None:
    tool = tmp_path / "with_a_bad_chip.py"
    tool.write_text(
        "import os, runpy, time\n"
        "from hyperport import Device\n"
        "from hyperport.devices import CHIPS\n"
        "class Bad(Device):\n"
        "    left = 1000\n"
        "    def write(self, offset, size, value):\n"
        "        self.left -= 1\n"
        f"        if not self.left: {body}\n"
        "CHIPS['post-code'] = lambda *_: Bad()\n"
        f"runpy.run_path({str(TOOL)!r}, run_name='__main__')\n"
    )
    done = subprocess.run(
        [sys.executable, tool, "--accesses=10000", "--seed=7", "--device=post-code", "--patience=1"],
        env={"PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    assert done.returncode == 1
    assert re.search(says, done.stdout), done.stdout + done.stderr
