# SPDX-License-Identifier: GPL-2.0-or-later
"""The project's first law: everything the guest can see is identical on all paths, and what qemu's TCG shows.

A fixed set here; tools/first_law.py runs as many as one likes. Known differences: tests/io/law/differences.py.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ..abi.made import offered
from .law.differences import AT, differences, listing
from .law.machines import PATHS, QEMU, Seen, run_by_stubs, run_everywhere, run_on_path
from .law.programs import (
    BIT_6,
    CALL_MARK,
    CALLS,
    CODE,
    EDX,
    MASK,
    OURS,
    REPAIR,
    SHARED,
    TEST_DEVICE_PORT,
    TF,
    WINDOW,
    Instruction,
    Mode,
    Ports,
    Program,
    RandomSource,
    Source,
    calling_program,
    program,
)

SEED = "first law"
PROGRAMS = 2500
DONE, VECTOR_DB, VECTOR_UD, VECTOR_GP, VECTOR_PF = 0x81, 1, 6, 13, 14


def told(programs: Sequence[Program], seen: dict[str, Seen]) -> str:
    """Every program that machines disagree on, as text; empty if they agree."""
    return "\n\n".join(
        "\n".join((f"program {d.index}: {d.left} / {d.right}", *d.what, listing(programs[d.index])))
        for d in differences(programs, seen)
    )


@pytest.mark.skipif(QEMU is None, reason="qemu-system-i386 is not installed")
def test_the_guest_sees_what_it_sees_under_qemu(tmp_path: Path) -> None:
    programs = [program(RandomSource(f"{SEED}/{number}")) for number in range(PROGRAMS)]
    seen = run_everywhere(programs, tmp_path, qemu=True)
    assert told(programs, seen) == ""
    ends = Counter(
        (p.mode, reports[-1][AT["vector"]]) for p, reports in zip(programs, seen["qemu"].reports, strict=True)
    )
    for mode in Mode:  # a set in which nothing happens would prove nothing
        for vector in (VECTOR_GP, VECTOR_PF) if mode == Mode.V86 else (DONE, VECTOR_PF):
            assert ends[mode, vector] > 5, (mode, vector)
    assert sum(len(log) for log in seen["trap"].accesses) > 2 * PROGRAMS


def test_the_paths_agree_about_devices_that_take_all_widths(tmp_path: Path) -> None:
    programs = [program(RandomSource(f"{SEED}, ours/{number}"), OURS) for number in range(500)]
    assert told(programs, run_everywhere(programs, tmp_path, qemu=False)) == ""


@pytest.mark.parametrize("ports", [OURS, SHARED], ids=["ours", "shared"])
def test_calls_by_every_convention_leave_what_the_instruction_leaves(ports: Ports, tmp_path: Path) -> None:
    programs = [program(RandomSource(f"{SEED}, calls/{number}"), ports) for number in range(1200)]
    reference = run_on_path(programs, "trap", tmp_path)
    with offered(tmp_path) as conventions:
        names = [name for name in conventions if name != "vmi"]
        assert {"kvm", "lguest", "belled", "opcode", "vectored"} <= set(names)
        by_calls = {f"hypercall-{name}": run_by_stubs(programs, name, tmp_path) for name in names}
    for name, seen in by_calls.items():
        assert told(programs, {"trap": reference, name: seen}) == "", name
        assert seen.ran is not None
        assert len(seen.ran) > 60
        faults = [report for index in seen.ran for report in seen.reports[index] if report[AT["vector"]] == VECTOR_PF]
        assert sum(report[AT["eip"]] >> 16 == CALL_MARK >> 16 for report in faults) > 4, name


@pytest.mark.parametrize("ports", [OURS, SHARED], ids=["ours", "shared"])
def test_calls_without_a_crossing_leave_what_the_instruction_leaves(ports: Ports, tmp_path: Path) -> None:
    drawn = (program(RandomSource(f"{SEED}, exitless/{number}"), ports) for number in range(6000))
    programs = [watched(made, number) for number, made in enumerate(made for made in drawn if made.calls)]
    reference, seen = run_on_path(programs, "trap", tmp_path), run_on_path(programs, "exitless", tmp_path)
    assert told(programs, {"trap": reference, "exitless": seen}) == ""
    traps = [
        reports
        for made, reports in zip(programs, seen.reports, strict=True)
        if made.breakpoint and any(report[AT["dr6"]] & 1 for report in reports)
    ]
    steps = [reports for made, reports in zip(programs, seen.reports, strict=True) if made.eflags & TF]
    assert min(len(programs) / 300, len(traps) / 100, len(steps) / 100) > 1, (len(programs), len(traps), len(steps))


@pytest.mark.parametrize("clock", ["insns", "real"])
def test_programs_whose_calls_follow_each_other_without_a_crossing(clock: str, tmp_path: Path) -> None:
    drawn = [calling_program(RandomSource(f"{SEED}, posts/{number}")) for number in range(600)]
    programs = [watched(made, number) if number % 4 == 0 else made for number, made in enumerate(drawn)]
    reference = run_on_path(programs, "trap", tmp_path, clock=clock)
    seen = run_on_path(programs, "exitless", tmp_path, clock=clock)
    assert told(programs, {"trap": reference, "exitless": seen}) == ""
    assert seen.counts["refused"] == 0
    if clock == "insns":  # by the host's clock it depends on its speed how often the ring is open
        assert seen.counts["posted"] > 500
        assert seen.counts["shadowed"] > 100


def watched(made: Program, number: int) -> Program:
    """Every third program with single steps, every third with a breakpoint on the port that it calls for last."""
    if number % 3 == 0:
        return replace(made, eflags=made.eflags | TF)
    if number % 3 == 1:
        calls = [part.code for part in made.body if part.code[0] == 0xBA]  # mov edx, port
        return replace(made, breakpoint=(int.from_bytes(calls[-1][1:3], "little"), 0))
    return made


class Drawn:
    """Choices that hypothesis makes, and makes smaller when they fail."""

    def __init__(self, draw: st.DrawFn) -> None:
        self.draw = draw

    def integer(self, low: int, high: int) -> int:
        return self.draw(st.integers(low, high))


@st.composite
def drawn_programs(draw: st.DrawFn, ports: Ports) -> Program:
    source: Source = Drawn(draw)
    return program(source, ports)


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(programs=st.lists(drawn_programs(OURS), min_size=1, max_size=8))
def test_programs_that_shrink(tmp_path: Path, programs: list[Program]) -> None:
    directory = tmp_path / "batch"
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir()
    assert told(programs, run_everywhere(programs, directory, qemu=False)) == ""


# What generated programs found, each as one instruction at the start of CODE, and the end that every path must show.

AT_START = CODE + 0x10
USER = Program(Mode.RING3, OURS)
TO_ABSENT_PAGE = b"\x07\x77\x77\x77\x77\x77\x77\x77"
FOUND: dict[str, tuple[Program, bytes, dict[str, int]]] = {
    "a forbidden INS stores nothing": (USER, b"\x6c", {"vector": VECTOR_GP, "eip": AT_START, "touched": 0}),
    "a forbidden REP INS stores nothing": (USER, b"\xf3\x6d", {"vector": VECTOR_GP, "ecx": 3, "touched": 0}),
    "permission comes before INS's page": (
        replace(USER, pages=TO_ABSENT_PAGE),
        b"\xf3\x6c",
        {"vector": VECTOR_GP, "error": 0, "cr2": 0},
    ),
    "permission comes before OUTS's page": (
        replace(USER, pages=TO_ABSENT_PAGE),
        b"\x6e",
        {"vector": VECTOR_GP, "error": 0, "cr2": 0},
    ),
    "permission comes before the count": (
        replace(USER, registers=[BIT_6, 0, 0x5E0, 0, 0, 1, WINDOW, WINDOW]),
        b"\xf3\x6e",
        {"vector": VECTOR_GP, "eip": AT_START, "ecx": 0},
    ),
    "the map allows INS": (
        replace(USER, allowed=[(0x5E0, 1)]),
        b"\xf3\x6c",
        {"vector": DONE, "ecx": 0, "edi": WINDOW + 3},
    ),
    "LOCK IN": (Program(Mode.RING0, OURS), b"\xf0\xec", {"vector": VECTOR_UD, "eip": AT_START}),
    "LOCK REP OUTS, count 0": (
        Program(Mode.RING0, OURS, registers=[BIT_6, 0, 0x5E0, 0, 0, 1, WINDOW, WINDOW]),
        b"\xf3\xf0\x6e",
        {"vector": VECTOR_UD, "eip": AT_START},
    ),
    "LOCK in 15 bytes": (Program(Mode.RING0, OURS), b"\xf0" + b"\xf3" * 13 + b"\xed", {"vector": VECTOR_UD}),
    "LOCK in 16 bytes": (Program(Mode.RING0, OURS), b"\xf0" + b"\xf3" * 13 + b"\xe4\x30", {"vector": VECTOR_GP}),
}


def prepared(start: Program, code: bytes) -> Program:
    """The program with this instruction, a port and pointers; a count of 3 unless it has registers of its own."""
    made = replace(start, body=[Instruction(code)])
    if not made.registers[EDX]:
        made.registers = [BIT_6, 3, 0x5E0, 0, 0, 1, WINDOW, WINDOW]
    return made


@pytest.mark.parametrize("io", PATHS)
def test_what_generated_programs_found(io: str, tmp_path: Path) -> None:
    programs = [prepared(start, code) for start, code, _ in FOUND.values()]
    seen = run_on_path(programs, io, tmp_path)
    for (name, (_, _, wanted)), reports in zip(FOUND.items(), seen.reports, strict=True):
        assert {field: reports[-1][AT[field]] for field in wanted} == wanted, name


@pytest.mark.parametrize("io", PATHS)
@pytest.mark.parametrize("mode", [Mode.RING0, Mode.RING3])
def test_single_steps_see_every_element(io: str, mode: Mode, tmp_path: Path) -> None:
    stepped = prepared(Program(mode, OURS, eflags=TF, allowed=[(0x5E0, 1)]), b"\xf3\x6e")
    (reports,) = run_on_path([stepped], io, tmp_path).reports
    steps = [(r[AT["vector"]], r[AT["eip"]], r[AT["ecx"]], r[AT["esi"]]) for r in reports[:-1]]
    assert steps == [
        (VECTOR_DB, AT_START, 2, WINDOW + 1),
        (VECTOR_DB, AT_START, 1, WINDOW + 2),
        (VECTOR_DB, AT_START + 2, 0, WINDOW + 3),
    ]
    assert reports[-1][AT["vector"]] == DONE


@pytest.mark.parametrize("watched", range(0x30, 0x3E, 2))
def test_the_port_of_a_doorbell_is_none_that_the_guest_accesses(watched: int, tmp_path: Path) -> None:
    """A breakpoint on two of the ports that the ROM's own OUTs name, or on what the calls access."""
    made = []
    for call in range(12):
        moves = [Instruction(b"\xb9\x02\0\0\0")]  # mov ecx, 2
        here = CODE + 0x10 + 5 + 5
        body = [*moves, Instruction(b"\xe8" + (CALLS + 16 * call - here & MASK).to_bytes(4, "little"))]
        start = Program(Mode.RING0, OURS, calls=True, breakpoint=(watched, 1), body=body)
        for port in (TEST_DEVICE_PORT, watched):
            made.append(replace(start, registers=[BIT_6, 0, port, 0, 0, 1, WINDOW, WINDOW]))
    seen = run_everywhere(made, tmp_path, qemu=False)
    assert told(made, seen) == ""
    hits = [sum(report[AT["vector"]] == VECTOR_DB for report in reports) for reports in seen["hypercall"].reports]
    assert all(hit == 0 for hit in hits[::2])
    assert all(hit > 0 for hit in hits[1::2])


