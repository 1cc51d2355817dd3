# SPDX-License-Identifier: GPL-2.0-or-later
"""Generated programs that are saved at a random point go on in another process as if nothing had happened."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from .law.machines import PATHS
from .law.programs import SHARED, RandomSource, program
from .law.saved import run_broken, run_whole

PROGRAMS = 120
POINTS = 3


@pytest.mark.parametrize("clock", ["virtual", "insns=1"])
@pytest.mark.parametrize("io", PATHS)
def test_a_batch_goes_on_in_another_process(io: str, clock: str, tmp_path: Path) -> None:
    programs = [program(RandomSource(f"saved/{io}/{number}"), SHARED) for number in range(PROGRAMS)]
    whole = run_whole(programs, io, clock, tmp_path)
    assert whole.accesses > PROGRAMS
    for at in random.Random(io).sample(range(1, whole.accesses), POINTS):
        broken = run_broken(programs, io, clock, tmp_path, at)
        assert broken.log == whole.log, at
        assert broken.results == whole.results, at
        assert broken.content == whole.content, at
        assert broken.memory == whole.memory, at
        # A write that was posted may be a call where the machine goes on, which has fewer instructions.
        assert broken.now == whole.now or io == "exitless", at
