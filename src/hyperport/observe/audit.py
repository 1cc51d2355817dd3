# SPDX-License-Identifier: GPL-2.0-or-later
"""Which ports a guest needs, and for whom: an allow-list of a run, for hosts that let a guest have only some.

The list is a text (docs/project.md describes it): a line has ports, directions and sizes; what stands behind a # is for
people. It grants what the run did and no more: ports are joined only where they are used alike. A run shows what a
guest did, not all it could do; several runs may be added.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from hyperport.errors import ConfigError, UsageError
from hyperport.observe.figures import counted
from hyperport.observe.saved_run import SavedRun
from hyperport.options import PORTS

HEAD: Final = "# hyperport allow-list 1"
DIRECTIONS: Final = ("in", "out")
SIZES: Final = (1, 2, 4)
CALLERS: Final = 4  # named in a line
# What Intel's kernel for TDX guests lets through with its filter on: tdx_allowed_port(), https://github.com/intel/tdx,
# arch/x86/kernel/tdx-filter.c, without the serial ports that it allows for debugging.
TDX_PORTS: Final = ((0x70, 0x71), (0x80, 0x8F), (0x600, 0x62F), (0xCC4, 0xCC4), (0xCC8, 0xCC8), (0xCD8, 0xCDF),
                    (0xCF8, 0xCFF))  # fmt: skip
KNOWN_LISTS: Final = ("tdx",)

Kind = tuple[str, int]  # direction, size


@dataclass(frozen=True, slots=True)
class Grant:
    """Ports first to last may be accessed in these directions, with elements of these sizes."""

    first: int
    last: int
    directions: tuple[str, ...]
    sizes: tuple[int, ...]

    def takes(self, port: int, direction: str, size: int) -> bool:
        """Whether it allows this access."""
        return self.first <= port <= self.last and direction in self.directions and size in self.sizes


@dataclass(frozen=True, slots=True)
class Need:
    """What a run did at some ports. functions: who, with accesses."""

    grant: Grant
    device: str
    accesses: int
    functions: tuple[tuple[str, int], ...]


def needs(runs: Iterable[SavedRun]) -> list[Need]:
    """What these runs did at their ports, by port; neighbours that are used alike by a device are one."""
    used: dict[tuple[int, str], dict[Kind, tuple[int, Counter[str]]]] = defaultdict(dict)
    for run in runs:
        for use in run.uses:
            kinds = used[use.port, use.device]
            accesses, functions = kinds.get((use.direction, use.size), (0, Counter()))
            if use.function:
                functions[use.function] += use.accesses
            kinds[use.direction, use.size] = (accesses + use.accesses, functions)
    return _joined(
        Need(Grant(port, port, directions, sizes), device, *_summed(kinds, directions, sizes))
        for (port, device), kinds in used.items()
        for directions, sizes in _alike(kinds)
    )


def _alike(kinds: Iterable[Kind]) -> Iterator[tuple[tuple[str, ...], tuple[int, ...]]]:
    """Directions with their sizes, as few as say exactly these."""
    by_sizes: dict[tuple[int, ...], list[str]] = defaultdict(list)
    for direction in DIRECTIONS:
        sizes = tuple(size for size in SIZES if (direction, size) in kinds)
        if sizes:
            by_sizes[sizes].append(direction)
    for sizes, directions in by_sizes.items():
        yield tuple(directions), sizes


def _summed(
    kinds: Mapping[Kind, tuple[int, Counter[str]]], directions: tuple[str, ...], sizes: tuple[int, ...]
) -> tuple[int, tuple[tuple[str, int], ...]]:
    """Accesses and functions of these kinds."""
    meant = [kinds[direction, size] for direction in directions for size in sizes]
    functions = sum((functions for _, functions in meant), Counter[str]())
    return sum(accesses for accesses, _ in meant), tuple(functions.most_common())


def _joined(found: Iterable[Need]) -> list[Need]:
    joined: list[Need] = []
    for need in sorted(
        found, key=lambda need: (need.device, need.grant.directions, need.grant.sizes, need.grant.first)
    ):
        last = joined[-1] if joined else None
        if (
            last is not None
            and (last.device, last.grant.directions, last.grant.sizes)
            == (need.device, need.grant.directions, need.grant.sizes)
            and last.grant.last + 1 == need.grant.first
        ):
            functions = Counter(dict(last.functions)) + Counter(dict(need.functions))
            grant = Grant(last.grant.first, need.grant.last, need.grant.directions, need.grant.sizes)
            joined[-1] = Need(grant, need.device, last.accesses + need.accesses, tuple(functions.most_common()))
        else:
            joined.append(need)
    return sorted(joined, key=lambda need: (need.grant.first, need.grant.directions))


def allow_list(runs: Sequence[SavedRun], found: Sequence[Need]) -> str:
    """The allow-list as text."""
    lines = [HEAD]
    lines += [f"# {_plain(run.what)}, {run.engine}, {run.io}: {counted(run.accesses, 'access')}" for run in runs]
    lines += [f"# {_plain(note)}" for run in runs for note in run.notes]
    cells = [_cells(need) for need in found]
    widths = [max((len(row[column]) for row in cells), default=0) for column in range(3)]
    lines += [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=False)) + f"  # {row[3]}"
        for row in cells
    ]
    return "\n".join(lines) + "\n"


def _cells(need: Need) -> tuple[str, str, str, str]:
    grant = need.grant
    ports = f"{grant.first:04x}" + (f"-{grant.last:04x}" if grant.last > grant.first else "")
    names = [_plain(name) for name, _ in need.functions[:CALLERS]]
    more = [f"and {len(need.functions) - CALLERS} more"] if len(need.functions) > CALLERS else []
    who = f": {', '.join([*names, *more])}" if names else ""
    told = f"{_plain(need.device)}, {counted(need.accesses, 'access')}{who}"
    return ports, ",".join(grant.directions), ",".join(map(str, grant.sizes)), told


def _plain(text: str) -> str:
    """Names come from files of others: they stay within their line."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def read_allow_list(path: Path | str) -> list[Grant]:
    """The grants of a file. Raises ConfigError: one line with the file's line number."""
    try:
        text = Path(path).read_text("utf-8", "replace")
    except OSError as error:
        raise ConfigError(f"allow-list {path}: {error.strerror or error}") from error
    if not text.startswith(HEAD):
        raise ConfigError(
            f"allow-list {path}: its first line is not {HEAD!r}; make one by `hyperport audit RUN -o FILE`"
        )
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        words = line.partition("#")[0].split()
        if words:
            try:
                found.append(_grant(words))
            except (ValueError, UsageError) as error:
                raise ConfigError(
                    f"allow-list {path}: line {number}: {error}: write it like `03f8-03ff  in,out  1`"
                ) from None
    return found


