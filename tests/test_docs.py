# SPDX-License-Identifier: GPL-2.0-or-later
"""The documents tell the truth: their examples run, what they name exists, their tables are those of the code."""

from __future__ import annotations

import inspect
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from hyperport import Machine, StopKind, VirtualClock
from hyperport.cli.options import VERBS
from hyperport.guests.recipes import MODULE_SETS
from hyperport.guests.registry import BESIDE_GUESTS, GUESTS
from hyperport.machine.statistics import run_statistics
from hyperport.outcome import ERROR_STATUSES, Outcome, Quit

ROOT: Final = Path(__file__).parents[1]
DOCUMENTS: Final = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
NAMES: Final = [str(path.relative_to(ROOT)) for path in DOCUMENTS]
README: Final = ROOT / "README.md"
TOUR, DEVICES, CLI, STATISTICS = (ROOT / "docs" / name for name in ("tour.md", "devices.md", "cli.md", "statistics.md"))
CONTRIBUTING: Final = ROOT / "CONTRIBUTING.md"

BLOCK: Final = re.compile(r"^(?:<!-- file: (?P<file>\S+) -->\n)?```(?P<kind>\w+)\n(?P<text>.*?)^```$", re.M | re.S)
LINK: Final = re.compile(r"\[[^\]]*\]\(([^)#\s]*)(?:#([^)\s]+))?\)")
IN_TREE: Final = re.compile(r"\b((?:src|guest|bench|docs)/[\w./-]*[\w/]|tests/[\w/]+\.py)")
CALL: Final = re.compile(r"`[^`\n]*?([A-Za-z_]\w*)\(\)")
CORE_CALLS: Final = {"cpu_outb"}  # functions of Unicorn's core that documents name
SOURCES: Final = {".py", ".pyi", ".pyx", ".pxd", ".pxi", ".c", ".h", ".S"}
PLACEHOLDER: Final = re.compile(r"NAME")
VERB: Final = re.compile(r"(?:`|^ {4}|&& |\$ )hyperport\s+([a-z]\w*\b)(?! guest:)", re.M)
WIDTH: Final = 120
LIMIT_S: Final = 60  # hung, not slow


def blocks(kind: str) -> list[tuple[str, str, str]]:
    """(document, file it quotes or "", text) of each fenced block of a kind."""
    return [
        (str(path.relative_to(ROOT)), match["file"] or "", match["text"])
        for path in DOCUMENTS
        for match in BLOCK.finditer(path.read_text())
        if match["kind"] == kind
    ]


EXAMPLES: Final = [(name, text) for name, file, text in blocks("python") if not file]
QUOTES: Final = [(file, text) for kind in ("python", "c") for _, file, text in blocks(kind) if file]


def section(path: Path, title: str) -> str:
    """The text under a heading, up to the next heading of any level."""
    match = re.search(rf"^#+ {re.escape(title)}\n(.*?)(?=^#+ |\Z)", BLOCK.sub("", path.read_text()), re.M | re.S)
    assert match is not None, f"{path.name} has no section {title}"
    return match[1]


def table(text: str, heading: str) -> list[list[str]]:
    """The cells of the table whose first column has that heading, without backticks."""
    match = re.search(rf"^\| {re.escape(heading)} \|.*\n\|[-|]+\n((?:\|.*\n)+)", text, re.M)
    assert match is not None, f"no table with a column {heading}"
    return [
        [cell.strip().replace("`", "") for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in match[1].splitlines()
    ]


def anchors(path: Path) -> set[str]:
    """What may stand behind # in a link, as forges make it from a heading."""
    titles = re.findall(r"^#+ (.+)$", BLOCK.sub("", path.read_text()), re.M)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize(("name", "text"), EXAMPLES, ids=[name for name, _ in EXAMPLES])
def test_examples_run(name: str, text: str) -> None:
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, timeout=LIMIT_S, check=False)
    assert done.returncode == 0, done.stderr


def test_the_example_of_the_readme_prints_what_it_says() -> None:
    text = next(text for name, text in EXAMPLES if name == "README.md")
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, timeout=LIMIT_S, check=True)
    said = re.search(r"it prints:\n\n((?: {4}.*\n)+)", README.read_text())
    assert said is not None
    assert done.stdout.endswith("\n" + inspect.cleandoc(said[1]) + "\n")


@pytest.mark.parametrize(("file", "text"), QUOTES, ids=[file for file, _ in QUOTES])
def test_quoted_files_are_the_files(file: str, text: str) -> None:
    assert text == (ROOT / file).read_text()


def test_the_example_device_is_quoted() -> None:
    assert "docs/examples/doorbell.py" in [file for file, _ in QUOTES]


@pytest.mark.parametrize("path", DOCUMENTS, ids=NAMES)
def test_links_lead_somewhere(path: Path) -> None:
    for target, anchor in LINK.findall(BLOCK.sub("", path.read_text())):
        if target.startswith(("https:", "http:")):
            continue
        found = (path.parent / target).resolve() if target else path
        assert found.exists(), f"{target} is not there"
        if anchor:
            assert anchor in anchors(found), f"{found.name} has no heading for #{anchor}"


@pytest.mark.parametrize("path", sorted((ROOT / "docs").glob("*.md")), ids=lambda path: path.name)
def test_text_is_as_wide_as_code(path: Path) -> None:
    """Tables, pictures and what is quoted of a terminal may be wider."""
    text = re.sub(r"^```.*?^```$", "", path.read_text(), flags=re.M | re.S)
    wide = [line for line in text.splitlines() if len(line) > WIDTH and not line.startswith(("|", "    ", "!["))]
    assert wide == []


