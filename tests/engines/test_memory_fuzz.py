# SPDX-License-Identifier: GPL-2.0-or-later
"""Generated programs on device memory end as they do on RAM; tools/fuzz_memory.py runs as many as one likes."""

from __future__ import annotations

from typing import Any

import pytest

from .hostile.windows import MODES, Pair, Store, WindowError, program, run_windows

PROGRAMS = 400


@pytest.mark.parametrize(("path", "clock"), [("exit", "virtual"), ("trap", "virtual"), ("exit", "insns")])
def test_device_memory_is_as_ram_on_unicorn(path: str, clock: str) -> None:
    pair = Pair("unicorn", path, clock)
    counts = run_windows(f"make test {path}", range(PROGRAMS), pair)
    pair.close()
    assert sum(counts.values()) == PROGRAMS
    assert set(MODES) <= set(counts)
    assert counts.get("endless", 0) + counts.get("triple_fault", 0) < PROGRAMS // 20


@pytest.mark.usefixtures("kvm")
def test_device_memory_is_as_ram_on_kvm() -> None:
    pair = Pair("kvm")
    counts = run_windows("make test kvm", range(PROGRAMS // 4), pair)
    pair.close()
    assert counts.get("flat", 0) > PROGRAMS // 8


def test_a_program_is_always_the_same() -> None:
    assert program("a", 5) == program("a", 5) != program("a", 6)


def test_a_device_that_forgets_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The comparison can fail, and names the program."""

    def forget(self: Any, offset: int, size: int, value: int) -> None:
        if size == 4:
            self.bytes[offset : offset + 2] = value.to_bytes(4, "little")[:2]

    monkeypatch.setattr(Store, "memory_write", forget)
    pair = Pair()
    with pytest.raises(WindowError) as raised:
        run_windows("a", range(100), pair)
    pair.close()
    assert raised.value.__notes__[0].endswith("of seed a")