def _grant(words: Sequence[str]) -> Grant:
    if len(words) != 3:
        raise UsageError(f"{len(words)} words, not ports, directions and sizes")
    first, dash, last = words[0].partition("-")
    low = int(first, 16)
    high = int(last, 16) if dash else low
    directions, sizes = tuple(words[1].split(",")), tuple(int(size) for size in words[2].split(","))
    if not 0 <= low <= high < PORTS:
        raise UsageError(f"{words[0]!r} are no ports")
    if not set(directions) <= set(DIRECTIONS) or not set(sizes) <= set(SIZES):
        raise UsageError(f"{words[1]!r} and {words[2]!r} are no directions and sizes")
    return Grant(low, high, directions, sizes)


def known_grants(name: str) -> list[Grant]:
    """The grants of a list that is built in, or of a file."""
    if name in KNOWN_LISTS:
        return [Grant(first, last, DIRECTIONS, SIZES) for first, last in TDX_PORTS]
    return read_allow_list(Path(name))


def outside(runs: Iterable[SavedRun], grants: Sequence[Grant]) -> list[SavedRun]:
    """The same runs with only what no grant allows."""
    left = []
    for run in runs:
        uses = tuple(
            use for use in run.uses if not any(grant.takes(use.port, use.direction, use.size) for grant in grants)
        )
        left.append(SavedRun(run.what, run.engine, run.io, uses, run.seconds, run.notes))
    return left


def as_rows(found: Iterable[Need]) -> list[Mapping[str, Any]]:
    """The same as plain values."""
    return [
        {
            "first": need.grant.first,
            "last": need.grant.last,
            "directions": list(need.grant.directions),
            "sizes": list(need.grant.sizes),
            "device": need.device,
            "accesses": need.accesses,
            "functions": [{"function": name, "accesses": count} for name, count in need.functions],
        }
        for need in found
    ]
