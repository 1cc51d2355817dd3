# SPDX-License-Identifier: GPL-2.0-or-later
"""Memtest86+, to the end of a full pass. Its bit fade test alone waits for most of three minutes."""

from __future__ import annotations

import re
import threading

import pytest

from hyperport import Machine, MemoryBackend, Quit, StopKind

from .conftest import require
from .screen import show

pytestmark = pytest.mark.real

LIMIT_S = 1200
LAST_TEST = 10  # bit fade, as version 6 numbers them; the quick ones are over before the screen shows them


def test_full_pass_without_errors() -> None:
    guest = require("memtest")
    console = MemoryBackend()
    over = threading.Event()
    with Machine(kernel=guest.kernel, append=guest.append, memory=guest.memory, serial=console) as machine:

        def wait_for_the_end() -> None:
            while not re.search(rb"Pass: +1\b|Errors: +[1-9]", console.output()) and not over.wait(1):
                pass
            machine.request_stop(StopKind.QUIT)

        watcher = threading.Thread(target=wait_for_the_end)
        watcher.start()
        outcome = machine.run(timeout=LIMIT_S)
        over.set()
        watcher.join()
    output = console.output().decode("cp437")
    screen = show(output)
    text = "\n".join(screen)
    assert screen[0].lstrip().startswith("Memtest86+ v"), text
    assert re.search(r"Pass: +1 +Errors: +0\b", text), text
    assert outcome == Quit()
    tests = {int(number) for number in re.findall(r"#(\d+) ", output)}
    assert max(tests) == LAST_TEST
    assert len(tests) >= 3
