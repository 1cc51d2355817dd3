# SPDX-License-Identifier: GPL-2.0-or-later
"""What one instruction costs Unicorn's translator at most: the ground for engines/unicorn/translator_limits.pxd.

    python tools/translator_limits.py [--every-form]

Translates each opcode of each map with prefixes, operand forms and modes (tests/engines/translator.py), alone and after
instructions that leave the flags in each of the translator's states, and prints the largest of each cost with the
instruction that it was. Exit status 1 if a block of one instruction takes more temporaries than the limit leaves.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.engines.translator import FLAG_SETTERS, MODES, Cost, Translator, encodings, limit_in_source

FIELDS = Cost.__slots__


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--every-form", action="store_true", help="all 256 ModRM bytes (three times as long)")
    every_form = parser.parse_args().every_form
    translator, began, blocks = Translator(), time.monotonic(), 0
    most = dict.fromkeys(FIELDS, (0, "", ""))

    def measure(code: bytes, instructions: int, mode: str) -> None:
        nonlocal blocks
        blocks += 1
        cost = translator.cost(instructions, MODES[mode])
        for field in FIELDS:
            if getattr(cost, field) > most[field][0]:
                most[field] = getattr(cost, field), code.hex(), mode

    for code in encodings(every_form=every_form):
        translator.write(code)
        for mode in MODES:
            measure(code, 1, mode)
        if len(code) == 16:  # no prefix
            for setter in FLAG_SETTERS:
                translator.write(setter + code)
                measure(setter + code, 2, "segmented, ring 3")
    for field, (value, code_text, mode) in most.items():
        print(f"{field:<13}{value:>6}  {code_text}  {mode}")
    limit = limit_in_source()
    print(f"{blocks} blocks in {time.monotonic() - began:.0f} s; the limit leaves {limit} temporaries for the last one")
    return 0 if most["temporaries"][0] < limit else 1


if __name__ == "__main__":
    sys.exit(main())
