# SPDX-License-Identifier: GPL-2.0-or-later
"""A few corruptions of the ring and the tables of exitless port I/O; tools/fuzz_exitless.py does millions."""

from __future__ import annotations

import re
import subprocess
import sys

from ..conftest import ROOT


def test_nothing_goes_elsewhere() -> None:
    command = [sys.executable, str(ROOT / "tools" / "fuzz_exitless.py"), "--corruptions", "20000"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    found = re.search(r"(\d+) guests, (\d+) posted writes, (\d+) refused, (\d+) restarted, 0 elsewhere", done.stdout)
    assert found is not None, done.stdout
    assert all(int(number) > 20 for number in found.groups())
