# SPDX-License-Identifier: GPL-2.0-or-later
"""The private layout stands in two files; where they name the same thing they say the same of it."""

from __future__ import annotations

import re
from pathlib import Path

import hyperport.engines.unicorn as package

FOLDER = Path(package.__file__).parent


def numbers(path: Path) -> dict[str, int]:
    found = re.findall(r"^\s*(\w+) = ((?:0x[0-9A-Fa-f]+|\d+)(?: << \d+)?)\b", path.read_text(), re.MULTILINE)
    return {name: eval(value) for name, value in found}


def test_layout_and_core_agree() -> None:
    layout, core = numbers(FOLDER / "layout.pxi"), numbers(FOLDER / "fidelity" / "core.h")
    both = layout.keys() & core.keys()
    assert len(both) > 20
    assert {name: layout[name] for name in both} == {name: core[name] for name in both}
