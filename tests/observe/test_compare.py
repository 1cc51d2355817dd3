# SPDX-License-Identifier: GPL-2.0-or-later
"""hyperport compare's plan, its rows, and what it does when paths differ. Few units: counts and values, no times."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hyperport.abi.convention import Entry
from hyperport.engines import ENGINES, EngineEntry
from hyperport.errors import ConfigError, DifferenceError, GuestError, UsageError
from hyperport.machine.machine import Machine
from hyperport.observe.compare import (
    USUAL_WAYS,
    WAYS,
    WORKLOADS,
    Job,
    Marks,
    Measurement,
    compare,
    make_plan,
    measure,
    table,
    waited_ns,
)

from ..conftest import ROOT

FEW = 1e-4
ONE_CROSSING_EACH = ("console", "cmos", "pci", "mix")  # every access is one crossing, but by exitless
GIVEN = Measurement(accesses=100, checksum="0badcafe", ns=20_000, tsc_khz=2_000_000, crossings=100)
SPEED = {"trap": 8, "exit": 1, "hypercall": 2, "exitless": 1}
NAMES = [way.name for way in USUAL_WAYS]


def fixed(job: Job) -> Measurement:
    """Times that are known: trap 1,600 ns, exit 200 ns, hypercall 400 ns an access."""
    given = replace(GIVEN, ns=GIVEN.ns * SPEED[job.way.name])
    return replace(given, traps=0, phases=(160_000, 80_000, 40_000)) if job.profile else given


def test_every_workload_is_in_the_table() -> None:
    assert set(WORKLOADS) == {path.stem for path in (ROOT / "guest/workloads").glob("*.c")}


@pytest.fixture(scope="module")
def rows() -> dict[tuple[str, str], dict[str, Any]]:
    return {(row["workload"], row["path"]): row for row in compare(make_plan(repeat=1, scale=FEW))}


def test_a_row_for_each_workload_and_path(rows: dict[tuple[str, str], dict[str, Any]]) -> None:
    assert list(rows) == [(workload, way) for workload in WORKLOADS for way in NAMES]
    for row in rows.values():
        assert row["engine"] == "unicorn"
        assert row["ns_lowest"] <= row["ns_per_access"] <= row["ns_highest"]
        assert row["accesses"] >= row["crossings"] or row["workload"] == "ticks"
        assert (row["shares"] is None) == (row["path"] != "trap")


@pytest.mark.parametrize("workload", WORKLOADS)
def test_the_guest_reads_the_same_on_each_path(workload: str, rows: dict[tuple[str, str], dict[str, Any]]) -> None:
    mine = [row for (name, _), row in rows.items() if name == workload]
    assert len({(row["checksum"], row["accesses"], row["units"]) for row in mine}) == 1


@pytest.mark.parametrize("workload", ONE_CROSSING_EACH)
def test_crossings_are_those_of_the_timed_part(workload: str, rows: dict[tuple[str, str], dict[str, Any]]) -> None:
    for way in NAMES:
        row = rows[workload, way]
        if way == "exitless":
            assert 0 < row["crossings"] < 0.6 * row["accesses"]
        else:
            assert row["crossings"] == row["accesses"] > 0


def test_a_string_is_one_crossing_and_a_pause_is_none(rows: dict[tuple[str, str], dict[str, Any]]) -> None:
    for way in NAMES:
        units = rows["strings", way]["units"]
        assert rows["strings", way]["crossings"] == 6 * units + 1  # and the device's checksum
        assert rows["strings", way]["accesses"] == 2 * (512 + 256 + 128) * units
    assert rows["delay", "exit"]["crossings"] == 2 * rows["delay", "exit"]["units"]
    assert rows["delay", "hypercall"]["crossings"] == rows["delay", "hypercall"]["units"]


def test_the_other_conventions_are_there_when_they_are_named() -> None:
    names = ["exit", "hypercall-kvm", "hypercall-lguest"]
    rows = compare(make_plan(["cmos", "strings"], names, repeat=1, scale=FEW))
    assert [row["path"] for row in rows] == names * 2
    assert len({row["crossings"] for row in rows[:3]}) == len({row["crossings"] for row in rows[3:]}) == 1


def test_a_profiled_trap_has_phases_and_others_have_none() -> None:
    job = Job(WORKLOADS["cmos"], WAYS["trap"], "unicorn", 200, profile=True)
    profiled = measure(job)
    assert profiled.traps == profiled.crossings == 400
    assert all(ticks > 0 for ticks in profiled.phases)
    assert sum(profiled.phases) < profiled.ns * profiled.tsc_khz / 1e6
    for other in (replace(job, profile=False), replace(job, way=WAYS["exit"])):
        assert measure(other).phases == (0, 0, 0)


def test_rows_are_medians_and_ratios_of_them() -> None:
    calls = {"trap": iter((30, 10, 20)), "exit": iter((5, 5, 5))}

    def run(job: Job) -> Measurement:
        if job.profile or job.units == 1:
            return fixed(job)
        return replace(GIVEN, ns=next(calls[job.way.name]) * GIVEN.accesses)

    trap, exits = compare(make_plan(["cmos"], ["trap", "exit"], repeat=3), run)
    assert (trap["ns_lowest"], trap["ns_per_access"], trap["ns_highest"], trap["ratio_to_trap"]) == (10, 20, 30, 1)
    assert (exits["ns_per_access"], exits["ratio_to_trap"]) == (5, 4)
    assert (exits["ratio_lowest"], exits["ratio_highest"]) == (2, 6)


def test_shares_are_of_the_profiled_time() -> None:
    (trap,) = compare(make_plan(["cmos"], ["trap"]), fixed)
    assert trap["shares"] == {"fault": 0.5, "decode": 0.25, "simulate": 0.125}  # of 320,000 ticks


@pytest.mark.parametrize(
    ("wall", "waited", "share"),
    [(1000, 0, 0.0), (1000, 250, 0.25), (1500, 250, 0.0), (1500, 750, 0.25), (900, 100, 0.1), (1000, 5000, 1.0)],
)
def test_only_waiting_within_the_guests_time_is_taken_off(wall: int, waited: int, share: float) -> None:
    with Machine() as machine:
        marks = Marks(machine, profile=False)
    marks.elapsed = (wall, waited)
    assert marks.disturbed(1000) == share
    assert marks.disturbed(0) == 0


def test_disturbed_time_is_no_time_of_an_access() -> None:
    assert replace(GIVEN, disturbed=0.5).ns_per_access == GIVEN.ns_per_access / 2


@pytest.mark.parametrize(("told", "waited"), [("500 70 3\n", 70), ("", 0), ("500\n", 0), ("a b c\n", 0)])
def test_what_the_scheduler_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told: str, waited: int) -> None:
    monkeypatch.setattr("hyperport.observe.compare.SCHEDULER", tmp_path / "schedstat")
    assert waited_ns() == 0  # a host that has no such file
    (tmp_path / "schedstat").write_text(told)
    assert waited_ns() == waited


def test_without_trap_there_is_no_ratio() -> None:
    rows = compare(make_plan(["cmos"], ["exit", "hypercall"]), fixed)
    assert [row["ratio_to_trap"] for row in rows] == [None, None]
    assert "None" not in table(rows)


def test_rounds_alternate_and_begin_with_another_path_each() -> None:
    order: list[str] = []

    def run(job: Job) -> Measurement:
        order.append(job.way.name)
        return fixed(job)

    compare(make_plan(["cmos"], ["exit", "hypercall"], repeat=3), run)
    assert order[1:] == ["exit", "hypercall", "hypercall", "exit", "exit", "hypercall"]  # the first measured the TSC


@pytest.mark.parametrize(
    ("change", "said"),
    [({"checksum": "0badbeef"}, "checksum 0badbeef, not 0badcafe"), ({"accesses": 99}, "99, not 100")],
)
@pytest.mark.parametrize("path", NAMES)
def test_a_path_that_differs_is_named(path: str, change: dict[str, Any], said: str) -> None:
    def run(job: Job) -> Measurement:
        return replace(fixed(job), **change) if job.way.name == path else fixed(job)

    with pytest.raises(DifferenceError, match=said if path != "trap" else "differs from trap on unicorn") as caught:
        compare(make_plan(["cmos"], repeat=2), run)
    assert path in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_difference_between_two_runs_of_one_path_is_one_too() -> None:
    checksums = iter(["0badcafe", "0badcafe", "0badbeef"])
    with pytest.raises(DifferenceError, match="workload cmos by exit"):
        compare(make_plan(["cmos"], ["exit"]), lambda job: replace(fixed(job), checksum=next(checksums)))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((["wishes"],), "workload 'wishes' is unknown; choose from console, "),
        (([], ["teleport"]), "path 'teleport' is unknown; choose from trap, exit, hypercall"),
        (([], [], ["perpetual"]), "engine 'perpetual' is unknown"),
        (([], ["trap"], ["scripted"]), "nothing to compare: engine scripted does not offer trap"),
    ],
)
def test_names_that_are_not_there(arguments: tuple[list[str], ...], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        make_plan(*arguments)


@pytest.mark.parametrize("numbers", [{"repeat": 0}, {"scale": 0.0}, {"scale": -1.0}, {"scale": float("nan")}])
def test_numbers_that_make_no_sense(numbers: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="repeat must be 1 or more, scale above 0"):
        make_plan(**numbers)


def test_a_path_that_an_engine_has_not_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ENGINES, "slow", EngineEntry("slow", "", "nowhere", ("exit", "hypercall"), tuple(Entry)))
    plan = make_plan(["cmos"], engines=["slow", "auto"])
    assert plan.left_out == ("engine slow does not offer trap", "engine slow does not offer exitless")
    rows = compare(plan, fixed)
    assert [(row["engine"], row["path"]) for row in rows] == [
        ("slow", "exit"),
        ("slow", "hypercall"),
        *(("unicorn", way) for way in NAMES),
    ]
    assert [row["ratio_to_trap"] is None for row in rows] == [True, True, *(False for _ in NAMES)]


def test_a_workload_that_cannot_run_says_why() -> None:
    with pytest.raises(ConfigError, match="workload strings by exit on unicorn: width= is 1, 2 or 4"):
        compare(make_plan(["strings"], ["exit"], append="width=3", scale=FEW))


def test_a_workload_that_does_not_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hyperport.observe.compare.LIMIT_S", 0.0)
    with pytest.raises(GuestError, match="workload cmos by exit on unicorn: "):
        compare(make_plan(["cmos"], ["exit"], scale=FEW))


def test_append_is_stronger_than_the_workloads_own_words() -> None:
    job = Job(replace(WORKLOADS["mix"], options="ratio=1"), WAYS["exit"], "unicorn", 60)
    own, other = measure(job), measure(replace(job, append="ratio=7"))
    assert own.accesses == other.accesses
    assert own.checksum != other.checksum


def test_the_table_has_a_line_for_each_row() -> None:
    rows = compare(make_plan(["cmos"]), fixed)
    heading, *lines = table(rows).splitlines()
    assert heading.split()[:3] == ["workload", "engine", "path"]
    assert [line.split()[2] for line in lines] == NAMES
    assert lines[0].split()[-4:] == ["50%", "25%", "12%", "0badcafe"]
    assert lines[2].split()[3:9] == ["100", "100", "400.0", "400.0", "400.0", "4.00"]


def test_units_stay_within_what_a_workload_takes() -> None:
    assert make_plan(["cmos"], scale=1e-9).units(WORKLOADS["cmos"]) == 1
    assert make_plan(["cmos"], scale=1e9).units(WORKLOADS["cmos"]) == 0xFFFF_FFFF


def test_documented_fields_are_those_of_a_row() -> None:
    text = (ROOT / "docs/cli.md").read_text().partition("\n## compare\n")[2].partition("\n## ")[0]
    told = [line.split("`")[1] for line in text.splitlines() if line.startswith("| `") and not line.startswith("| `--")]
    assert told == list(compare(make_plan(["cmos"], ["trap"]), fixed)[0])


def test_the_kernels_own_ways_come_with_kvm_alone() -> None:
    own = {"exit-coalesced", "exit-in-kernel"}
    assert not own & {way.name for _, way in make_plan(["cmos"]).trials}
    plan = make_plan(["cmos"], engines=["kvm"])
    assert own <= {way.name for _, way in plan.trials}
    assert plan.left_out == ("engine kvm does not offer trap",)
    named = make_plan(["cmos"], ["exit", "exit-coalesced"])
    assert named.left_out == ("engine unicorn does not offer exit-coalesced",)
