# SPDX-License-Identifier: GPL-2.0-or-later
"""Mutants of a saved machine's record, and of its file: each is a StateError, or a machine that goes round.

What a file says of the machine that is to be made is met by Machine.restore() alone; there any HostError will do.
Refused: nothing has changed. Taken: what the machine saves now, it takes again and saves once more the same. A mutant
is a record with one to three values replaced, taken away or added anywhere in it. All follows from seed and number.
"""

from __future__ import annotations

import copy
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from hyperport.errors import HostError, StateError
from hyperport.machine.machine import Machine
from hyperport.machine.state import load_state, save_state
from hyperport.machine.state_file import CHUNK_BYTES, StateFile, Stream, pieces, write_state

VALUES: Final[tuple[Any, ...]] = (
    *(None, True, False, -1, 0, 1, 2, 3, 7, 0xFF, 0x100, 0xFFFF, 0xFFFFFFFF, 1 << 32, 1 << 62, (1 << 64) - 1, 1 << 64),
    *(
        1.5,
        float("nan"),
        "",
        "x",
        b"",
        b"x",
        b"\xff" * 600,
        [],
        [0],
        [0] * 1000,
        [[0, 1]],
        [None],
        {},
        {"x": 0},
        (1, 2),
    ),
)
CHANGES: Final = 3  # in one mutant at most


@dataclass
class FuzzStateResult:
    """How many mutants there were, how many of them were refused, and how many taken."""

    mutants: int = 0
    refused: int = 0
    taken: int = 0


