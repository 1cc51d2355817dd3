# SPDX-License-Identifier: GPL-2.0-or-later
"""Blocks end before the translator's arrays do: the margin, and guests that would cross it."""

from __future__ import annotations

import pytest

from hyperport.machine.machine import Machine
from hyperport.outcome import HaltedForever
from tests.engines.test_unicorn_hostile import CODE, SECONDS, STOP_HERE, flat
from tests.engines.translator import FLAG_SETTERS, FORMS, MODES, Translator, encodings, limit_in_source


@pytest.fixture(scope="module")
def translator() -> Translator:
    return Translator()


def test_no_instruction_takes_more_temporaries_than_the_limit_leaves(translator: Translator) -> None:
    # Every seventh; tools/translator_limits.py measures all. A block of one also pays for its start and end.
    most = 0
    for code in list(encodings())[::7]:
        translator.write(code)
        for mode in ("real", "segmented, ring 3"):
            most = max(most, translator.cost(1, MODES[mode], generate=False).temporaries)
    assert 12 < most < limit_in_source() // 2


def test_the_flags_of_the_instruction_before_cost_no_more(translator: Translator) -> None:
    most = 0
    for code in list(encodings())[:: 7 * len(FORMS)]:
        for setter in FLAG_SETTERS:
            translator.write(setter + code)
            most = max(most, translator.cost(2, MODES["flat, ring 0"], generate=False).temporaries)
    assert most < limit_in_source() // 2


# They leave temporaries behind, are written often in a row by compilers or never, and all killed the process once.
HUNGRY = {
    "aam": "d40a",
    "aad": "d50a",
    "fmul": "d8c9",
    "fsub": "d8e1",
    "fld1, fstp": "d9e8ddd8",
    "pshufd": "660f70c01b",
    "shufps": "0fc6c01b",
    "mov eax, cr0": "0f20c0",
    "mov fs, cx": "8ee1",
}


@pytest.mark.parametrize("code", HUNGRY.values(), ids=HUNGRY.keys())
@pytest.mark.parametrize("copies", [463, 464, 2000])
def test_a_run_of_one_instruction_ends_after_its_last(code: str, copies: int) -> None:
    with Machine(memory=4 << 20) as machine:
        enable_sse = bytes.fromhex("0f20e00d000600000f22e0")  # CR4.OSFXSR and OSXMMEXCPT
        program = enable_sse + bytes.fromhex(code) * copies
        machine.memory.write(CODE, program + STOP_HERE)
        machine.engine.set_state(flat())
        assert isinstance(machine.run(timeout=SECONDS), HaltedForever)
        assert machine.engine.state().eip == CODE + len(program) + len(STOP_HERE)
