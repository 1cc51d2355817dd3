# SPDX-License-Identifier: GPL-2.0-or-later
"""Profiles beside what the guest itself counted, and what an observer in Python that forgets nothing has seen."""

from __future__ import annotations

import fcntl
import gzip
import io
import itertools
import json
import os
import re
import shutil
import struct
import subprocess
import termios
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

import hyperport
from hyperport.bus.access import Direction, PortAccess
from hyperport.bus.port_bus import PortBus
from hyperport.cpu.state import protected_flat
from hyperport.guests.registry import locate
from hyperport.guests.toolchain import compiler, link_program
from hyperport.host.char import MemoryBackend
from hyperport.io.crossing import CallbackHook, Crossing, hook
from hyperport.io.trap import TrapPath
from hyperport.observe.filter import compile_filter
from hyperport.observe.profile import MOST_SLICES, Profile, Timeline
from hyperport.observe.profile_export import MESSAGES, pprof, speedscope
from hyperport.observe.profile_html import page
from hyperport.observe.profile_text import Live, text_report
from hyperport.observe.profiler import MOST_SITES, MOST_WITH_PORTS, Profiler
from hyperport.observe.registers import register
from hyperport.observe.saved_run import from_profile
from hyperport.observe.symbols import load_symbols
from hyperport.outcome import GuestExit

GUEST = """
#include "guest.h"
#include "io.h"

#define FUNCTION __attribute__((noinline, noclone, optimize("no-omit-frame-pointer", "no-optimize-sibling-calls")))

static unsigned ones, twos, strings, deeps;

FUNCTION static void nothing(void) { __asm__ volatile(""); }
FUNCTION static void one(unsigned n) { outb(n, 0x80); nothing(); ones++; }
FUNCTION static void two(unsigned n) { outw(n, 0x340); inb(0x341); twos += 2; }
FUNCTION static void string(unsigned n) { static char text[64]; outsb(0x80, text, n); strings += n; }
FUNCTION static void deep(unsigned n) { if (n) deep(n - 1); else inb(0x70); deeps += !n; }
FUNCTION static void through(unsigned n) { one(n); deep(3); ones += 0; }

int main(const char *command_line)
{
    (void)command_line;
    for (unsigned n = 0; n < 1000; n++) {
        one(n);
        if (n % 3 == 0)
            two(n);
        if (n % 10 == 0)
            string(n % 60 + 2);
        through(n);
    }
    print("one %u two %u string %u deep %u\\n", ones, twos, strings, deeps);
    return 0;
}
"""


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if shutil.which(compiler()) is None:
        pytest.skip(f"no {compiler()}")
    folder = tmp_path_factory.mktemp("profile")
    (folder / "counts.c").write_text(GUEST)
    return link_program([folder / "counts.c"], folder / "counts.elf", include=[Path("guest/lib")])


MEMORY_GUEST = """
#include "guest.h"
#include "io.h"

#define FUNCTION __attribute__((noinline, noclone))
#define CARD ((volatile unsigned char *)0xd0000)
#define SCREEN ((volatile unsigned *)0xf0000000)

static unsigned rings, looks, pixels;

FUNCTION static void ring(unsigned n) { CARD[0x10] = n; rings++; }
FUNCTION static void look(void) { (void)*(volatile unsigned short *)(CARD + 0x12); looks++; }
FUNCTION static void fill(unsigned n) { for (unsigned i = 0; i < n; i++) { SCREEN[i * 1025] = i; pixels++; } }

int main(const char *command_line)
{
    (void)command_line;
    for (unsigned n = 0; n < 1000; n++) {
        ring(n);
        if (n % 3 == 0)
            look();
        if (n % 100 == 0)
            fill(n % 60 + 2);
        outb(n, 0x80);
    }
    print("ring %u look %u fill %u\\n", rings, looks, pixels);
    return 0;
}
"""


class Card(hyperport.Device):
    """Registers."""

    memory_span = 4096

    def memory_write(self, offset: int, size: int, value: int) -> None:
        assert offset == 0x10


