# SPDX-License-Identifier: GPL-2.0-or-later
"""Guests that nobody here wrote: how they are got, and talked to through a terminal.

Where something is missing a test is skipped with the reason, but with CI set in the environment it fails.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from pathlib import Path
from typing import Final, NoReturn

import pexpect
import pytest

from hyperport.errors import FetchError
from hyperport.guests.registry import FetchedGuest, fetch, locate

from ..conftest import command

BOOT_S: Final = 300  # hung, not slow
ANSWER_S: Final = 60
TEST_S: Final = 1800  # of one whole test, by pytest-timeout
PROMPT: Final = "/root # |~ # "
TROUBLE: Final = re.compile(
    r".*(?:\bBUG\b|\bOops\b|\bWARNING\b|Call Trace|Kernel panic|soft lockup|\bstall|hung task|nobody cared).*"
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here):
            item.add_marker(pytest.mark.timeout(TEST_S))


def missing(reason: str) -> NoReturn:
    """Skip, or fail where nothing may be missing."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


def require(name: str) -> FetchedGuest:
    """A known guest, fetched if it is not in the cache."""
    try:
        return locate(name)
    except FetchError:
        pass
    try:
        return fetch(name, lambda line: print(line, file=sys.stderr))
    except FetchError as error:
        missing(str(error))


def require_qemu() -> str:
    """The path of qemu's PC."""
    found = shutil.which("qemu-system-i386")
    if found is None:
        missing("qemu-system-i386 is not installed: apt-get install qemu-system-x86")
    return found


def trouble(log: str) -> list[str]:
    """The lines of a kernel's log that no good boot has."""
    return TROUBLE.findall(log)


class Terminal:
    """`hyperport run` under a shell in a pseudo-terminal, which tells the terminal's settings before and after."""

    def __init__(self, *arguments: str) -> None:
        script = 'stty -g; "$@"; echo "status=$?"; stty -g'
        self.child: pexpect.spawn[str] = pexpect.spawn(
            "/bin/sh",
            ["-c", script, "sh", *command(*arguments)],
            env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "TERM": "dumb"},
            encoding="utf-8",
            codec_errors="replace",
            timeout=ANSWER_S,
        )
        self.child.delaybeforesend = None
        self.before = self.child.readline().strip()
        self.log = ""

    def wait_for_prompt(self, seconds: float = ANSWER_S) -> str:
        """All that came before the guest's next prompt."""
        self.child.expect(PROMPT, timeout=seconds)
        self.log += str(self.child.before)
        return str(self.child.before)

    def shell(self, line: str) -> tuple[int, str]:
        """Type a command; its exit status and output."""
        self.child.send(f'{line}; echo "<$?>"\r')
        self.child.expect(r'<\$\?>"\r*\n(.*?)<(\d+)>\r*\n')
        output, status = str(self.child.match[1]), int(self.child.match[2])
        self.wait_for_prompt()
        return status, output.replace("\r", "").strip()

    def start(self, line: str) -> None:
        """Type a command that reads the terminal, and wait until the shell has handed it over."""
        self.child.send(f"echo $((40+2)); {line}\r")
        self.child.expect("\n42\r")

    def end(self) -> int:
        """Wait for the end: hyperport's exit status. The terminal must be as it was."""
        self.child.expect(r"status=(\d+)\r\n", timeout=ANSWER_S)
        self.log += str(self.child.before)
        status = int(self.child.match[1])
        assert self.child.readline().strip() == self.before
        self.child.expect(pexpect.EOF)
        return status

    def close(self) -> None:
        """End it whatever happened."""
        self.child.close(force=True)
