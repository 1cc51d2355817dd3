# SPDX-License-Identifier: GPL-2.0-or-later
from __future__ import annotations

import sys
from collections.abc import Callable

import pytest

from hyperport.cli.main import main

from . import fake_machine

Cli = Callable[..., tuple[int, str, str]]


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Cli:
    """Runs a command line against the fake machine; returns (status, stdout, stderr)."""
    for name, module in fake_machine.modules().items():
        monkeypatch.setitem(sys.modules, name, module)

    def call(*arguments: str) -> tuple[int, str, str]:
        status = main(arguments)
        captured = capfd.readouterr()
        return status, captured.out, captured.err

    return call