class Screen(hyperport.Device):
    """A window that is too large for its addresses to be registers."""

    memory_span = 1 << 20

    def memory_write(self, offset: int, size: int, value: int) -> None:
        pass


@pytest.fixture(scope="module")
def memory_run(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], dict[str, int]]:
    """A profile of a guest that uses device memory, and what the guest counts itself."""
    if shutil.which(compiler()) is None:
        pytest.skip(f"no {compiler()}")
    folder = tmp_path_factory.mktemp("memory")
    (folder / "counts.c").write_text(MEMORY_GUEST)
    program = link_program([folder / "counts.c"], folder / "counts.elf", include=[Path("guest/lib")])
    console = MemoryBackend()
    with hyperport.Machine(kernel=program, engine="unicorn", testdev=True, serial=console) as machine:
        machine.attach(Card(), memory=0xD0000)
        machine.attach(Screen(), memory=0xF0000000)
        with Profile(machine, load_symbols([], program)) as profile:
            outcome = machine.run(timeout=60)
        assert outcome == GuestExit(0)
        counts = machine.bus.counts()
        report = profile.report(outcome)
    assert sum(row.accesses for row in counts) == report["accesses"]
    assert sum(row.crossings for row in counts) == report["crossings"]
    found = re.findall(r"(ring|look|fill) (\d+)", console.output().decode())
    return report, {name: int(number) for name, number in found}


def profiled(program: Path, path: str = "exit", text: str = "") -> tuple[dict[str, Any], str]:
    console = MemoryBackend()
    with hyperport.Machine(kernel=program, io=path, engine="unicorn", testdev=True, serial=console) as machine:
        with Profile(machine, load_symbols([], program), compile_filter(text, machine.bus.map())) as profile:
            outcome = machine.run(timeout=60)
        assert outcome == GuestExit(0)
        return profile.report(outcome), console.output().decode()


@pytest.fixture(scope="module", params=["exit", "trap"])
def run(request: pytest.FixtureRequest, program: Path) -> tuple[dict[str, Any], str]:
    return profiled(program, request.param)


def test_counts_of_functions_are_those_that_the_guest_keeps(run: tuple[dict[str, Any], str]) -> None:
    report, said = run
    found = re.search(r"one (\d+) two (\d+) string (\d+) deep (\d+)", said)
    assert found is not None
    kept = dict(zip(("one", "two", "string", "deep"), map(int, found.groups()), strict=True))
    counted = {row["function"]: row["accesses"] for row in report["functions"]}
    assert {name: counted[name] for name in kept} == kept
    assert kept["one"] == 2000


def test_accesses_to_device_memory_are_those_that_the_guest_counts(
    memory_run: tuple[dict[str, Any], dict[str, int]],
) -> None:
    report, kept = memory_run
    rows = {
        (row["function"], row["direction"], row["port"], row["size"], row["device"]): row["accesses"]
        for row in report["rows"]
        if row["space"] == "memory"
    }
    assert rows == {
        ("ring", "store", 0xD0010, 1, "card"): kept["ring"],
        ("look", "load", 0xD0012, 2, "card"): kept["look"],
        ("fill", "store", 0xF0000000, 4, "screen"): kept["fill"],
    }
    assert kept["ring"] == 1000
    devices = {row["device"]: row["accesses"] for row in report["devices"]}
    assert (devices["card"], devices["screen"]) == (kept["ring"] + kept["look"], kept["fill"])
    assert {row["space"] for row in report["ports"] if row["port"] >= 0xD0000} == {"memory"}
    slices = report["timeline"]["slices"]
    assert sum(row["devices"].get("card", 0) for row in slices) == devices["card"]


def test_reports_show_device_memory(memory_run: tuple[dict[str, Any], dict[str, int]]) -> None:
    report, kept = memory_run
    text = text_report(report)
    assert re.search(rf"^  000d0010  card +ring 100% +{kept['ring']:,} ", text, re.MULTILINE)
    assert re.search(r"^  load 000d0012 2 ", text, re.MULTILINE)
    assert "store d0010" in {row["frames"][-1] for row in report["stacks"]}
    assert b"store d0010" in speedscope(report)
    run = from_profile(report)
    assert sum(use.accesses for use in run.uses) == sum(
        row["accesses"] for row in report["rows"] if row["space"] == "port"
    )
    assert any("device memory" in note for note in run.notes)


