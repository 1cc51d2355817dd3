# SPDX-License-Identifier: GPL-2.0-or-later
"""Tools whose reader leaves end without a word."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    "words", [("fuzz_devices", "--accesses", "1000", "--device", "port92"), ("fuzz_state", "--mutants", "1")]
)
def test_a_reader_that_has_left(words: tuple[str, ...]) -> None:
    tool = subprocess.Popen(
        [sys.executable, f"tools/{words[0]}.py", *words[1:]], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert tool.stdout is not None
    tool.stdout.close()
    assert tool.stderr is not None
    assert tool.stderr.read() == b""
    assert tool.wait(60) == -signal.SIGPIPE
