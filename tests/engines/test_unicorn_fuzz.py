# SPDX-License-Identifier: GPL-2.0-or-later
"""Some thousands of hostile programs, by the tool that runs as many as one likes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.engines.hostile import machines
from tests.engines.hostile.machines import HostilityError, run_all
from tests.engines.hostile.programs import program

ROOT = Path(__file__).parents[2]
PROGRAMS = 3000


def test_hostile_programs_neither_crash_nor_hang_nor_abort() -> None:
    command = [sys.executable, "tools/fuzz_cpu.py", "--programs", str(PROGRAMS), "--seed", "make test", "--jobs", "2"]
    result = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=600, check=False)
    assert result.stdout.startswith(f"fuzz_cpu: {PROGRAMS} programs, 0 crashes, 0 hangs, 0 failures"), result
    assert result.returncode == 0
    endings = dict(pair.rsplit(" ", 1) for pair in result.stdout.strip().split(": ")[-1].split(", "))
    assert sum(map(int, endings.values())) == PROGRAMS
    assert {"timeout", "triple-fault", "guest-exit", "halted"} <= set(endings)


def test_a_program_is_always_the_same() -> None:
    assert program("a", 5) == program("a", 5)
    assert program("a", 5) != program("a", 6) != program("b", 6)


def test_all_kinds_and_modes_occur() -> None:
    titles = {program("kinds", index).title for index in range(400)}
    parts = {part for title in titles for part in title.split(", ")}
    assert parts == {
        "copies", "random bytes", "instructions", "system instructions", "self-modifying",
        "real", "ring 0", "ring 3", "16 bits", "virtual 8086", "paging two levels", "paging pse", "paging pae",
    }  # fmt: skip


def test_a_program_that_is_too_much_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machines, "HUNG_S", 0)
    with pytest.raises(HostilityError) as raised:
        run_all("a", range(3), lambda index: None)
    assert raised.value.__notes__ == [f"program 0 of seed a: {program('a', 0).title}"]
