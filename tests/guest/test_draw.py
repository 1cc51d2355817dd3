# SPDX-License-Identifier: GPL-2.0-or-later
"""Pictures that a guest of ours draws: each pixel of what is on the screen, on both engines."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from hyperport import Machine
from hyperport.outcome import GuestExit
from tests.guest.board import BIN, LIMIT_S
from tests.ui.test_display import Colour, dots

Pixels = list[list[Colour]]


def drawn(append: str, engine: str = "unicorn") -> Pixels:
    """What is on the screen when the program has ended."""
    with Machine(kernel=BIN / "draw.elf", append=append, memory=8 << 20, engine=engine) as machine:
        outcome = machine.run(timeout=LIMIT_S)
        assert outcome == GuestExit(0), outcome
        return dots(machine.display.png())


def palette(count: int) -> list[Colour]:
    """As set_palette() of the program, in eight bits."""

    def wide(level: int) -> int:
        return level << 2 | level >> 4

    levels = [i * 63 // (count - 1) for i in range(count)]
    return [(wide(i), wide(63 - 2 * i if i < 32 else 2 * i - 63), wide(63 - i)) for i in levels]


def picture(width: int, height: int, colour: Callable[[int, int], Colour], scale: tuple[int, int] = (1, 1)) -> Pixels:
    """Each pixel by its function; scale: how wide and how high it is shown."""
    rows = ([colour(x // scale[0], y // scale[1]) for x in range(width * scale[0])] for y in range(height * scale[1]))
    return list(rows)


def squares() -> list[list[int]]:
    """The colours of the planar picture."""
    colours = [[x // 40 + y // 60 & 15 for x in range(640)] for y in range(480)]
    for x in range(640):
        colours[x * 3 // 4][x] = 15
    for y in range(32, 96):
        for x in range(64, 128):
            colours[y][x] ^= 10
    for y in range(200, 216):
        for x in range(160, 320, 2):
            colours[y][x] = 12
    for y in range(48):
        colours[400 + y][480:560] = colours[y][:80]
    return colours


def pixel(bits: int, x: int, y: int) -> Colour:
    """One of the frame buffer's."""
    red, green, blue = x * 255 // 799, y * 255 // 599, (x ^ y) & 255
    few = {15: (5, 5, 5), 16: (5, 6, 5)}.get(bits, (8, 8, 8))
    cut = [part >> 8 - n for part, n in zip((red, green, blue), few, strict=True)]
    wide = [part << 8 - n | part >> 2 * n - 8 if n < 8 else part for part, n in zip(cut, few, strict=True)]
    return wide[0], wide[1], wide[2]


def assert_same(shown: Pixels, expected: Pixels) -> None:
    assert (len(shown[0]), len(shown)) == (len(expected[0]), len(expected))
    wrong = [
        (x, y) for y, row in enumerate(shown) if row != expected[y] for x in range(len(row)) if row[x] != expected[y][x]
    ]
    assert not wrong, f"{len(wrong)} pixels, the first at {wrong[0]}"


MODE_13H, MODE_12H, MODE_X = "mode13", "mode12", "modex"


@pytest.mark.parametrize("append", [MODE_13H, MODE_12H, MODE_X])
def test_kvm_draws_the_same(kvm: Any, append: str) -> None:
    assert_same(drawn(append, "kvm"), drawn(append))


def test_mode_13h() -> None:
    colours = palette(256)
    assert_same(drawn(MODE_13H), picture(320, 200, lambda x, y: colours[(x ^ y) & 0xFF], (2, 2)))


def test_mode_12h() -> None:
    colours, cells = palette(16), squares()
    assert_same(drawn(MODE_12H), picture(640, 480, lambda x, y: colours[cells[y][x]]))


def test_mode_x() -> None:
    colours = palette(256)
    assert_same(drawn(MODE_X), picture(320, 240, lambda x, y: colours[(x * x + y * y) >> 7 & 0xFF], (2, 2)))


@pytest.mark.parametrize("bits", [8, 15, 16, 24, 32])
def test_frame_buffers(bits: int) -> None:
    palette_of_8 = palette(256)
    assert_same(
        drawn(f"vbe bits={bits}"),
        picture(800, 600, lambda x, y: palette_of_8[(x ^ y) & 255] if bits == 8 else pixel(bits, x, y)),
    )
