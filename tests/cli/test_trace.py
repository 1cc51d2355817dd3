# SPDX-License-Identifier: GPL-2.0-or-later
"""hyperport run --trace, and hyperport trace on what it wrote."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hyperport.cli.main import main

DEMO = ("run", "demo", "--engine", "unicorn", "--quiet")
COUNTER = """
class Always:
    span = 8
    def __init__(self, value="0x60"):
        self.value = int(value, 0)
    def read(self, offset, size):
        return self.value
    def write(self, offset, size, value):
        pass
"""


@pytest.fixture
def traces(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Path:
    """A folder with t.hpt and t.txt of a run, and r.hpt, which is the end of another."""
    assert main([*DEMO, f"--trace={tmp_path}/t.hpt", f"--trace-ports={tmp_path}/t.txt"]) == 1
    assert main([*DEMO, f"--trace={tmp_path}/r.hpt,ring=32K", "--filter", "device uart16550"]) == 1
    capfd.readouterr()
    return tmp_path


def test_plain_text_is_what_trace_ports_writes(traces: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["trace", "show", f"{traces}/t.hpt", "--plain"]) == 0
    out, err = capfd.readouterr()
    assert out == (traces / "t.txt").read_text() != ""
    assert err == ""


def test_lines_have_time_device_and_function(traces: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["trace", "show", f"{traces}/t.hpt", "--filter", "from serial_put write value==0x64"]) == 0
    lines = capfd.readouterr().out.splitlines()
    assert lines
    for line in lines:
        assert " out 03f8 1 64 " in line
        assert " uart16550 " in line
        assert " serial_put+0x" in line
    assert main(["trace", "show", f"{traces}/t.hpt"]) == 0
    assert " irq 0 high\n" in capfd.readouterr().out


def test_json_lines(traces: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["trace", "export", f"{traces}/t.hpt", "-o", f"{traces}/t.jsonl"]) == 0
    rows = [json.loads(line) for line in (traces / "t.jsonl").read_text().splitlines()]
    first = next(row for row in rows if row.get("function") == "serial_init")
    assert {key: first[key] for key in ("direction", "port", "size", "count", "path", "device", "cpl", "exact")} == {
        "direction": "out",
        "port": 0x3F9,
        "size": 1,
        "count": 1,
        "path": "exit",
        "device": "uart16550",
        "cpl": 0,
        "exact": True,
    }
    assert {"irq", "level", "ns"} in [set(row) for row in rows]
    text = sum(row.get("count", 0) for row in rows)
    assert text == len((traces / "t.txt").read_text().splitlines())


def test_perfetto_is_written_by_its_own_library(traces: Path) -> None:
    proto = pytest.importorskip("perfetto.protos.perfetto.trace.perfetto_trace_pb2")
    assert main(["trace", "export", f"{traces}/t.hpt", "--format", "perfetto", "-o", f"{traces}/t.pf"]) == 0
    trace = proto.Trace()
    trace.ParseFromString((traces / "t.pf").read_bytes())
    names = {
        packet.track_descriptor.uuid: packet.track_descriptor.name
        for packet in trace.packet
        if packet.HasField("track_descriptor")
    }
    assert {"uart16550", "pit8254", "rtc146818"} <= set(names.values())
    assert any(name.startswith("IRQ 0") for name in names.values())
    events = [packet for packet in trace.packet if packet.HasField("track_event")]
    assert all(packet.track_event.track_uuid in names for packet in events)
    assert [packet.timestamp for packet in events] == sorted(packet.timestamp for packet in events)


def test_without_the_library_there_is_one_line(
    traces: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "perfetto.trace_builder.proto_builder", None)
    assert main(["trace", "export", f"{traces}/t.hpt", "--format", "perfetto"]) == 78
    assert "pip install 'hyperport[perfetto]'" in capfd.readouterr().err


def test_diff_names_the_first_difference(traces: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["trace", "diff", f"{traces}/t.hpt", f"{traces}/t.hpt"]) == 0
    assert capfd.readouterr().out.startswith("equal: ")
    assert main(["trace", "diff", f"{traces}/t.hpt", f"{traces}/r.hpt"]) == 1
    out = capfd.readouterr().out.splitlines()
    assert out[0].startswith("after ")
    assert " - " in "\n".join(out)
    assert main(["trace", "diff", f"{traces}/t.hpt", f"{traces}/r.hpt", "--filter", "device uart16550 read"]) == 0


def test_a_trace_played_on_the_chips_that_it_was_made_with(traces: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["trace", "play", f"{traces}/t.hpt"]) == 0
    assert " accesses played; 0 of " in capfd.readouterr().out


def test_a_trace_played_on_a_device_of_the_users(traces: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (traces / "d.py").write_text(COUNTER)
    play = ["trace", "play", f"{traces}/t.hpt", "--filter", "port 3fd"]
    assert main([*play, "--device", f"{traces}/d.py:Always,base=0x3f8"]) == 0
    assert capfd.readouterr().out.endswith(" accesses played; 0 of 308 reads differ\n")
    assert main([*play, "--device", f"{traces}/d.py:Always,base=0x3f8,value=0x61"]) == 1
    out = capfd.readouterr().out.splitlines()
    assert out[0].endswith("in 03fd gave 61, and 60 when it was recorded")
    assert out[-1].endswith(" reads differ, 10 are shown")


def test_a_torn_trace_is_told(traces: Path, capfd: pytest.CaptureFixture[str]) -> None:
    whole = (traces / "t.hpt").read_bytes()
    (traces / "torn.hpt").write_bytes(whole[:-100])
    assert main(["trace", "show", f"{traces}/torn.hpt"]) == 0
    assert "it has no end: the run was killed or its disk was full" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("words", "said", "status"),
    [
        (["trace", "paint", "x"], "trace 'paint': write show, export, diff, play", 2),
        (["trace", "diff", "x"], "trace diff: it takes two files, not 1", 2),
        (["trace", "show", "/no/where"], "trace /no/where: No such file or directory", 78),
        (["trace", "show", "/dev/null"], "trace /dev/null: this is no trace of hyperport", 78),
        (["trace", "show", "x", "--filter", "prot 3"], "filter: column 1 of 'prot 3': 'prot' is no test", 2),
        ([*DEMO, "--trace", "/no/where/t"], "trace: /no/where/t: No such file or directory; name another file", 78),
        ([*DEMO, "--trace", "t,rnig=3"], "'rnig=3' is no setting: write ring=SIZE or time=N", 2),
        ([*DEMO, "--trace", "/dev/null", "--filter", "device foo"], "there is no device 'foo'", 2),
        ([*DEMO, "--trace", "/dev/null", "--filter", "from nobody"], "there is no function 'nobody'", 2),
        ([*DEMO, "--trace", "/dev/null", "--filter", "read", "--symbols", "/dev/null"], "a character device", 78),
    ],
)
def test_errors_are_one_line(words: list[str], said: str, status: int, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(words) == status
    err = capfd.readouterr().err
    assert said in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--filter", "port 80"], "--filter is not looked at without --trace or --trace-ports"),
        (["--symbols", "absent", "--trace", "/dev/null"], "--symbols is not looked at without --filter or --guest-cov"),
        (["--filter", "port 80", "--trace", "/dev/null"], ""),
    ],
)
def test_an_option_that_nothing_looks_at_is_told(
    words: list[str], said: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main([*DEMO, *words]) == 1
    told = [line for line in capfd.readouterr().err.splitlines() if "looked at" in line]
    assert told == ([f"hyperport: {said}"] if said else [])


def test_a_full_disk_is_status_74_and_the_guest_runs_on(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "demo", "--engine", "unicorn", "--trace", "/dev/full"]) == 74
    out, err = capfd.readouterr()
    assert out.endswith("done\r\n")
    assert "trace: /dev/full: No space left on device; it is not complete" in err
    assert " accesses are lost" in err


def test_with_a_clock_of_instructions_two_runs_leave_the_same_file(tmp_path: Path) -> None:
    for name in ("a", "b"):
        assert main([*DEMO, "--clock", "insns", f"--trace={tmp_path}/{name}"]) == 1
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
