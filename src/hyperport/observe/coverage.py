# SPDX-License-Identifier: GPL-2.0-or-later
"""What code of a guest was executed: how often each line and function, in the form of lcov's tracefiles.

The engine counts instructions by linear address (Engine.covered()); symbols say what is there. A line's count is that
of its most executed instruction, a function's that of its first one. A function whose file has no line numbers is a
"line" of the file that its name comes from: the first one by address is line 1. An instruction of REP counts with each
element, and one that faults and is begun again counts twice.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Final

from hyperport.engines.base import CodeCount
from hyperport.errors import ConfigError
from hyperport.machine.machine import Machine
from hyperport.observe.symbols import Symbols, load_symbols

TOP: Final = 1 << 32


class Executions:
    """How often the instruction at each address was begun: steps, by address."""

    def __init__(self, stretches: Iterable[CodeCount]) -> None:
        changes: dict[int, int] = defaultdict(int)
        for first, end, count in stretches:
            changes[first] += count
            changes[end if end > first else TOP] -= count
        self._begins: list[int] = []
        self._counts: list[int] = []
        count = 0
        for address, change in sorted(changes.items()):
            count += change
            self._begins.append(address)
            self._counts.append(count)

    def most(self, first: int, end: int) -> int:
        """Of the instructions from first on, before end."""
        begin = max(bisect_right(self._begins, first) - 1, 0)
        return max((*self._counts[begin : bisect_left(self._begins, end)], 0)) if self._begins else 0


@dataclass(slots=True)
class FileCounts:
    """Of one source file: counts by line, and line and count by function."""

    lines: dict[int, int] = field(default_factory=dict)
    functions: dict[str, tuple[int, int]] = field(default_factory=dict)


class Lcov:
    """Counts by source file. others: how often code began for which the engine had no room."""

    def __init__(self) -> None:
        self.files: dict[str, FileCounts] = defaultdict(FileCounts)
        self.others = 0

    def add(self, other: Lcov) -> None:
        """Sum up what another run has counted."""
        self.others += other.others
        for path, more in other.files.items():
            mine = self.files[path]
            for line, count in more.lines.items():
                mine.lines[line] = mine.lines.get(line, 0) + count
            for name, (line, count) in more.functions.items():
                mine.functions[name] = (line, count + mine.functions.get(name, (line, 0))[1])

    def text(self) -> str:
        """A tracefile, as `genhtml` and `lcov --add-tracefile` read it (geninfo(1))."""
        out = ["TN:"]
        for path, counts in sorted(self.files.items()):
            functions, lines = sorted(counts.functions.items(), key=lambda row: row[1]), sorted(counts.lines.items())
            out += [f"SF:{path}"]
            out += [f"FN:{line},{name}" for name, (line, _) in functions]
            out += [f"FNDA:{count},{name}" for name, (_, count) in functions]
            out += [f"FNF:{len(functions)}", f"FNH:{sum(count > 0 for _, (_, count) in functions)}"]
            out += [f"DA:{line},{count}" for line, count in lines]
            out += [f"LF:{len(lines)}", f"LH:{sum(count > 0 for _, count in lines)}", "end_of_record"]
        return "\n".join(out) + "\n"

    def summary(self) -> str:
        """One line for a person."""
        lines = [count for counts in self.files.values() for count in counts.lines.values()]
        functions = [count for counts in self.files.values() for _, count in counts.functions.values()]
        lost = f"; {self.others} beginnings of code had no room" if self.others else ""
        return (
            f"{sum(count > 0 for count in lines)} of {len(lines)} lines, "
            f"{sum(count > 0 for count in functions)} of {len(functions)} functions{lost}"
        )


class Coverage:
    """Counts what code a machine executes, from now on.

    symbols: files that say what is where; without any, the kernel if it is an ELF file. Raises ConfigError if there is
    none, EngineError on an engine that cannot count.
    """

    def __init__(self, machine: Machine, symbols: Sequence[Path | str] = ()) -> None:
        self.machine = machine
        kernel = machine.config.kernel
        files = list(symbols) or ([] if kernel is None else [kernel])
        read = [(Path(file), load_symbols(symbols and [file], kernel)) for file in files]
        self.symbols = [(file, found) for file, found in read if found is not None]
        if not self.symbols:
            raise ConfigError("guest coverage: the guest is no ELF file with symbols: name one by --symbols FILE")
        machine.engine.cover()

    def report(self) -> Lcov:
        """What was counted so far."""
        stretches, others = self.machine.engine.covered()
        executions = Executions(stretches)
        result = Lcov()
        result.others = others
        for file, symbols in self.symbols:
            _count(file, symbols, executions, result)
        return result


def _count(file: Path, symbols: Symbols, executions: Executions, result: Lcov) -> None:
    """The lines and functions of one file of symbols."""
    rows = symbols.lines
    for (address, path, line), (end, _, _) in pairwise(rows):
        if line and end > address:
            lines = result.files[path].lines
            lines[line] = max(lines.get(line, 0), executions.most(address, end))
    for number, (first, _, name) in enumerate(symbols.rows, 1):
        count = executions.most(first, first + 1)
        path, line = symbols.head(first)
        if not line:
            path, line = str(file), number
            result.files[path].lines[line] = count
        result.files[path].functions[name] = (line, count)
