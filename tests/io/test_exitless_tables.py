# SPDX-License-Identifier: GPL-2.0-or-later
"""Exitless I/O: the layout of tables and ring, the forms of what waits there, and what is counted."""

from __future__ import annotations

import random
import struct
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from hyperport import GuestExit, Machine
from hyperport.abi import numbers
from hyperport.abi.numbers import EXITLESS_BASE, Answer, EntryHead, Exitless
from hyperport.bus.access import PortAccess
from hyperport.errors import StateError

from ..guest.board import BIN
from .test_exitless import CODE, MIB, POST, SCR, THR, WIDE, Assembler, Bench, Wide

LSR = 0x3FD


@pytest.fixture
def bench() -> Iterator[Bench]:
    with Bench() as made:
        yield made


def test_the_layout_is_one() -> None:
    places = sorted((place.value, name) for name, place in Exitless.__members__.items())
    assert places[-1] == (Exitless.END, "END")
    cells, entries = numbers.EXITLESS_CELLS, numbers.EXITLESS_ENTRIES
    assert Exitless.CALLS + 4 * len(numbers.PORT_CALLS) <= Exitless.LEVELS
    assert Exitless.LEVELS + 512 <= Exitless.DIRECTORY
    assert Exitless.DIRECTORY + 1024 <= Exitless.POSTED
    assert Exitless.POSTED + 3 * cells <= Exitless.SHADOWED
    assert Exitless.SHADOWED + 6 * cells <= Exitless.PAGE
    assert Exitless.REGISTERS + 8 * numbers.EXITLESS_REGISTER_COUNT <= Exitless.SITES
    assert Exitless.SITES + numbers.SiteField.ROW * numbers.EXITLESS_SITE_LIMIT <= Exitless.RING
    assert numbers.EXITLESS_SITE_LIMIT * numbers.EntryHead.NUMBER <= numbers.EntryHead.PORT
    assert Exitless.RING + 8 * entries <= Exitless.CALLERS
    assert Exitless.CALLERS + 4 * entries <= Exitless.ANSWERS
    assert Exitless.ANSWERS + 4 * cells <= Exitless.END
    assert entries < 256  # LEFT & POSTED
    assert EXITLESS_BASE + Exitless.END <= numbers.VMI_SCAN_END


OTHER = 0x2C0
SITES_AT, SITE_LENGTH = 0x8000, 7


def put_site(machine: Machine, number: int, port: int) -> None:
    """As if the guest had registered it as the last one."""
    row = struct.pack("<2I2H", SITES_AT + 0x10 * number, SITES_AT + 0x1000, SITE_LENGTH, port)
    machine.memory.write(EXITLESS_BASE + Exitless.SITES + numbers.SiteField.ROW * number, row)
    machine.memory.write(EXITLESS_BASE + Exitless.SITE_COUNT, struct.pack("<I", number + 1))


def put_entries(machine: Machine, entries: list[tuple[int, int]]) -> None:
    """As if the guest had posted them: pairs of head and value."""
    memory, left = machine.memory, numbers.EXITLESS_ENTRIES - len(entries)
    memory.write(EXITLESS_BASE + Exitless.LEFT, struct.pack("<I", left))
    data = b"".join(struct.pack("<2I", *entry) for entry in reversed(entries))
    memory.write(EXITLESS_BASE + Exitless.RING + 8 * left, data)


def head(size: int, low: int, number: int | None = None, *, port: bool = False) -> int:
    """Of an entry, by a call, or by the sequence with a number. low: the port, or the value."""
    site = 0 if number is None else EntryHead.SITE | EntryHead.NUMBER * number
    return int(low | EntryHead.SIZE * size | site | (EntryHead.PORT if port else 0))


