# SPDX-License-Identifier: GPL-2.0-or-later
from __future__ import annotations

import json
from dataclasses import replace

import pytest

from hyperport.cli.main import main
from hyperport.observe import compare
from hyperport.observe.compare import USUAL_WAYS, Job, Measurement

FEW = ("--repeat", "1", "--scale", "0.0002")


def test_the_table_is_all_of_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", "cmos", "pci", *FEW]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert [line.split()[0] for line in out.splitlines()] == ["workload", *["cmos"] * 4, *["pci"] * 4]
    assert "\x1b" not in out


def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", "cmos", "--json", *FEW]) == 0
    out, err = capsys.readouterr()
    result = json.loads(out)
    assert (err, out.count("\n"), result["left_out"]) == ("", 1, [])
    assert set(result) == {"rows", "left_out", "host"}
    assert [row["path"] for row in result["rows"]] == [way.name for way in USUAL_WAYS]
    wanted = {"workload", "engine", "path", "accesses", "crossings", "ns_per_access", "ratio_to_trap", "checksum"}
    for row in result["rows"]:
        assert wanted <= set(row)
        crossings = 80 if row["path"] == "exitless" else 160
        assert (row["workload"], row["accesses"], row["crossings"]) == ("cmos", 160, crossings)
        assert row["ratio_to_trap"] > 0
    assert result["rows"][0]["ratio_to_trap"] == 1
    assert result["host"]["cpus"] >= 1


def test_chosen_paths_in_the_order_given(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", "mix", "--io", "hypercall, exit", "--append", "ratio=3", *FEW]) == 0
    assert [line.split()[2] for line in capsys.readouterr().out.splitlines()[1:]] == ["hypercall", "exit"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["wishes"], "workload 'wishes' is unknown"),
        (["--io", "exit,"], "path '' is unknown"),
        (["--io", "teleport"], "path 'teleport' is unknown"),
        (["--engine", "perpetual"], "engine 'perpetual' is unknown"),
        (["--repeat", "0"], "repeat must be"),
        (["--repeat", "many"], "repeat"),
    ],
)
def test_words_that_make_no_sense(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", *arguments]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert said in err


def test_a_checksum_that_differs_fails(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    honest = compare.measure

    def tampered(job: Job) -> Measurement:
        result = honest(job)
        return replace(result, checksum="00000000") if job.way.name == "hypercall" else result

    monkeypatch.setattr(compare, "measure", tampered)
    assert main(["compare", "cmos", *FEW]) == 70
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert "workload cmos by hypercall on unicorn differs from trap on unicorn: checksum 00000000" in err


def test_what_an_engine_does_not_offer_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", "cmos", "--engine", "scripted", *FEW]) != 0  # it has no CPU
    err = capsys.readouterr().err
    assert "engine scripted does not offer trap" in err
    assert "engine scripted does not offer hypercall" in err
