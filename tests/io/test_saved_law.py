# SPDX-License-Identifier: GPL-2.0-or-later
"""Generated programs that are saved at a random point go on in another process as if nothing had happened."""

from __future__ import annotations

import random
from dataclasses import astuple
from pathlib import Path

import pytest

from .law.machines import PATHS
from .law.programs import SHARED, RandomSource, program
from .law.saved import run_broken, run_whole

PROGRAMS = 120
POINTS = 3


@pytest.mark.parametrize("io", PATHS)
def test_a_batch_goes_on_in_another_process(io: str, tmp_path: Path) -> None:
    programs = [program(RandomSource(f"saved/{io}/{number}"), SHARED) for number in range(PROGRAMS)]
    whole = run_whole(programs, io, tmp_path)
    assert whole.accesses > PROGRAMS
    for at in random.Random(io).sample(range(1, whole.accesses), POINTS):
        broken = run_broken(programs, io, tmp_path, at)
        assert broken.log == whole.log, at
        assert broken.results == whole.results, at
        assert broken.content == whole.content, at
        assert (broken.memory, broken.now) == (whole.memory, whole.now), at
        assert astuple(broken)[:4] == astuple(whole)[:4]
