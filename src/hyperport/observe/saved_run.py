# SPDX-License-Identifier: GPL-2.0-or-later
"""What a run did at its ports, from any file that was saved of one: --stats, profile --json, or a trace.

Every file is reduced to the same rows: which port, how, by whose code, how many elements, how many crossings. Counts
are those of the file, which are exact; a trace that is cut short or filtered has what is in it, and the note says so.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from hyperport.bus.access import Space
from hyperport.errors import ConfigError
from hyperport.host.files import UnfitFile, open_to_read, parse_json
from hyperport.observe.report import UNCLAIMED
from hyperport.observe.symbols import Symbols
from hyperport.observe.trace_file import TraceFile
from hyperport.options import PORTS

TRACE_MAGIC: Final = b"hpTB"
DIRECTIONS: Final = ("in", "out")
MOST: Final = (1 << 63) - 1
LEAST_MOST: Final = {"port": (0, PORTS - 1), "size": (1, 4), "accesses": (0, MOST), "crossings": (0, MOST)}
FOLDED_PATHS: Final = ("posted", "shadow")  # accesses that were charged with no crossing of their own


@dataclass(frozen=True, slots=True)
class Use:
    """Accesses of one kind. direction: in or out; size: bytes of an element; accesses: elements; crossings: as counted.

    function: whose code made them, "" where that is not known.
    """

    port: int
    direction: str
    size: int
    path: str
    device: str
    function: str
    accesses: int
    crossings: int

    @property
    def transfers(self) -> int:
        """IN, OUT and string instructions behind the accesses, as far as crossings tell: a string is one of them."""
        return self.accesses if self.path in FOLDED_PATHS or not self.crossings else self.crossings


@dataclass(frozen=True, slots=True)
class SavedRun:
    """A run as it was saved. seconds: CPU time, or what a trace lasted; None where the file does not say.

    what: the guest, or the file's name; notes: lines on what is missing.
    """

    what: str
    engine: str
    io: str
    uses: tuple[Use, ...]
    seconds: float | None = None
    notes: tuple[str, ...] = ()

    @property
    def accesses(self) -> int:
        """All elements."""
        return sum(use.accesses for use in self.uses)

    @property
    def crossings(self) -> int:
        """All crossings, as they were counted."""
        return sum(use.crossings for use in self.uses)


def load_run(path: Path | str, symbols: Symbols | None = None) -> SavedRun:
    """The run that a file tells of. symbols: names for the places of a trace. Raises ConfigError for any other file."""
    path = Path(path)
    try:
        with open_to_read(path) as file:
            if file.read(len(TRACE_MAGIC)) == TRACE_MAGIC:
                return _from_trace(path, symbols)
            file.seek(0)
            told = parse_json(file.read())
    except UnfitFile as error:
        raise ConfigError(f"run {path}: {error.strerror}; give a file") from None
    except OSError as error:
        raise ConfigError(f"run {path}: {error.strerror or error}") from error
    except ValueError:
        told = None
    if isinstance(told, dict) and "sampling" in told:
        return from_profile(told, path.name)
    if isinstance(told, dict) and isinstance(told.get("ports"), list):
        return _checked(path, lambda: _from_stats(told, path.name))
    raise ConfigError(
        f"run {path}: this is no saved run: make one by `hyperport run --stats FILE`, `run --trace FILE`, or "
        "`hyperport profile --json`"
    )


def from_profile(report: Mapping[str, Any], what: str = "profile") -> SavedRun:
    """The run that a profile's report tells of. Raises ConfigError for an object with other fields."""
    return _checked(Path(what), lambda: _from_profile(report, what))


def _checked(path: Path, make: Any) -> SavedRun:
    try:
        made: SavedRun = make()
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ConfigError(
            f"run {path}: its rows have not the fields that this version writes ({type(error).__name__}: {error})"
        ) from error
    return made


def _from_profile(report: Mapping[str, Any], what: str) -> SavedRun:
    notes = [f"only what the filter {report['filter']!r} took"] if report["filter"] else []
    if report["sampling"]["folded"]:
        notes.append(f"{report['sampling']['folded']} accesses are counted by port alone")
    ports = [row for row in report["rows"] if row.get("space", "port") == "port"]
    if memory := report["accesses"] - sum(row["accesses"] for row in ports):
        notes.append(f"without its {memory} accesses to device memory")
    return SavedRun(
        report["kernel"] or what,
        report["engine"],
        report["io"],
        _added(_use(row, row["function"]) for row in ports),
        float(report["cpu_s"]),
        tuple(notes),
    )


def _from_stats(told: Mapping[str, Any], what: str) -> SavedRun:
    return SavedRun(
        what,
        str(told["engine"]),
        str(told["io"]),
        _added(_use(row, "") for row in told["ports"]),
        float(told["cpu_s"]),
    )


def _use(row: Mapping[str, Any], function: str) -> Use:
    """Raises KeyError, TypeError or ValueError for a row that no run can have."""
    numbers = {name: row[name] for name in LEAST_MOST}
    for name, (least, most) in LEAST_MOST.items():
        if type(numbers[name]) is not int or not least <= numbers[name] <= most:
            raise ValueError(f"{name} {numbers[name]!r:.30}")
    direction, device = row["direction"], row["device"] or UNCLAIMED
    if direction not in DIRECTIONS or not all(isinstance(text, str) for text in (row["path"], device, function)):
        raise ValueError(f"direction, path, device or function of port {numbers['port']:04x}")
    return Use(direction=direction, path=row["path"], device=device, function=function, **numbers)


def _added(uses: Iterable[Use]) -> tuple[Use, ...]:
    """One row for each port, direction, size, path and function; most accesses first."""
    sums: dict[tuple[Any, ...], list[int]] = defaultdict(lambda: [0, 0])
    for use in uses:
        both = sums[use.port, use.direction, use.size, use.path, use.device, use.function]
        both[0] += use.accesses
        both[1] += use.crossings
    ordered = sorted(sums.items(), key=lambda item: (-item[1][0], item[0]))
    return tuple(Use(*key, *both) for key, both in ordered)


def _from_trace(path: Path, symbols: Symbols | None) -> SavedRun:
    sums: dict[tuple[Any, ...], list[int]] = defaultdict(lambda: [0, 0])
    first = last = None
    with TraceFile(path) as trace:
        for access in trace.accesses():
            if access.space != Space.PORT:
                continue
            place = access.place
            name = "" if place is None or symbols is None else symbols.name(place.eip)
            both = sums[access.port, access.direction, access.size, access.path, name]
            both[0] += access.count
            both[1] += access.crossings
            first, last = access.ns if first is None else first, access.ns
        uses = [
            Use(port, direction.name.lower(), size, through.name.lower(), trace.device(port), name, *both)
            for (port, direction, size, through, name), both in sums.items()
        ]
        described, trouble = trace.description, list(trace.trouble)
    if described.get("filter"):
        trouble.append(f"only what the filter {described['filter']!r} took")
    return SavedRun(
        Path(str(described.get("kernel") or path)).name,
        str(described.get("engine", "?")),
        str(described.get("io", "?")),
        _added(uses),
        None if first is None or last is None else (last - first) / 1e9,
        tuple(trouble),
    )
