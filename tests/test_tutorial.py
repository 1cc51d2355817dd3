# SPDX-License-Identifier: GPL-2.0-or-later
"""The tutorial works as it stands: each command is run, in a folder with its files, and says what is written there.

In the output of a command `...` stands for anything, also for more lines.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from hyperport.guests.toolchain import compiler

ROOT: Final = Path(__file__).parents[1]
TUTORIAL: Final = ROOT / "docs" / "tutorial.md"
FILES: Final = ROOT / "docs" / "examples" / "thermometer"
CONSOLE: Final = re.compile(r"^```console\n(.*?)^```$", re.M | re.S)
LIMIT_S: Final = 120


def commands() -> list[tuple[str, str]]:
    """(command, output as it is told)."""
    found: list[tuple[str, str]] = []
    for block in CONSOLE.findall(TUTORIAL.read_text()):
        for line in block.splitlines(keepends=True):
            if line.startswith("$ "):
                found.append((line[2:].strip(), ""))
            else:
                found[-1] = (found[-1][0], found[-1][1] + line)
    return found


def told(output: str) -> re.Pattern[str]:
    return re.compile(".*?".join(re.escape(part) for part in output.split("...")), re.S)


def test_each_command_says_what_is_told(tmp_path: Path) -> None:
    if shutil.which(compiler()) is None:
        pytest.skip(f"no {compiler()}")
    shutil.copytree(FILES, tmp_path, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__", ".pytest_cache"))
    # The commands are scripts of the environment that runs this test; hyperport itself may not be installed in it.
    bin_folder = tmp_path / "bin"
    bin_folder.mkdir()
    for name, module in (("hyperport", "hyperport"), ("pytest", "pytest")):
        script = bin_folder / name
        script.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m {module} "$@"\n')
        script.chmod(0o755)
    environment = os.environ | {
        "PATH": f"{bin_folder}:{os.environ['PATH']}",
        "PYTHONPATH": f"{ROOT / 'src'}:{tmp_path}",
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        "PYTEST_PLUGINS": "pytest_hyperport",
        "COLUMNS": "80",
    }
    for name in ("PYTEST_ADDOPTS", "CI", "PYTEST_CURRENT_TEST"):
        environment.pop(name, None)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    run = commands()
    assert len(run) > 12
    for command, output in run:
        done = subprocess.run(
            ["bash", "-c", f"{command} 2>&1"],
            cwd=tmp_path,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )
        # What the guest says comes from stdout, the rest from stderr: in which order is not told.
        assert told(output).fullmatch(done.stdout), f"$ {command}\n{done.stdout}\n--- but the tutorial says\n{output}"
