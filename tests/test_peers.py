# SPDX-License-Identifier: GPL-2.0-or-later
"""bench/peers.py: its guest program makes every kind of access, and the tables say what was measured and what not."""

from __future__ import annotations

import importlib
import shutil
import sys
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from hyperport.guests.toolchain import compiler

BENCH = Path(__file__).parents[1] / "bench"
MODULES = ("pairs", "plots", "growth", "contestants", "peers")
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Iterator[SimpleNamespace]:
    monkeypatch.syspath_prepend(BENCH)
    yield SimpleNamespace(**{name: importlib.import_module(name) for name in MODULES})
    for name in MODULES:
        sys.modules.pop(name, None)


def results(peers: ModuleType) -> object:
    made = peers.Results()
    made.versions = {"exit": "hyperport 1", "trap": "hyperport 1", "qemu TCG": "qemu 7", "v86": "v86 1"}
    for name, ns in (("exit", 20.0), ("trap", 100.0), ("qemu TCG", 80.0)):
        made.ns["post"][name] = [ns, ns + 1, ns + 2]
    made.ns["cmos"]["exit"] = [50.0, 50.0, 50.0]
    made.ns["cmos"]["v86"] = [10.0, 10.0, 10.0]
    made.missing["v86", "post"] = "no device"
    return made


@pytest.mark.parametrize("io", ["exit", "trap", "hypercall"])
def test_the_guest_program_makes_every_kind_of_access(bench: SimpleNamespace, tmp_path: Path, io: str) -> None:
    if shutil.which(compiler()) is None:
        pytest.skip(f"no {compiler()}")
    made = bench.contestants.Bench(tmp_path, None)
    measured = made.hyperport("unicorn", io).run(dict.fromkeys(bench.peers.KINDS, 50))
    assert measured.missing == {}
    assert set(measured.ns) == set(bench.peers.KINDS)


def test_plain_unicorn_has_no_devices(bench: SimpleNamespace, tmp_path: Path) -> None:
    if shutil.which(compiler()) is None:
        pytest.skip(f"no {compiler()}")
    made = bench.contestants.Bench(tmp_path, None)
    for hook in ("C", "Python"):
        measured = made.unicorn(hook).run({"post": 100, "pit": 100, "rep": 2, "sector": 1})
        assert set(measured.ns) == {"post", "pit", "rep"}
        assert measured.missing == {"sector": "no device"}


def test_the_disk_that_boots(bench: SimpleNamespace, tmp_path: Path) -> None:
    """Its last fields are entry, command line and sectors, and the command line is where they say."""
    if shutil.which(compiler()) is None:
        pytest.skip(f"no {compiler()}")
    made = bench.contestants.Bench(tmp_path, None)
    sector = made.boot_sector()
    assert len(sector) == 512
    assert sector[510:] == b"\x55\xaa"
    disk = made.boot_disk(sector, "post=1 ops=native")
    line = int.from_bytes(disk[504:508], "little") - bench.contestants.LOAD_AT + 512
    assert disk[line:].startswith(b"post=1 ops=native\0")
    assert line < 512 * (1 + int.from_bytes(disk[508:510], "little"))


@pytest.mark.parametrize(
    ("lines", "ns", "missing"),
    [
        (["begin post", "end post 4", "over"], {"post": 25.0}, {}),
        (["missing post", "over"], {}, {"post": "no device"}),
        (["begin post", "end post 4", "failed post 1", "over"], {}, {"post": "it failed"}),
        (["begin post", "panic"], {}, {"post": "the run ended before it: 'panic'"}),
    ],
)
def test_times_are_taken_between_lines(
    bench: SimpleNamespace, lines: list[str], ns: dict[str, float], missing: dict[str, str]
) -> None:
    stamped = ((100 * number, line) for number, line in enumerate(lines))
    measured = bench.contestants.timed(stamped, {"post": 4})
    assert (measured.ns, measured.missing) == (ns, missing)


def test_tables(bench: SimpleNamespace) -> None:
    made = results(bench.peers)
    assert bench.peers.table(made, ["exit", "v86"]) == [
        "| | exit | v86 |",
        "|---|---|---|",
        "| OUT 80h | 21 (20 to 22) |  |",
        "| CMOS: OUT, IN | 50 (50 to 50) | 10 (10 to 10) |",
    ]
    assert bench.peers.ratios(made, ["qemu TCG"])[2:] == ["| OUT 80h | 3.86 |"]
    ahead = bench.peers.behind(made, ["exit", "trap"], ["qemu TCG", "v86"])
    assert len(ahead) == 1
    assert ahead[0].startswith("- CMOS: OUT, IN: v86 needs 10 ns, hyperport 50 ns: v86 has")
    assert bench.peers.gaps(made, ["no Bochs"]) == ["- v86: OUT 80h: no device.", "- no Bochs."]


def test_a_document_is_written_between_its_marks(
    bench: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = tmp_path / "performance.md"
    document.write_text(f"before\n{bench.peers.BEGIN}old\n{bench.peers.END}after\n")
    monkeypatch.setattr(bench.peers, "DOCUMENT", document)
    monkeypatch.setattr(bench.peers, "PICTURES", tmp_path)
    panel = bench.plots.Panel("a panel", "x", "y", {"one": [(1.0, 2.0), (10.0, 3.0)], "two": [(1.0, 1.0)]})
    made = results(bench.peers)
    for _ in range(2):
        bench.peers.write(bench.peers.chapter(made, [], [panel], 3), made, [panel])
    text = document.read_text()
    assert text.startswith(f"before\n{bench.peers.BEGIN}`bench/peers.py` of ")
    assert text.endswith(f"\n{bench.peers.END}after\n")
    assert "old" not in text
    assert text.count("| OUT 80h |") == 3
    dots = ET.parse(tmp_path / "peers.svg")
    assert {"OUT 80h", "CMOS: OUT, IN", "exit", "v86"} <= {each.text for each in dots.iter(f"{SVG}text")}
    assert len(list(ET.parse(tmp_path / "growth.svg").iter(f"{SVG}polyline"))) == 2


def test_the_document_has_its_marks(bench: SimpleNamespace) -> None:
    text = bench.peers.DOCUMENT.read_text()
    assert text.count(bench.peers.BEGIN) == text.count(bench.peers.END) == 1
