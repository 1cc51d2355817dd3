# SPDX-License-Identifier: GPL-2.0-or-later
from __future__ import annotations

import os
from pathlib import Path as FilePath

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hyperport import Machine
from hyperport.bus.access import PortAccess
from hyperport.bus.port_bus import Path, PortBus
from hyperport.errors import ConfigError, UsageError
from hyperport.observe.filter import compile_filter
from hyperport.observe.trace import PortTrace, Trace, TraceSpec, parse_trace, trace_lines

ONE_FOLDER = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


def traced(file: FilePath, text: str = "") -> tuple[PortBus, PortTrace]:
    bus = PortBus()
    return bus, PortTrace(bus, file, compile_filter(text) if text else None)


def test_lines_show_direction_port_size_and_value(tmp_path: FilePath) -> None:
    bus, trace = traced(tmp_path / "t")
    bus.outp(0x3F8, 1, 0x41)
    bus.inp(0x1F0, 2)
    bus.outp(0xCF8, 4, 0x80000004)
    trace.close()
    trace.close()
    assert (tmp_path / "t").read_text() == "out 03f8 1 41\nin  01f0 2 ffff\nout 0cf8 4 80000004\n"


@ONE_FOLDER
@given(st.sampled_from([1, 2, 4]), st.binary(min_size=4, max_size=64), st.sampled_from(list(Path)))
def test_a_string_access_reads_like_its_elements_on_any_path(
    tmp_path: FilePath, size: int, data: bytes, path: Path
) -> None:
    data = data[: len(data) // 4 * 4]
    whole, whole_trace = traced(tmp_path / "whole")
    seen: list[PortAccess] = []
    whole.observe(seen.append)
    whole.outp_block(0x300, size, data, path)
    single, single_trace = traced(tmp_path / "single")
    for at in range(0, len(data), size):
        single.outp(0x300, size, int.from_bytes(data[at : at + size], "little"))
    whole_trace.close()
    single_trace.close()
    text = (tmp_path / "whole").read_text()
    assert text == (tmp_path / "single").read_text() != ""
    assert text == trace_lines(seen[0])


def test_more_lines_than_its_buffer_has_room_for(tmp_path: FilePath) -> None:
    bus, trace = traced(tmp_path / "t")
    bus.outp_block(0x80, 1, bytes(range(256)) * 100)
    bus.outp(0x80, 1, 0xFE)
    trace.close()
    lines = (tmp_path / "t").read_text().splitlines()
    assert len(lines) == 25_601
    assert (lines[0], lines[25_599], lines[25_600]) == ("out 0080 1 00", "out 0080 1 ff", "out 0080 1 fe")


def test_a_filter_leaves_out_the_rest(tmp_path: FilePath) -> None:
    bus, trace = traced(tmp_path / "t", "port 80 write value>0x10")
    for value in (0x10, 0x11):
        bus.outp(0x80, 1, value)
        bus.outp(0x81, 1, value)
    bus.inp(0x80)
    trace.close()
    assert (tmp_path / "t").read_text() == "out 0080 1 11\n"


def test_a_full_disk_is_told_once_and_the_guest_runs_on(capfd: pytest.CaptureFixture[str]) -> None:
    bus = PortBus()
    trace = PortTrace(bus, "/dev/full")
    bus.outp(0x80, 1, 1)
    trace.flush()
    bus.outp(0x80, 1, 2)
    trace.close()
    assert trace.failure == os.strerror(28)
    assert capfd.readouterr().err.count("it is not complete") == 1


def test_on_stderr_each_access_is_there_at_once(capfd: pytest.CaptureFixture[str]) -> None:
    bus = PortBus()
    trace = PortTrace(bus, "-")
    bus.outp(0x80, 1, 1)
    assert capfd.readouterr().err == "out 0080 1 01\n"
    trace.close()


def test_a_file_that_cannot_be_made(tmp_path: FilePath) -> None:
    with pytest.raises(ConfigError, match=r"port trace: .*No such file or directory; name another file"):
        PortTrace(PortBus(), tmp_path / "none" / "t")


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        ("a.hpt", TraceSpec(FilePath("a.hpt"))),
        ("a.hpt,ring=64K", TraceSpec(FilePath("a.hpt"), 64 << 10)),
        ("a.hpt,ring=2,time=1", TraceSpec(FilePath("a.hpt"), 2 << 20, 1)),
    ],
)
def test_what_trace_asks_for(text: str, spec: TraceSpec) -> None:
    assert parse_trace(text) == spec


@pytest.mark.parametrize(
    "text",
    [
        "",
        ",ring=1M",
        "a,ring=x",
        "a,time=0",
        "a,time=1001",
        "a,what=1",
        "a,ring",
        "a,ring=1M,ring=2M",
        "a,time=1,time=2",
    ],
)
def test_what_trace_cannot_ask_for(text: str) -> None:
    with pytest.raises(UsageError):
        parse_trace(text)


@pytest.mark.parametrize("ring", [0, 1, (16 << 10) - 1, (1 << 40) + 1, -1])
def test_a_ring_that_cannot_be_is_refused_before_an_older_trace_is_emptied(ring: int, tmp_path: FilePath) -> None:
    (tmp_path / "a.hpt").write_bytes(b"older")
    with Machine(memory=1 << 20, engine="scripted") as machine:
        with pytest.raises(ConfigError, match=f"a ring of {ring} bytes: give 16K to 1024G"):
            Trace(machine, TraceSpec(tmp_path / "a.hpt", ring))
        Trace(machine, TraceSpec(tmp_path / "b.hpt", 16 << 10)).close()
    assert (tmp_path / "a.hpt").read_bytes() == b"older"