@pytest.mark.parametrize("io", PATHS)
@pytest.mark.parametrize(("code", "size"), [(b"\xf3\x66\x6d", 2), (b"\xf3\x6d", 4)])
def test_no_element_is_lost_where_a_page_is_missing(io: str, code: bytes, size: int, tmp_path: Path) -> None:
    # The second element lies on two pages, and the second of them faults: it must not have been read by then.
    made = prepared(Program(Mode.RING0, OURS, options=REPAIR, pages=b"\x07" + b"\x77" * 7), code)
    made.registers = [BIT_6, 3, TEST_DEVICE_PORT, 0, 0, 1, WINDOW, WINDOW + 0x1000 - size - 1]
    seen = run_on_path([made], io, tmp_path)
    ((fault, end),) = seen.reports
    assert (fault[AT["vector"]], fault[AT["cr2"]], fault[AT["ecx"]]) == (VECTOR_PF, WINDOW + 0x1000, 2)
    assert (end[AT["vector"]], end[AT["ecx"]], end[AT["edi"]]) == (DONE, 0, WINDOW + 0x1000 + 2 * size - 1)
    assert [len(data) // size for _, port, _, data in seen.accesses[0] if port == TEST_DEVICE_PORT] == [3]


def test_a_program_that_differs_is_told() -> None:
    left, right = Program(Mode.RING0, OURS), Program(Mode.RING0, OURS)
    report = tuple(range(len(AT)))
    ours = Seen([[report]], [b"ab"], [[(1, 0x5E0, 1, b"ab")]])
    theirs = Seen([[(*report[:6], 99, *report[7:])]], [b"ac"], [[(1, 0x5E0, 1, b"ac")]])
    (difference,) = differences([left], {"one": ours, "other": theirs})
    assert difference.what == (
        "report 0: eip 0x6 / 0x63",
        "log 6162 / 6163",
        "access out 05e0 1 x 2: 6162 / out 05e0 1 x 2: 6163",
    )
    assert list(differences([right], {"one": ours, "other": ours})) == []
    assert "int 81h" in listing(left)