FORMS = [  # of entries, and what comes of them: (port, size, value)
    ((head(1, OTHER), 0xAABBCC11), (OTHER, 1, 0x11)),
    ((head(1, OTHER) | 0x5600_0000, 0x12), (OTHER, 1, 0x12)),
    ((head(1, WIDE), 0x13), (WIDE, 1, 0x13)),
    ((head(2, WIDE), 0xAABB1415), (WIDE, 2, 0x1415)),
    ((head(4, WIDE), 0x16171819), (WIDE, 4, 0x16171819)),
    ((head(1, 0xFF21, 0), 0xDEADBEEF), (OTHER, 1, 0x21)),
    ((head(1, 0x22, 0), 0), (OTHER, 1, 0x22)),
    ((head(1, 0x23, 1), 0), (WIDE, 1, 0x23)),
    ((head(2, 0x2425, 1), 0), (WIDE, 2, 0x2425)),
    ((head(4, 0x9999, 1), 0x26272829), (WIDE, 4, 0x26272829)),
    ((head(1, OTHER, 2, port=True), 0x31), (OTHER, 1, 0x31)),
    ((head(2, WIDE, 2, port=True), 0x3233), (WIDE, 2, 0x3233)),
    ((head(4, WIDE, 2, port=True), 0x34353637), (WIDE, 4, 0x34353637)),
]
REFUSED = [
    *((head(size, OTHER, 0, port=port), 1) for size in (0, 3, 5, 6, 7) for port in (False, True)),
    *((head(size, OTHER), 1) for size in (0, 3, 5, 0x10, 0xF0)),
    *((head(1, OTHER, number, port=True), 1) for number in (3, numbers.EXITLESS_SITE_LIMIT, 0x7FF)),
    (head(2, POST), 1),  # of a size that may not be posted there
    (head(1, 0xF4, 2, port=True), 1),  # it ends a run, and is not declared
    (head(1, 1, 2), 1),  # of the same port, by its sequence
]


@pytest.mark.parametrize("watched", [False, True])
def test_what_waits_comes_to_its_device_whatever_its_form(watched: bool) -> None:
    """In any order, alone and in runs. What is of no form is refused, and nothing else happens."""
    draw, seen = random.Random(5), list[tuple[int, int, int]]()

    def note(base: int, offset: int, size: int, value: int) -> None:
        seen.append((base + offset, size, value))

    with Bench(watched=watched) as bench:
        machine = bench.machine
        for port in (WIDE, OTHER):
            machine.attach(Wide(partial(note, port)), port)
        for number, port in enumerate((OTHER, WIDE, 0xF4)):
            put_site(machine, number, port)
        bench.open()
        refused = 0
        for _ in range(100):
            entries, expected = list[tuple[int, int]](), list[tuple[int, int, int]]()
            while len(entries) < 200:
                bad = draw.randrange(5) == 0
                entry, comes = (draw.choice(REFUSED), None) if bad else draw.choice(FORMS)
                for _ in range(draw.choice((1, 1, 2, 20))):
                    entries.append(entry)
                    expected += [] if comes is None else [comes]
                    refused += bad
            put_entries(machine, entries)
            machine.bus.inp(0x7000)  # nobody's: a crossing
            assert seen == expected
            seen.clear()
        assert bench.counts()["refused"] == refused


def test_the_caller_of_a_post_is_behind_its_sequence(bench: Bench) -> None:
    machine, callers = bench.machine, list[tuple[int, int]]()

    def note(access: PortAccess) -> None:
        assert access.place is not None
        callers.append((access.place.eip, access.place.cpl))

    machine.bus.observe(note, places=True)
    put_site(machine, 0, POST)
    bench.open()
    callers.clear()
    put_entries(machine, [(head(1, 1, 0), 0), (head(1, POST), 0)])
    second = EXITLESS_BASE + Exitless.CALLERS + 4 * (numbers.EXITLESS_ENTRIES - 2)
    machine.memory.write(second, struct.pack("<I", 0x1234))
    machine.bus.outp(0x7000, 1, 0)
    assert callers[:2] == [(SITES_AT + SITE_LENGTH, 0), (0x1234, 0)]


