# SPDX-License-Identifier: GPL-2.0-or-later
"""Two kinds of plots as SVG: dots on a logarithmic scale, and lines. Without a library, so that the files are small."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

COLOURS: Final = (
    *("#1f6fb4", "#d1495b", "#3b8f5a", "#e08e1b", "#7b5ea7", "#5f6b7a", "#12a4b4", "#a05a2c", "#c2499d", "#8a9a00"),
    *("#222222", "#6a8caf", "#b07aa1"),
)
SHAPES: Final = 3  # circle, square, diamond in turn
STYLE: Final = (
    "text { font: 12px sans-serif; fill: #222 } "
    ".title { font: bold 14px sans-serif } "
    ".small { font-size: 11px; fill: #555 }"
)
ROW: Final = 26
LEFT, RIGHT, TOP, BOTTOM = 175, 20, 40, 40


@dataclass(frozen=True, slots=True)
class Point:
    """A value and the interval in which it lies."""

    value: float
    low: float
    high: float


def _svg(width: float, height: float, label: str, parts: Sequence[str]) -> str:
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" role="img"'
    background = f'<rect width="{width:g}" height="{height:g}" fill="#fff"/>'
    return (
        f'{head} aria-label="{escape(label)}">\n<style>{STYLE}</style>\n{background}\n'
        + "\n".join(parts)
        + "\n</svg>\n"
    )


def _text(x: float, y: float, text: str, *, anchor: str = "start", kind: str = "") -> str:
    said = f' class="{kind}"' if kind else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{said}>{escape(text)}</text>'


def _mark(shape: int, x: float, y: float, colour: str) -> str:
    if shape % SHAPES == 0:
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4.5" fill="{colour}"/>'
    turn = f' transform="rotate(45 {x:.1f} {y:.1f})"' if shape % SHAPES == 2 else ""
    return f'<rect x="{x - 4:.1f}" y="{y - 4:.1f}" width="8" height="8" fill="{colour}"{turn}/>'


def _amount(value: float) -> str:
    """A tick of the scale: 1, 10, 1k, 1M."""
    for limit, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= limit:
            return f"{value / limit:g}{unit}"
    return f"{value:g}"


def _decades(values: Sequence[float]) -> tuple[int, int]:
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    return low, max(high, low + 1)


def dots(title: str, unit: str, rows: Mapping[str, Mapping[str, Point]], *, width: float = 900) -> str:
    """One row for each kind, one mark for each series; the scale is logarithmic. Names of series are in a legend."""
    names = list(dict.fromkeys(name for row in rows.values() for name in row))
    low, high = _decades([point.value for row in rows.values() for point in row.values()])
    inner = width - LEFT - RIGHT
    columns = 5
    legend = 20 * (-(-len(names) // columns)) + 14
    top = TOP + legend
    height = top + ROW * len(rows) + BOTTOM

    def at(value: float) -> float:
        return LEFT + inner * (math.log10(max(value, 10.0**low)) - low) / (high - low)

    parts = [_text(LEFT, 22, title, kind="title")]
    for number, name in enumerate(names):
        x, y = LEFT + inner / columns * (number % columns), TOP + 10 + 20 * (number // columns)
        parts += [_mark(number, x, y - 4, COLOURS[number % len(COLOURS)]), _text(x + 10, y, name)]
    for decade in range(low, high + 1):
        x = at(10.0**decade)
        parts += [f'<path d="M{x:.1f} {top} V{height - BOTTOM}" stroke="#ddd"/>']
        parts += [_text(x, height - BOTTOM + 16, _amount(10.0**decade), anchor="middle", kind="small")]
    parts += [_text(LEFT + inner, height - 6, unit, anchor="end", kind="small")]
    for index, (kind, row) in enumerate(rows.items()):
        middle = top + ROW * (index + 0.5)
        parts += [_text(LEFT - 12, middle + 4, kind, anchor="end")]
        parts += [f'<path d="M{LEFT} {middle:.1f} H{width - RIGHT}" stroke="#eee"/>']
        for number, name in enumerate(names):
            if name in row:
                point, colour = row[name], COLOURS[number % len(COLOURS)]
                bar = f"M{at(point.low):.1f} {middle:.1f} H{at(point.high):.1f}"
                parts += [f'<path d="{bar}" stroke="{colour}" stroke-width="2"/>']
                parts += [_mark(number, at(point.value), middle, colour)]
    return _svg(width, height, title, parts)


@dataclass(frozen=True, slots=True)
class Panel:
    """A small plot: x and y of each series, by name; x is logarithmic."""

    title: str
    x: str
    y: str
    series: Mapping[str, Sequence[tuple[float, float]]]


class Scale:
    """Where a point of a panel is drawn. x: logarithmic, from the least to the greatest; y: from 0 up."""

    def __init__(
        self, left: float, top: float, inner: float, tall: float, points: Sequence[tuple[float, float]]
    ) -> None:
        self.left, self.top, self.inner, self.tall = left, top, inner, tall
        self.first, self.last = (math.log10(pick(x for x, _ in points)) for pick in (min, max))
        self.highest = max(y for _, y in points) * 1.15 or 1.0

    def place(self, x: float, y: float) -> tuple[float, float]:
        across = (math.log10(x) - self.first) / (self.last - self.first or 1)
        return self.left + self.inner * across, self.top + self.tall * (1 - y / self.highest)


def lines(panels: Sequence[Panel], *, width: float = 900, columns: int = 2) -> str:
    """Panels side by side, each from 0 up."""
    panel_width, panel_height, left = width / columns, 250.0, 64.0
    parts: list[str] = []
    for index, panel in enumerate(panels):
        x0, y0 = panel_width * (index % columns) + left, panel_height * (index // columns) + 34
        inner, tall = panel_width - left - 24, panel_height - 92
        points = [point for series in panel.series.values() for point in series]
        scale = Scale(x0, y0, inner, tall, points)
        parts += [_text(x0 - left + 12, y0 - 14, panel.title, kind="title")]
        for share in (0.0, 0.5, 1.0):
            y = y0 + tall * (1 - share)
            parts += [f'<path d="M{x0:.1f} {y:.1f} h{inner:.1f}" stroke="#ddd"/>']
            parts += [_text(x0 - 6, y + 4, f"{scale.highest * share:.3g}", anchor="end", kind="small")]
        for value in sorted({x for x, _ in points}):
            parts += [_text(scale.place(value, 0)[0], y0 + tall + 15, _amount(value), anchor="middle", kind="small")]
        parts += [_text(x0 + inner, y0 + tall + 31, panel.x, anchor="end", kind="small")]
        parts += [_text(x0 - left + 12, y0 + tall + 31, panel.y, kind="small")]
        for number, (name, series) in enumerate(panel.series.items()):
            colour = COLOURS[number]
            path = " ".join(f"{x:.1f},{y:.1f}" for x, y in (scale.place(*point) for point in series))
            parts += [f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>']
            parts += [_mark(number, *scale.place(*point), colour) for point in series]
            if len(panel.series) > 1:
                parts += [_mark(number, x0 + 10, y0 + 8 + 16 * number, colour)]
                parts += [_text(x0 + 20, y0 + 12 + 16 * number, name, kind="small")]
    return _svg(width, panel_height * -(-len(panels) // columns), "; ".join(panel.title for panel in panels), parts)
