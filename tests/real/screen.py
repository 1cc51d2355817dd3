# SPDX-License-Identifier: GPL-2.0-or-later
"""As much of a terminal as a program needs that places its text: cursor moves and erasing, no scrolling."""

from __future__ import annotations

import re
from typing import Final

ROWS: Final = 25
COLUMNS: Final = 80
PIECES: Final = re.compile(r"\x1b\[([0-9;?]*)([A-Za-z])|\x1b[78=>]|([\x00-\x1f])|([^\x00-\x1f\x1b]+)")


def show(output: str) -> list[str]:
    """The lines of the screen after a program's output. Unknown sequences are passed over."""
    grid = [[" "] * COLUMNS for _ in range(ROWS)]
    row = column = 0
    for parameters, final, control, text in PIECES.findall(output):
        if final in ("H", "f"):
            line, _, place = parameters.partition(";")
            row, column = int(line or 1) - 1, int(place or 1) - 1
        elif final == "J":
            grid = [[" "] * COLUMNS for _ in range(ROWS)]
        elif control == "\r":
            column = 0
        elif control == "\n":
            row += 1
        for character in text:
            if row < ROWS and column < COLUMNS:
                grid[row][column] = character
            column += 1
    return ["".join(line).rstrip() for line in grid]