@pytest.mark.parametrize("path", DOCUMENTS, ids=NAMES)
def test_named_files_exist(path: Path) -> None:
    missing = [name for name in IN_TREE.findall(path.read_text()) if not (ROOT / name).exists()]
    assert [name for name in missing if not PLACEHOLDER.search(name)] == []


@pytest.fixture(scope="module")
def words_of_the_tree() -> set[str]:
    """Every word in the sources, the guest's and those of tests and tools too."""
    folders = ("src", "guest", "tests", "tools", "bench", "docs/examples")
    files = {path for folder in folders for path in (ROOT / folder).rglob("*") if path.suffix in SOURCES}
    return {word for path in files - {Path(__file__)} for word in re.findall(r"\w+", path.read_text())}


@pytest.mark.parametrize("path", DOCUMENTS, ids=NAMES)
def test_named_functions_exist(path: Path, words_of_the_tree: set[str]) -> None:
    if path.parent.name != "decisions":  # they name much of what was looked at elsewhere
        assert set(CALL.findall(BLOCK.sub("", path.read_text()))) - words_of_the_tree <= CORE_CALLS


@pytest.mark.parametrize("path", DOCUMENTS, ids=NAMES)
def test_named_verbs_exist(path: Path) -> None:
    assert set(VERB.findall(path.read_text())) <= set(VERBS)


@pytest.mark.parametrize("path", DOCUMENTS, ids=NAMES)
def test_named_guests_exist(path: Path) -> None:
    named = re.findall(r"hyperport\s(?:run|fetch)\s([a-z][\w-]*)(?![\w-]|\.\w)", path.read_text())
    assert set(named) <= {*GUESTS, *BESIDE_GUESTS}


def test_every_option_of_run_is_told() -> None:
    cells = [row[0] for row in table(section(CLI, "run"), "Option")]
    told = {option for cell in cells for option in re.findall(r"--[a-z-]+", cell)}
    assert told >= {row.flag for row in VERBS["run"].rows()}


def test_the_statistics_are_those_that_are_written() -> None:
    with Machine(clock=VirtualClock()) as machine:
        machine.bus.inp(0x80)
        written = machine.stats(Quit())
    assert [row[0] for row in table(STATISTICS.read_text(), "Field")] == list(written)
    rows = table(STATISTICS.read_text().split("A row of")[1], "Field")
    assert [row[0] for row in rows] == list(written["ports"][0])


def test_the_example_of_statistics_has_every_field() -> None:
    example = json.loads(next(text for name, _, text in blocks("json") if name == "docs/statistics.md"))
    wanted = set(inspect.signature(run_statistics).parameters) - {"counts"}
    assert set(example) == wanted | {"status", "detail", "ports"}


def test_outcomes_and_statuses_of_the_readme() -> None:
    rows = table(section(README, "Outcomes and exit statuses"), "Status")
    outcomes = {name for row in rows for name in re.findall(r"[A-Z]\w+", row[1])}
    assert outcomes == {outcome.__name__ for outcome in Outcome.__subclasses__()}
    assert {str(status) for _, status in ERROR_STATUSES} <= {row[0] for row in rows}


def test_kinds_of_outcome_in_the_statistics() -> None:
    told = next(row[2] for row in table(STATISTICS.read_text(), "Field") if row[0] == "outcome")
    assert set(told.split(", ")) == {outcome.kind for outcome in Outcome.__subclasses__()}


def test_every_end_of_a_run_is_told() -> None:
    told = {row[1] for row in table(section(TOUR, "How a run ends"), "Who asks")}
    assert told == {kind.name for kind in StopKind} - {"NONE"}


def test_the_board_is_the_machines() -> None:
    board = section(DEVICES, "The board")
    with Machine(clock=VirtualClock()) as machine:
        windows = machine.bus.map()
        lines = machine.lines.owners
    ports = [(f"{first:04x}-{last:04x}" if last > first else f"{first:04x}", name) for first, last, name in windows]
    assert [(row[0], row[1]) for row in table(board, "Ports")] == ports
    assert [int(row[0]) for row in table(board, "Line")] == sorted(lines)
    for row in table(board, "Line"):
        assert lines[int(row[0])] in row[1]


def test_every_chip_has_its_row() -> None:
    told = {row[0] for row in table(section(DEVICES, "The board"), "File")}
    assert told == {str(path.relative_to(ROOT)) for path in (ROOT / "src/hyperport/devices").glob("*.pyx")}


def test_the_targets_of_make() -> None:
    targets = re.findall(r"^([a-z-]+):.*##", (ROOT / "Makefile").read_text(), re.M)
    told = [row[0].removeprefix("make ") for row in table(section(CONTRIBUTING, "Set-up"), "Target")]
    assert sorted(told) == sorted(targets)


def test_every_set_of_modules_is_told() -> None:
    rows = {row[0]: row[1] for row in table(section(CLI, "fetch"), "Set")}
    assert rows.keys() == MODULE_SETS.keys()
    for word, modules in MODULE_SETS.items():
        names = {module.split()[0] for module in modules}
        assert names == set(rows[word].partition(", and what")[0].split(", ")), word


@pytest.mark.parametrize("path", DOCUMENTS, ids=NAMES)
def test_contents_name_every_section(path: Path) -> None:
    text = BLOCK.sub("", path.read_text())
    contents = re.findall(r"^- \[([^\]]+)\]\(#", text, re.M)
    assert contents in ([], re.findall(r"^## (.+)$", text, re.M))
