# SPDX-License-Identifier: GPL-2.0-or-later
"""Debian's console on the VGA: its own vgacon shows text, its own atkbd hears what the host types."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hyperport import Machine, MemoryBackend, Outcome, Reset, StopKind
from hyperport.guests.registry import DEBIAN_APPEND

from .conftest import ANSWER_S, BOOT_S, require, trouble

pytestmark = pytest.mark.real

PROMPT = "/root #"


class Console:
    """Debian with its console on the screen, run by a thread, looked at and typed to by the test."""

    def __init__(self, machine: Machine, serial: MemoryBackend) -> None:
        self.machine = machine
        self.serial = serial
        self.outcome: Outcome | None = None
        self.commands = 0

    def wait(self, found: Callable[[list[str]], bool], seconds: float = ANSWER_S) -> list[str]:
        """The screen as soon as it is as wanted."""
        end = time.monotonic() + seconds
        while not found(lines := self.machine.display.text()):
            assert time.monotonic() < end, "\n".join(lines)
            time.sleep(0.05)
        return lines

    def prompt(self, seconds: float = ANSWER_S) -> list[str]:
        """The lines on the screen once the shell waits in the last of them."""
        return [line for line in self.wait(lambda lines: _last(lines) == PROMPT, seconds) if line]

    def shell(self, line: str) -> list[str]:
        """Type a command on a clear screen; its output."""
        self.commands += 1
        end = f"done {self.commands}"
        self.machine.type(f"clear; {line}; echo {end}\n")
        shown = self.wait(lambda lines: _last(lines) == PROMPT and end in lines)
        return shown[: shown.index(end)]


def _last(lines: list[str]) -> str:
    return next((line for line in reversed(lines) if line), "")


@contextmanager
def running(append: str) -> Iterator[Console]:
    guest = require("debian")
    serial = MemoryBackend()
    with Machine(kernel=guest.kernel, initrd=guest.initrd, append=append, serial=serial) as machine:
        console = Console(machine, serial)

        def run() -> None:
            console.outcome = machine.run(timeout=2 * BOOT_S)

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield console
            thread.join(ANSWER_S)
        finally:
            machine.request_stop(StopKind.QUIT)
            thread.join()


def test_console_on_the_screen_and_keyboard(tmp_path: Path) -> None:
    with running(DEBIAN_APPEND + " console=tty0") as console:
        shown = console.prompt(BOOT_S)
        assert any("Run /init as init process" in line for line in shown)
        assert "hyperport: guest ready" in shown

        assert console.shell("dmesg -n 1; echo $((6*7)) '~!@#%^&*()_+{}|:<>?'") == ["42 ~!@#%^&*()_+{}|:<>?"]
        assert console.shell("dmesg | grep -o 'Console: colour VGA.*'") == ["Console: colour VGA+ 80x25"]
        assert console.shell("grep -c 'AT Translated Set 2' /proc/bus/input/devices") == ["1"]
        (interrupts,) = console.shell("grep i8042 /proc/interrupts | head -1")
        assert int(interrupts.split()[1]) > 100

        console.shell("printf '\\033[1;33;44mcolours\\033[0m\\n'")
        cells = [cell for row in console.machine.display.cells() for cell in row if cell.background == 1]
        assert "".join(cell.character for cell in cells) == "colours"
        assert {cell.foreground for cell in cells} == {14}

        numbers = "".join(f"{number} " for number in range(200))  # more strokes than a keyboard holds back
        (checksum,) = console.shell(f"echo -n '{numbers}' | md5sum")
        assert checksum.split()[0] == hashlib.md5(numbers.encode(), usedforsecurity=False).hexdigest()

        picture = tmp_path / "screen.png"
        picture.write_bytes(console.machine.display.png())
        assert picture.read_bytes().startswith(b"\x89PNG")
        console.machine.type("reboot -f\n")
    assert isinstance(console.outcome, Reset)
    assert trouble(console.serial.output().decode()) == []