def test_cells_stay_where_they_are(tmp_path: Path) -> None:
    """Code of the guest has their addresses in it. The lower ports declare later here than the higher ones."""
    late = Wide()
    late.declares = False
    with Machine(kernel=BIN / "delay.elf", memory=8 * MIB, io="exitless") as machine:
        directory = (EXITLESS_BASE + Exitless.DIRECTORY, 1024)
        machine.attach(Wide(), 0xA80)
        machine.attach(late, 0x580)
        before = machine.memory.read(*directory)
        late.declares = True
        machine.bus.adapter(late).publish_at(0)
        after = machine.memory.read(*directory)
        assert after != before
        cell = struct.unpack_from("<H", after, 512 + 2 * 5)[0]
        assert machine.memory.read(EXITLESS_BASE + Exitless.POSTED + cell + 0x80, 1) == b"\xff"
        machine.reset()
        assert machine.memory.read(*directory) == after
        machine.save(tmp_path / "state")

    def attach(other: Machine) -> None:
        other.attach(Wide(), 0x580)
        other.attach(Wide(), 0xA80)

    with Machine.restore(tmp_path / "state", attach=attach) as machine:
        assert machine.memory.read(*directory) == after
        assert machine.memory.read(EXITLESS_BASE + Exitless.POSTED + cell + 0x80, 1) == b"\xff"


@pytest.mark.parametrize("name", ["console", "cmos", "pci", "mix", "delay"])
def test_accesses_in_place_are_counted_one_by_one(name: str) -> None:
    """Whatever way each takes: as many as on exit, of each port, direction and size."""
    counts = []
    for io, ops, build in (("exit", "native", ""), ("exitless", "vmi", "-inline")):
        config: dict[str, Any] = {"append": f"n=2000 tsc_khz=1000000 ops={ops}", "io": io}
        with Machine(kernel=BIN / f"{name}{build}.elf", memory=8 * MIB, engine="unicorn", **config) as machine:
            assert machine.run(timeout=60) == GuestExit(0)
            assert machine.exitless is None or machine.exitless.counts()["refused"] == 0
            counted = Counter[tuple[int, int, int]]()
            for row in machine.bus.counts():
                counted[row.port, row.direction, row.size] += row.accesses
        # What was measured is printed, and has so many digits; the delay is nothing on exitless.
        assert counted.pop((THR, 1, 1)) == counted.pop((LSR, 0, 1)) > 50
        posted = counted.pop((POST, 1, 1), 0)
        assert posted == {"delay": 4000 if io == "exit" else 2000, "mix": 2000}.get(name, 0)
        counts.append(counted)
    assert counts[0] == counts[1]


def test_a_count_of_reads_that_runs_over(bench: Bench) -> None:
    memory, most = bench.machine.memory, int(Answer.SHOWN // Answer.READ)
    bench.machine.bus.outp(SCR, 1, 0x5A)
    directory = EXITLESS_BASE + Exitless.DIRECTORY + 512
    cell = struct.unpack("<H", memory.read(directory + 2 * (SCR >> 8), 2))[0] + (SCR & 0xFF)
    at = EXITLESS_BASE + Exitless.ANSWERS + 4 * cell
    assert memory.read(at, 4) == struct.pack("<I", Answer.SHOWN | 0x5A)
    for reads in (1, most - 1, most, most + 2):
        before = bench.counts()["shadowed"]
        memory.write(at, struct.pack("<I", (Answer.SHOWN | 0x5A) + Answer.READ * reads & 0xFFFFFFFF))
        bench.run(Assembler(CODE).call("INB", SCR).code)  # reads a shadow register of another kind
        assert bench.counts()["shadowed"] - before == reads + 1
        assert memory.read(at, 4) == struct.pack("<I", Answer.SHOWN | 0x5A)


def test_a_machine_that_was_saved_with_another_layout() -> None:
    with Machine(memory=4 * MIB, io="exitless") as machine:
        assert machine.exitless is not None
        record = machine.exitless.save()
        machine.exitless.check(record)
        with pytest.raises(StateError, match="saved with layout 2 of the tables"):
            machine.exitless.check(record | {"layout": 2})
