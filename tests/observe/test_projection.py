# SPDX-License-Identifier: GPL-2.0-or-later
"""hyperport project: counts of a run times costs that are given, by hand and from files."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from hyperport.cli.main import main
from hyperport.errors import ConfigError, UsageError
from hyperport.observe.hosts import HOSTS, Cost, Host, HostWay, Strings, parse_host
from hyperport.observe.projection import crossings_of, project, projection_text
from hyperport.observe.saved_run import SavedRun, Use, load_run

SCALAR = Use(0x71, "in", 1, "exit", "rtc146818", "read_cmos", 100, 100)
SECTORS_IN = Use(0x1F0, "in", 2, "exit", "ide", "ide_read", 2560, 10)  # ten sectors of 256 words
SECTORS_OUT = Use(0x1F0, "out", 2, "exit", "ide", "ide_write", 2560, 10)
SHADOWED = Use(0x3FD, "in", 1, "shadow", "uart16550", "serial_put", 50, 0)
RUN = SavedRun("guest", "unicorn", "exit", (SECTORS_IN, SECTORS_OUT, SCALAR, SHADOWED), 0.5)


@pytest.mark.parametrize(
    ("use", "strings", "chunk", "expected"),
    [
        (SCALAR, Strings.WHOLE, 0, 100),
        (SCALAR, Strings.KVM, 1024, 100),
        (SCALAR, Strings.UNROLLED, 0, 100),
        (SECTORS_IN, Strings.WHOLE, 0, 10),
        (SECTORS_IN, Strings.KVM, 1024, 10),
        (SECTORS_IN, Strings.KVM, 256, 20),
        (SECTORS_IN, Strings.UNROLLED, 0, 2560),
        (SECTORS_OUT, Strings.KVM, 1024, 2560),
        (SECTORS_OUT, Strings.CHUNKS, 2032, 10),
        (SECTORS_OUT, Strings.CHUNKS, 511, 20),
        (SHADOWED, Strings.WHOLE, 0, 50),  # without a shared page each of them leaves the guest
    ],
)
def test_how_often_the_guest_is_left(use: Use, strings: Strings, chunk: int, expected: int) -> None:
    assert crossings_of(use, HostWay("w", None, strings, chunk)) == expected


def host(base: Cost, call: Cost, strings: Strings = Strings.WHOLE) -> Host:
    return Host("h", "t", (HostWay("trap", base, strings), HostWay("call", call)))


def test_a_time_is_the_number_times_the_cost_with_its_range() -> None:
    found = project(RUN, host(Cost(1000, 900, 1200, "a", ""), Cost(500, 500, 500, "b", "")))
    trap, call = found["ways"]
    assert trap["crossings"] == call["crossings"] == 10 + 10 + 100 + 50
    assert trap["seconds"] == pytest.approx([170 * 0.9e-6, 170e-6, 170 * 1.2e-6])
    assert sum(row["seconds"]["trap"] for row in found["ports"]) == pytest.approx(170e-6)


def test_cycles_are_divided_by_the_clock() -> None:
    clocked = Host("h", "t", (HostWay("trap", Cost(3000, 3000, 3000, "a", "", True)),), ghz=(2.0, 3.0, 4.0))
    assert project(RUN, clocked)["ways"][0]["ns"] == [750.0, 1000.0, 1500.0]
    assert project(RUN, clocked)["gain"] is None


def test_thirty_percent_appears_where_port_io_takes_enough() -> None:
    gain = project(RUN, host(Cost(1000, 1000, 1000, "a", ""), Cost(400, 400, 400, "a", "")), guest_s=170e-6)["gain"]
    assert gain["io"] == pytest.approx((0.6, 0.6, 0.6))
    assert gain["total"] == pytest.approx((0.3, 0.3, 0.3))  # as much guest code as port I/O
    assert gain["share_for_30_percent"] == pytest.approx(0.5)
    assert gain["rate_for_30_percent"] == pytest.approx(RUN.accesses / 170e-6)


def test_thirty_percent_cannot_appear_where_a_call_costs_three_quarters() -> None:
    found = project(RUN, host(Cost(1000, 1000, 1000, "a", ""), Cost(750, 750, 750, "a", "")))
    assert found["gain"]["share_for_30_percent"] is None
    assert "cannot appear" in projection_text(RUN, found)


def test_ranges_of_two_sources_may_meet_in_any_way_and_those_of_one_do_not() -> None:
    base, call = Cost(1000, 800, 1200, "a", ""), Cost(500, 400, 600, "a", "")
    assert project(RUN, host(base, call))["gain"]["io"] == pytest.approx((0.5, 0.5, 0.5))
    other = Cost(500, 400, 600, "b", "")
    assert project(RUN, host(base, other))["gain"]["io"] == pytest.approx((0.25, 0.5, 1 - 400 / 1200))


def test_unrolled_strings_are_told() -> None:
    text = projection_text(RUN, project(RUN, HOSTS["snp"]))
    assert "Unrolled strings cost 19.8 ms more: 5,270 crossings instead of 170." in text


@pytest.mark.parametrize("name", HOSTS)
def test_every_figure_has_a_source(name: str) -> None:
    for way in HOSTS[name].ways:
        if way.cost is None:
            assert name == "tdx"
            continue
        assert way.cost.source
        assert way.cost.says
        assert 0 < way.cost.lowest <= way.cost.middle <= way.cost.highest


def test_a_host_without_figures_takes_the_users_own() -> None:
    with pytest.raises(UsageError, match="no figure for one access can be cited"):
        project(RUN, parse_host("tdx"))
    found = project(RUN, parse_host("tdx,exit=4000-5000,call=3000"))
    assert found["ways"][0]["crossings"] == RUN.accesses  # unrolled
    assert found["ways"][0]["ns"] == [4000, 4500, 5000]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("foo", "host 'foo' is unknown; choose from vmx"),
        ("snp,exit", "'exit' is no setting"),
        ("snp,in=3", "'in=3' is no setting"),
        ("snp,exit=0", "write nanoseconds"),
        ("snp,exit=5-3", "write nanoseconds"),
        ("snp,exit=inf", "write nanoseconds"),
    ],
)
def test_bad_hosts_are_one_line(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said) as caught:
        parse_host(text)
    assert "\n" not in str(caught.value)


def test_the_same_run_by_each_kind_of_file(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    words = ["run", "demo", "--engine", "unicorn", "--quiet", "--clock", "insns", "--serial", "null"]
    assert main([*words, "--stats", f"{tmp_path}/s.json", "--trace", f"{tmp_path}/t.hpt"]) == 1
    assert main(["profile", *words[1:], "--json"]) == 1
    (tmp_path / "p.json").write_text(capfd.readouterr().out)
    runs = [load_run(tmp_path / name) for name in ("s.json", "t.hpt", "p.json")]
    by_port = [
        sorted(
            (use.port, use.direction, use.size, use.path, use.device, use.accesses, use.crossings) for use in run.uses
        )
        for run in (runs[0], runs[1])
    ]
    assert by_port[0] == by_port[1]
    assert {run.accesses for run in runs} == {runs[0].accesses}
    assert {run.crossings for run in runs} == {runs[0].crossings}
    assert {use.function for use in runs[2].uses} >= {"serial_put", "main"}


def saved(**changed: Any) -> bytes:
    row = {"port": 1, "direction": "in", "size": 1, "path": "exit", "device": None, "accesses": 1, "crossings": 1}
    return json.dumps({"ports": [row | changed], "engine": "unicorn", "io": "exit", "cpu_s": 1}).encode()


@pytest.mark.parametrize(
    "content",
    [
        b'"\xff"',
        b"[" * 100_000,
        saved(port=65536),
        saved(direction="sideways"),
        saved(accesses=-1),
        saved(crossings=1e300),
        saved(size=True),
        saved(device=[1]),
        saved(path=7),
    ],
)
def test_a_file_with_what_no_run_has_is_refused_in_one_line(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "run").write_bytes(saved())
    assert load_run(tmp_path / "run").accesses == 1
    (tmp_path / "run").write_bytes(content)
    with pytest.raises(ConfigError, match=r"this is no saved run|its rows have not the fields") as caught:
        load_run(tmp_path / "run")
    assert len(str(caught.value)) < 300


def test_a_pipe_is_no_saved_run(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ConfigError, match="a pipe; give a file"):
        load_run(tmp_path / "pipe")