class Held:
    """Contents in memory, as a StateFile has them in its file."""

    def __init__(self, streams: list[Stream]) -> None:
        self.chunks = [
            [b"".join(stream.read(*run) for run in piece) for piece in pieces(stream.runs, stream.unit)]
            for stream in streams
        ]

    def contents(self, sizes: list[int]) -> list[list[bytes]]:
        """The chunks, if they are of these sizes."""
        if sizes != [sum(map(len, stream)) for stream in self.chunks]:
            raise StateError("the contents are not of the size that the record tells of")
        return self.chunks


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where something stands in a record: the keys and indices that lead to it."""
    found = [path] if path else []
    if isinstance(value, dict):
        for key, item in value.items():
            found += places(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            found += places(item, (*path, index))
    return found


def mutant(record: Any, everywhere: list[tuple[Any, ...]], rng: random.Random) -> Any:
    """A copy of a record with some values others."""
    made = copy.deepcopy(record)
    for _ in range(rng.randint(1, CHANGES)):
        *way, last = rng.choice(everywhere)
        holder = made
        try:
            for key in way:
                holder = holder[key]
            holder[last] = _changed(holder[last], holder, rng)
        except (KeyError, IndexError, TypeError):  # an earlier change has taken the place away
            continue
    return made


def _changed(value: Any, holder: Any, rng: random.Random) -> Any:
    """Another value; sometimes the holder loses or gains one besides."""
    how = rng.random()
    if how < 0.1 and isinstance(holder, dict):
        holder[rng.choice(("more", 7, "", None))] = value
    if type(value) is int and how < 0.6:
        return rng.choice(
            (value ^ 1 << rng.randint(0, 63), value + 1, value - 1, rng.getrandbits(8), rng.getrandbits(32))
        )
    if isinstance(value, bytes) and value and how < 0.6:
        at = rng.randrange(len(value))
        return rng.choice((value[:at], value + b"\xa5", value[:at] + bytes((rng.getrandbits(8),)) + value[at + 1 :]))
    if isinstance(value, list) and how < 0.5:
        return rng.choice((value[:-1], [*value, 0], value[::-1]))
    return rng.choice(VALUES)


def fuzz_records(machine: Machine, mutants: int, seed: int, within: tuple[Any, ...] = ()) -> FuzzStateResult:
    """Let the machine meet so many mutants of its own record. Raises AssertionError with the number of a bad one.

    within: the keys of the part of the record that is changed, as ("devices", "pit8254").
    """
    record, streams = save_state(machine)
    part = record
    for key in within:
        part = part[key]
    held, everywhere = Held(streams), places(part, within)
    before, result = _shown(machine), FuzzStateResult()
    for number in range(mutants):
        made = mutant(record, everywhere, random.Random(f"{seed}/{number}"))
        result.mutants += 1
        try:
            load_state(machine, made, held)
        except StateError:
            result.refused += 1
            assert _shown(machine) == before, (
                f"mutant {number} of seed {seed}: it was refused, and something has changed"
            )
            continue
        except Exception as error:
            raise AssertionError(f"mutant {number} of seed {seed}: {type(error).__name__}: {error}") from error
        result.taken += 1
        machine.attention.take_stop()  # a record may say that a chip resets the machine
        again, contents = save_state(machine)
        load_state(machine, again, Held(contents))
        machine.attention.take_stop()
        assert _shown(machine) == _steady(again), f"mutant {number} of seed {seed}: what it saves is not what it takes"
        load_state(machine, record, held)
        assert _shown(machine) == before, f"mutant {number} of seed {seed}: the first record does not come back"
    return result


def fuzz_restores(
    machine: Machine, path: Path, mutants: int, seed: int, attach: Callable[[Machine], object] | None = None
) -> FuzzStateResult:
    """Let so many mutants of its record, in a good file, become machines; path: a file to write; attach: as restore().

    The changes are in what is read before the machine is there. Raises AssertionError with the number of a bad one.
    """
    record, streams = save_state(machine)
    everywhere = [place for place in places(record) if place[0] not in ("cpu", "devices", "map")]
    everywhere += [place for place in places(record["machine"], ("machine",)) for _ in range(3)]
    result = FuzzStateResult()
    for number in range(mutants):
        made = mutant(record, everywhere, random.Random(f"{seed}/restore/{number}"))
        result.mutants += 1
        try:
            write_state(path, made, streams)
            Machine.restore(path, attach=attach).close()
        except HostError as error:
            result.refused += 1
            if "\n" in str(error):
                raise AssertionError(f"restore {number} of seed {seed}: more than a line: {error}") from error
        except Exception as error:
            raise AssertionError(f"restore {number} of seed {seed}: {type(error).__name__}: {error}") from error
        else:
            result.taken += 1
    return result


def fuzz_files(machine: Machine, path: Path, mutants: int, seed: int) -> FuzzStateResult:
    """The same with bytes of a file changed, cut off or added; path: a file to write."""
    write_state(path, *save_state(machine))
    content, before, result = path.read_bytes(), _shown(machine), FuzzStateResult()
    for number in range(mutants):
        rng = random.Random(f"{seed}/file/{number}")
        made = bytearray(content)
        at = rng.randrange(min(len(made), 4096)) if rng.random() < 0.5 else rng.randrange(len(made))
        how = rng.random()
        if how < 0.6:
            made[at] ^= 1 << rng.randint(0, 7)
        elif how < 0.8:
            del made[at:]
        else:
            made[at:at] = rng.randbytes(rng.choice((1, 4, 100, CHUNK_BYTES)))
        path.write_bytes(made)
        result.mutants += 1
        try:
            file = StateFile(path)
            try:
                load_state(machine, file.record, file)
            finally:
                file.close()
        except StateError:
            result.refused += 1
            assert _shown(machine) == before, f"file {number} of seed {seed}: it was refused, and something has changed"
        else:
            raise AssertionError(f"file {number} of seed {seed}: a damaged file was taken")
    return result


def _shown(machine: Machine) -> Any:
    """What must be as it was."""
    return _steady(save_state(machine)[0])


def _steady(record: dict[str, Any]) -> dict[str, Any]:
    """A record without the time-stamp counter, which runs while nobody does anything."""
    return record | {"cpu": record["cpu"] | {"tsc": 0}}
