# SPDX-License-Identifier: GPL-2.0-or-later
"""hyperport compare on a guest of one's own: marks, rows and the projection. Counts and reckoning, no times."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from hyperport.cli.main import main
from hyperport.errors import GuestError, UsageError
from hyperport.guests.registry import locate
from hyperport.host.specs import DiskSpec
from hyperport.observe.compare import Job, Measurement, Way, make_plan
from hyperport.observe.compare_guest import (
    GuestPlan,
    Mark,
    Span,
    compare_guest,
    guest_table,
    make_guest_plan,
    parse_mark,
    run_once,
)
from hyperport.observe.figures import confidence, figure, interval

START, END = Mark("start"), Mark("end")
SPAN = Span(1.0, 0.8, 1000, 500, (("trap", 1000),), 0, "at the mark")
COSTS = {"trap": 1600.0, "exit": 200.0, "hypercall": 400.0}


def plan(begin: Mark = START, end: Mark = END, ways: tuple[str, ...] = ("exit",), **more: Any) -> GuestPlan:
    config = {"kernel": locate("demo").kernel} | more.pop("config", {})
    return make_guest_plan("demo", config, make_plan((), ways), begin, end, repeat=3, **more)


def span(begin: str, end: str, way: int = 0) -> Span:
    made = plan(parse_mark(begin), parse_mark(end))
    return run_once(made, *made.trials[way])


def test_from_power_on_to_the_end() -> None:
    whole = span("start", "end")
    assert whole.accesses > 700
    assert whole.crossings < whole.accesses  # there is a string in it
    assert whole.by_path == (("exit", whole.accesses),)
    assert (whole.called, whole.outcome) == (0, "the guest exited with value 0")


def test_what_lies_between_two_port_marks() -> None:
    """demo writes 16 codes to port 80h; between the marks lies what it does from the first to the third of them."""
    between = span("port 80 write value==1", "port 80 write value==3")
    assert between.accesses == 2
    assert between.outcome == "at the mark"


def test_the_second_mark_counts_only_after_the_first() -> None:
    """Port 3FDh is read long before port 80h is written."""
    assert span("port 80 write", "port 3fd read").accesses < span("start", "port e9 write").accesses


def test_console_marks() -> None:
    part, whole = span("console:clock", "console:done"), span("start", "console:done")
    assert 100 < part.accesses < whole.accesses


@pytest.mark.parametrize(
    ("begin", "end", "missing"),
    [
        ("port 1234", "end", "port 1234;"),
        ("start", "console:never said", "console:never said;"),
        ("port 80", "port 1234", "port 1234;"),
    ],
)
def test_a_mark_that_is_not_reached(begin: str, end: str, missing: str) -> None:
    with pytest.raises(GuestError) as caught:
        span(begin, end)
    assert f"it did not come to {missing}" in str(caught.value)


def test_a_guest_that_does_not_end_is_no_measurement() -> None:
    made = replace(plan(config={"kernel": locate("outcome").kernel, "append": "hang"}), timeout=0.3)
    with pytest.raises(GuestError):
        run_once(made, *made.trials[0])


@pytest.mark.parametrize(
    ("text", "mark"),
    [
        ("start", START),
        ("end", END),
        ("console:login:", Mark("console", "login:")),
        ("port 80 value==0x42", Mark("port", "port 80 value==0x42")),
    ],
)
def test_words_of_marks(text: str, mark: Mark) -> None:
    assert parse_mark(text) == mark


@pytest.mark.parametrize("text", ["", " ", "console:", "console:a\nb", "prot 80", "port"])
def test_words_that_are_no_marks(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_mark(text)
    assert "\n" not in str(caught.value)


def test_a_disk_that_runs_would_change_is_refused() -> None:
    with pytest.raises(UsageError, match="add ,snapshot"):
        plan(config={"disks": (DiskSpec(path="a.img"),)})
    plan(config={"disks": (DiskSpec(path="a.img", snapshot=True), DiskSpec(path="b.img", read_only=True))})
    with pytest.raises(UsageError, match="nothing lies between"):
        plan(END, END)


# Rows, of spans and costs that are given.


def rows(made: GuestPlan, spans: dict[str, Span]) -> dict[str, dict[str, Any]]:
    def cost(job: Job) -> Measurement:
        return Measurement(100, "", round(100 * COSTS[job.way.name]), 2_000_000, 100)

    def run(_: GuestPlan, __: str, way: Way) -> Span:
        return spans[way.name]

    return {row["path"]: row for row in compare_guest(made, run, cost)}


THREE = ("trap", "exit", "hypercall")


def test_a_guest_without_calls_is_projected_by_what_a_crossing_costs() -> None:
    found = rows(plan(ways=THREE), {"trap": SPAN, "exit": replace(SPAN, cpu_s=0.2), "hypercall": SPAN})
    assert list(found) == [*THREE, "hypercall, projected from trap", "hypercall, projected from exit"]
    trap = found["hypercall, projected from trap"]
    assert trap["saved_s"]["median"] == pytest.approx(500 * 1200e-9)
    assert trap["cpu_s"]["median"] == pytest.approx(0.8 - 500 * 1200e-9)
    assert found["hypercall, projected from exit"]["saved_s"]["median"] == pytest.approx(-500 * 200e-9)
    assert found["exit"]["cpu_to_trap"]["median"] == pytest.approx(4.0)
    assert "The guest makes no calls" in guest_table(list(found.values()))


def test_the_table_has_room_on_a_terminal_of_80_columns() -> None:
    spans = {name: replace(SPAN, cpu_s=12.3, wall_s=98.7, accesses=1_234_567, crossings=987_654) for name in THREE}
    found = list(rows(plan(ways=THREE), spans).values())
    for row in found:
        row["wall_s"] |= {"low": 97.12, "high": 99.34}
        row["cpu_s"] |= {"low": 11.2, "high": 13.45}
    table = guest_table(found).splitlines()
    assert max(map(len, table)) <= 80
    assert [line.split()[:3] for line in table[:4:3]] == [["unicorn", "time", "s"], ["exit", "98.7", "12.3"]]
    assert table[2].split() == ["97.12-99.34", "11.2-13.45"]
    assert {"trap*", "exit*"} <= {line.split()[0] for line in table}


@pytest.mark.parametrize(("seconds", "told"), [(2.0, "time s"), (0.002, "time ms"), (0.000002, "time us")])
def test_times_of_the_table_have_the_unit_that_suits_them(seconds: float, told: str) -> None:
    found = rows(plan(ways=("trap",)), {"trap": replace(SPAN, wall_s=seconds)})
    head, row, *_ = guest_table(list(found.values())).splitlines()
    assert told in head
    assert row.split()[:2] == ["trap", "2"]


def test_a_guest_that_calls_is_not_projected() -> None:
    found = rows(plan(ways=THREE), {way: replace(SPAN, called=1 if way == "hypercall" else 0) for way in THREE})
    assert list(found) == [*THREE]
    assert "makes no calls" not in guest_table(list(found.values()))


def test_ends_that_differ_are_told() -> None:
    found = rows(plan(ways=("trap", "exit")), {"trap": SPAN, "exit": replace(SPAN, outcome="a triple fault")})
    assert "The runs ended differently: " in guest_table(list(found.values()))


# The interval of a median.


@pytest.mark.parametrize(
    ("count", "low", "high", "sure"),
    [(1, 0, 0, 0.0), (3, 0, 2, 0.75), (5, 0, 4, 0.9375), (6, 0, 5, 0.95), (9, 1, 7, 0.95), (15, 3, 11, 0.95)],
)
def test_interval(count: int, low: int, high: int, sure: float) -> None:
    assert interval(list(range(count))) == (low, high)
    assert confidence(count) == pytest.approx(sure)
    assert figure(range(count))["median"] == (count - 1) / 2


# The verb.


def test_the_verb(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", "demo", "--repeat", "1", "--to", "port 80", "--json"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    found = json.loads(out)["rows"]
    assert [row["path"] for row in found][:3] == [*THREE]
    assert len({row["accesses"]["median"] for row in found}) == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["demo", "debian", "--to", "end"], "one guest at a time"),
        (["cmos", "--mem", "64"], "--memory is for a guest of your own"),
        (["demo", "--from", "prot"], "'prot' is no test"),
        (["--to", "end"], "nothing to run"),
        (["demo", "--disk", "a.img"], "add ,snapshot"),
    ],
)
def test_mistakes_are_one_line(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", *words]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert said in err
