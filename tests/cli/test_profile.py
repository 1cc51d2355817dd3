# SPDX-License-Identifier: GPL-2.0-or-later
"""hyperport profile: what it prints and writes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hyperport.cli.main import main

DEMO = ("profile", "demo", "--engine", "unicorn", "--quiet")


def test_the_console_and_then_the_tables(capfd: pytest.CaptureFixture[str]) -> None:
    assert main([*DEMO, "--top", "2"]) == 1
    out = capfd.readouterr().out
    assert (
        out.index("hyperport demo guest") < out.index("by port") < out.index("by call site") < out.index("by function")
    )
    assert "uart16550" in out
    assert "serial_put" in out


def test_one_object_with_the_fields_that_are_promised(capfd: pytest.CaptureFixture[str]) -> None:
    assert main([*DEMO, "--json"]) == 1
    report = json.loads(capfd.readouterr().out)
    fields = {"port", "device", "path", "function", "address", "accesses", "crossings"}
    assert all(fields <= set(row) for row in report["rows"])
    assert report["accesses"] == sum(row["accesses"] for row in report["rows"]) > 500


def test_files(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("google.protobuf")
    words = [f"--html={tmp_path}/p.html", f"--speedscope={tmp_path}/p.json", f"--pprof={tmp_path}/p.pb.gz"]
    assert main([*DEMO, *words, "--filter", "device pci-host"]) == 1
    assert b"Port accesses" in (tmp_path / "p.html").read_bytes()
    assert json.loads((tmp_path / "p.json").read_text())["profiles"][0]["endValue"] == 64
    assert (tmp_path / "p.pb.gz").read_bytes()[:2] == b"\x1f\x8b"


def test_a_file_that_the_host_does_not_take_is_one_line_and_the_rest_is_there(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main([*DEMO, "--html=/dev/full", f"--speedscope={tmp_path}/p.json"]) == 74
    out, err = capfd.readouterr()
    assert err == "hyperport: profile: /dev/full: No space left on device; it is not written\n"
    assert "by function" in out
    assert json.loads((tmp_path / "p.json").read_text())["profiles"]


@pytest.mark.parametrize(
    ("words", "said", "status"),
    [
        (["--html", "/no/where/p.html"], "profile: /no/where/p.html cannot be written", 78),
        (["--filter", "prot"], "filter: column 1 of 'prot': 'prot' is no test", 2),
        (["--filter", "device foo"], "there is no device 'foo'", 2),
        (["--symbols", "/no/where"], "symbols: /no/where: No such file or directory", 78),
        (["--top", "many"], "--top: 'many' is no number", 2),
    ],
)
def test_errors_are_one_line(words: list[str], said: str, status: int, capfd: pytest.CaptureFixture[str]) -> None:
    assert main([*DEMO, *words]) == status
    err = capfd.readouterr().err
    assert said in err
    assert err.count("\n") == 1


def test_pprof_without_its_package(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "google.protobuf.message_factory", None)
    assert main([*DEMO, "--pprof", "x.pb.gz"]) == 78
    assert "pip install 'hyperport[pprof]'" in capfd.readouterr().err