def test_sums_are_those_of_the_rows(run: tuple[dict[str, Any], str]) -> None:
    report, _ = run
    for name in ("ports", "devices", "functions", "paths", "privilege", "stacks"):
        assert sum(row["accesses"] for row in report[name]) == report["accesses"], name
    assert sum(row["crossings"] for row in report["ports"]) == report["crossings"]
    assert {row["path"] for row in report["rows"]} == {report["io"]}
    assert {row["cpl"] for row in report["rows"]} == {0}
    strings = next(row for row in report["rows"] if row["function"] == "string")
    assert strings["accesses"] > strings["crossings"] == 100


def test_stacks_tell_the_line_of_each_call(run: tuple[dict[str, Any], str], program: Path) -> None:
    """By the text of the line itself: the caller's has the callee's name, the last one a port call."""
    report, _ = run
    checked = 0
    for row in report["stacks"]:
        assert row["places"][-1] == ""
        for (_, callee), place in zip(itertools.pairwise(row["frames"]), row["places"], strict=False):
            path, _, line = place.rpartition(":")
            if Path(path).name == "counts.c":
                text = (program.parent / "counts.c").read_text().splitlines()[int(line) - 1]
                assert (callee in text) or re.search(r"\b(in|out)s?[bwl]", text), (row, text)
                checked += 1
    assert checked > 5


def test_stacks_lead_to_their_callers(run: tuple[dict[str, Any], str]) -> None:
    report, _ = run
    stacks = Counter({tuple(row["frames"]): row["accesses"] for row in report["stacks"]})
    deep = [frames for frames in stacks if "deep" in frames]
    assert deep
    assert all(frames[-6:-1] == ("through", "deep", "deep", "deep", "deep") for frames in deep)
    assert {frames[-3] for frames in stacks if frames[-2] == "one"} == {"main", "through"}
    assert all(frames[-1] == "in 70 CMOS index" for frames in deep)


def test_rows_say_where_and_what(run: tuple[dict[str, Any], str]) -> None:
    report, _ = run
    row = next(row for row in report["rows"] if row["function"] == "two" and row["direction"] == "in")
    assert (row["port"], row["size"], row["accesses"], row["exact"]) == (0x341, 1, 334, True)
    assert row["at"].startswith("two+0x")
    assert row["samples"] <= 334
    sampling = report["sampling"]
    assert sampling["samples"] - 1 <= sampling["pauses"] + sum(row["samples"] for row in report["rows"])
    assert sampling["pauses"] + sum(row["samples"] for row in report["rows"]) == sum(
        row["count"] for row in report["gaps"]
    )
    assert 0.99 < sum(row["share"] for row in report["states"]) < 1.01 or not report["states"]


def test_a_filter_leaves_out_the_rest(program: Path) -> None:
    report, _ = profiled(program, text="port 340-341")
    assert {row["function"] for row in report["rows"]} == {"two"}
    assert report["accesses"] == 668


def test_an_observer_in_python_counts_the_same() -> None:
    seen: Counter[tuple[int, Direction, int, int]] = Counter()

    def observe(access: PortAccess) -> None:
        assert access.place is not None
        seen[(access.port, access.direction, access.size, access.place.eip)] += access.count

    kernel = locate("demo").kernel
    with hyperport.Machine(kernel=kernel, engine="unicorn") as machine:
        machine.bus.observe(observe, places=True)
        with Profile(machine) as profile:
            outcome = machine.run(timeout=60)
        rows = profile.report(outcome)["rows"]
        counts = {(row.port, row.direction): row.accesses for row in machine.bus.counts()}
    assert {
        (row["port"], Direction[row["direction"].upper()], row["size"], row["address"]): row["accesses"] for row in rows
    } == seen
    assert sum(counts.values()) == sum(seen.values())


@pytest.mark.parametrize("io", ["exit", "trap", "hypercall", "exitless"])
@pytest.mark.parametrize("workload", ["cmos", "mix", "strings"])
def test_what_the_bus_counts_for_it_is_what_the_bus_tallies(workload: str, io: str) -> None:
    """The bus counts known instructions without telling; with a second observer it does not, and nothing is lost."""
    append = f"n=200 ops={'native' if io in ('exit', 'trap') else 'vmi'}"
    kernel = locate(workload).kernel
    with hyperport.Machine(kernel=kernel, append=append, io=io, engine="unicorn", testdev=True) as machine:
        with Profile(machine) as profile:
            assert machine.run(timeout=60) == GuestExit(0)
        counted: Counter[tuple[int, str, int, str]] = Counter()
        crossed: Counter[tuple[int, str, int, str]] = Counter()
        for row in profile.report()["rows"]:
            key = (row["port"], row["direction"], row["size"], row["path"])
            counted[key] += row["accesses"]
            crossed[key] += row["crossings"]
        tallied = {
            (row.port, row.direction.name.lower(), row.size, row.path.name.lower()): (row.accesses, row.crossings)
            for row in machine.bus.counts()
        }
        assert {key: (counted[key], crossed[key]) for key in counted} == tallied
        machine.bus.observe(lambda access: None)
        before = profile.profiler.by_port().get(0x80, 0)
        for _ in range(300):
            machine.bus.outp(0x80, 1, 0)
        assert profile.profiler.by_port()[0x80] == before + 300


def test_calls_by_a_rom_are_named(tmp_path: Path) -> None:
    """The guest maps the ROM where it likes; within a page the address stays."""
    kernel = locate("vmiguest").kernel
    with (
        hyperport.Machine(kernel=kernel, io="hypercall", engine="unicorn", testdev=True) as machine,
        Profile(machine, load_symbols([], kernel)) as profile,
    ):
        machine.run(timeout=60)
        report = profile.report()
    called = {row["function"] for row in report["rows"] if row["path"] == "hypercall"}
    assert called == {f"vmi-rom:{way}{size}" for way in ("in", "out", "ins", "outs") for size in "bwl"}
    assert "vmi-rom:outsb" in {frame for stack in report["stacks"] for frame in stack["frames"]}


class Slow:
    """A device whose accesses take a fifth of a millisecond."""

    name = "slow"
    span = 1

    def read(self, offset: int, size: int) -> int:
        end = time.perf_counter_ns() + 200_000
        while time.perf_counter_ns() < end:
            pass
        return 0

    def write(self, offset: int, size: int, value: int) -> None:
        pass


@pytest.mark.parametrize("io", ["exit", "trap"])
def test_time_is_that_of_the_guest_the_fault_decoding_and_the_device(io: str) -> None:
    """200 reads of a slow port, each behind a write to a fast one: nearly all time is the slow device's."""
    code = bytes.fromhex("bd c8000000 e680 ec 4d 75fa fa f4")  # ebp = 200; out 80h; in al, dx; dec; jnz; cli; hlt
    with hyperport.Machine(memory=4 << 20, io=io, engine="unicorn") as machine:
        machine.attach(Slow(), 0x350)
        machine.memory.write(0x100000, code)
        state = protected_flat(eip=0x100000)
        state.edx = 0x350
        machine.engine.set_state(state)
        with Profile(machine) as profile:
            assert machine.run(timeout=60).kind == "halted"
        report = profile.report()
    times = {row["part"]: row for row in report["times"]}
    assert list(times) == ["guest", "fault", "decode", "device"]
    assert times["device"]["share"] > 0.5
    assert (times["fault"]["s"] > 0 and times["decode"]["s"] > 0) == (io == "trap")
    assert sum(row["share"] for row in report["times"]) == pytest.approx(1, abs=0.001)
    rows = {row["port"]: row["parts"] for row in report["rows"]}
    assert rows[0x350]["device"]["ns"] >= 190_000
    assert rows[0x350]["device"]["samples"] + rows[0x80]["device"]["samples"] > 5
    assert (rows[0x80]["device"]["ns"] or 0) < 100_000
    assert "device " in text_report(report)


def test_a_profile_that_ends_measures_no_more() -> None:
    with hyperport.Machine(kernel=locate("demo").kernel, io="trap", engine="unicorn") as machine:
        with Profile(machine):
            pass
        assert isinstance(machine.path, TrapPath)
        assert not machine.path.profile
        assert machine.run(timeout=60).kind == "guest-exit"
        assert machine.path.traps_profiled == 0


def test_a_hook_that_comes_later_hears_every_crossing() -> None:
    """The profile's own hook is quiet most of the time, and another one must not be given its place."""
    with hyperport.Machine(kernel=locate("demo").kernel, io="trap", engine="unicorn") as machine, Profile(machine):
        heard: Counter[Crossing] = Counter()
        hook(machine.engine, CallbackHook(lambda why, _: heard.update([why])))
        assert machine.run(timeout=60).kind == "guest-exit"
        counts = machine.bus.counts()
    assert heard[Crossing.IN] == sum(row.accesses for row in counts if row.direction is Direction.IN)


def test_more_sites_than_there_is_room_for_are_counted_by_port() -> None:
    bus, profiler = PortBus(), Profiler()
    bus.observe(profiler)
    for port in range(0x8000):
        for size in (1, 2):
            bus.outp(port, size, 0)
    assert profiler.site_count == MOST_WITH_PORTS
    assert sum(profiler.by_port().values()) == MOST_WITH_PORTS
    assert profiler.folded == 0x10000 - MOST_SITES
    assert profiler.uncounted == 0x10000 - MOST_WITH_PORTS


def test_a_long_timeline_has_longer_slices() -> None:
    timeline = Timeline()
    first = timeline.interval
    for number in range(MOST_SLICES * 2 + 2):
        timeline.add(Counter({"post-code": (number + 1) * 10}), Counter(guest=1))
    assert len(timeline.slices) <= MOST_SLICES
    assert timeline.interval == 8 * first
    assert sum(row["devices"]["post-code"] for row in timeline.slices) == (MOST_SLICES * 2 + 2) * 10
    assert sum(row["states"]["guest"] for row in timeline.slices) == MOST_SLICES * 2 + 2


def test_registers_have_names() -> None:
    assert register(0x3F8, Direction.OUT, "uart16550", 0x3F8) == "THR"
    assert register(0x2FD, Direction.IN, "uart16550", 0x2F8) == "LSR"
    assert register(0x1F7, Direction.IN, "ide", 0x1F0) == "status"
    assert register(0x310, Direction.IN, "ne2000", 0x300) == "data"
    assert register(0x80, Direction.OUT, None, 0) == register(0x341, Direction.IN, "testdev", 0x340) == ""


def test_text_names_the_port_that_costs_most_and_its_caller(run: tuple[dict[str, Any], str]) -> None:
    text = text_report(run[0], limit=3)
    ports = text.partition("by port\n")[2].splitlines()
    assert ports[1].split()[:2] == ["0080", "post-code"]
    assert " string 57% " in ports[1]
    assert "  and " in text
    assert "path" in text


@pytest.mark.parametrize("width", [60, 80])
def test_tables_fit_a_narrow_terminal(run: tuple[dict[str, Any], str], width: int) -> None:
    report = run[0]
    long = [row | {"function": row["function"] + "_of_a_long_name" * 4, "at": ""} for row in report["rows"]]
    text = text_report(report | {"rows": long}, limit=3, width=width)
    tables = text.partition("by port\n")[2].splitlines()
    assert max(map(len, tables)) <= width
    assert "accesses" in tables[0]
    assert any("…" in line for line in tables)


def test_live_lines_are_not_broken_by_a_narrow_terminal(program: Path) -> None:
    """A line that is broken takes two, and going back by their number would leave some behind."""
    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 40, 0, 0))
    with (
        os.fdopen(theirs, "w") as screen,
        hyperport.Machine(kernel=program, engine="unicorn", testdev=True) as machine,
    ):
        with Profile(machine, load_symbols([], program), live=Live(screen)):
            machine.run(timeout=60)
        text = os.read(ours, 1 << 16).decode()
    os.close(ours)
    assert "accesses/s" in text
    assert all(len(re.sub(r"\x1b\[\d*[A-Z]", "", line)) < 40 for line in text.replace("\r", "").split("\n"))


def test_three_looks_prove_little(program: Path) -> None:
    with hyperport.Machine(kernel=program, engine="unicorn", testdev=True) as machine, Profile(machine) as profile:
        profile.stop()
        profile.states = Counter(guest=3)
        states = {row["state"]: row for row in profile.report()["states"]}
    assert states["guest"]["share"] == 1
    assert states["guest"]["error"] > 0.1


def test_a_page_holds_its_data_whatever_names_are_in_it(run: tuple[dict[str, Any], str]) -> None:
    report = dict(run[0])
    report["kernel"] = "</script><script>alert(1)</script>\u2028"
    html = page(report).decode()
    data = re.search(r'<script id="data" type="application/json">(.*?)</script>', html, re.S)
    assert data is not None
    assert json.loads(data[1]) == json.loads(json.dumps(report))
    assert html.count("</script>") == 2
    assert not re.search(r"""(src|href)\s*=|url\(|@import|fetch\(""", html)  # it asks for no other file


def test_a_browser_draws_the_page(run: tuple[dict[str, Any], str], tmp_path: Path) -> None:
    browser = shutil.which("chromium")
    if browser is None:
        pytest.skip("no chromium")
    (tmp_path / "p.html").write_bytes(page(run[0]))
    flags = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}/user", "--dump-dom"]
    done = subprocess.run(
        [browser, *flags, f"file://{tmp_path}/p.html"], capture_output=True, text=True, timeout=120, check=False
    )
    assert "Port 0080 (POST code) of post-code costs most" in done.stdout
    assert done.stdout.count("<rect") > 20
    assert len(re.findall("<td", done.stdout)) >= 13 * len(run[0]["rows"])


def test_live_lines_are_written_over_and_taken_away(program: Path) -> None:
    screen = io.StringIO()
    with hyperport.Machine(kernel=program, engine="unicorn", testdev=True) as machine:
        with Profile(machine, load_symbols([], program), live=Live(screen)) as profile:
            machine.run(timeout=60)
        profile.report()
    text = screen.getvalue()
    assert "accesses/s" in text
    assert " post-code" in text
    assert "string+0x" in text
    assert re.search(r"\x1b\[\d+A\x1b\[J$", text)


def at(path: str, line: int) -> str:
    return f"{path}:{line}" if line else ""


def test_speedscope_has_the_stacks(run: tuple[dict[str, Any], str]) -> None:
    made = json.loads(speedscope(run[0]))
    frames = made["shared"]["frames"]
    profile = made["profiles"][0]
    stacks = [
        {
            "frames": [frames[number]["name"] for number in sample],
            "places": [at(frames[number].get("file", ""), frames[number].get("line", 0)) for number in sample],
            "accesses": weight,
        }
        for sample, weight in zip(profile["samples"], profile["weights"], strict=True)
    ]
    assert stacks == run[0]["stacks"]
    assert profile["endValue"] == run[0]["accesses"]


def test_pprof_has_the_stacks(run: tuple[dict[str, Any], str]) -> None:
    pytest.importorskip("google.protobuf")
    from hyperport.observe.profile_export import _profile_class

    made = _profile_class().FromString(gzip.decompress(pprof(run[0])))
    strings = list(made.string_table)
    functions = {each.id: (strings[each.name], strings[each.filename]) for each in made.function}
    places = {each.id: (*functions[each.line[0].function_id], each.line[0].line) for each in made.location}
    stacks = [
        {
            "frames": [places[number][0] for number in reversed(sample.location_id)],
            "places": [at(*places[number][1:]) for number in reversed(sample.location_id)],
            "accesses": sample.value[0],
        }
        for sample in made.sample
    ]
    assert stacks == run[0]["stacks"]
    assert strings[0] == ""
    assert strings[made.sample_type[0].type] == "accesses"
    assert set(MESSAGES) == {"ValueType", "Sample", "Line", "Location", "Function", "Profile"}
