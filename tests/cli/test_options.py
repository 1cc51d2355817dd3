# SPDX-License-Identifier: GPL-2.0-or-later
"""One row makes an option everywhere: command line, machine file, Python, help, completion, manual page, docs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from hyperport.cli.main import main
from hyperport.cli.options import RUN_SECTIONS, VERBS
from hyperport.cli.parser import help_of, parse
from hyperport.errors import UsageError
from hyperport.machine.config import MachineConfig
from hyperport.options import FILES, Option

from ..conftest import ROOT
from .conftest import Cli
from .fake_machine import Machine

ROWS = VERBS["run"].rows()
OFFERS = ("", "--", "--engine ", "--io ", "--abi ", "--vmi-calls ", "--net ", "--device tests/x.py:")
NO_NEED = {"unicorn", "hyperport.cli.run", "hyperport.machine.machine", "hyperport.engines.kvm.host"}
# A package with one more row: the only line that a new option takes.
NEW_ROW = """
import hyperport.machine.options as machine
from hyperport.options import SIZE, Option

machine.OPTIONS += (Option("turbo", "go `faster`", SIZE, metavar="SIZE", default=0, values=("1M", "2M")),)
"""
LOOK_EVERYWHERE = """
import importlib.util, sys, tempfile
from pathlib import Path
from hyperport.cli.completion import candidates
from hyperport.cli.machine_file import load_machine_file
from hyperport.cli.options import VERBS
from hyperport.cli.parser import help_of, parse
from hyperport.machine.config import MachineConfig
from hyperport import Machine

spec = importlib.util.spec_from_file_location("option_docs", sys.argv[1])
docs = importlib.util.module_from_spec(spec)
spec.loader.exec_module(docs)
assert "--turbo SIZE" in help_of("run", VERBS["run"])
assert parse(VERBS["run"], ["--turbo", "1M"]) == ([], {"turbo": 1 << 20})
assert MachineConfig().turbo == 0 and MachineConfig(turbo="2M").turbo == 2 << 20 and MachineConfig(turbo=5).turbo == 5
with Machine(turbo="2M", engine="scripted") as machine:
    assert machine.config.turbo == 2 << 20
assert "turbo" in MachineConfig.__doc__
with tempfile.TemporaryDirectory() as folder:
    file = Path(folder, "m.toml")
    file.write_text('turbo = "1M"')
    assert load_machine_file(file) == {"turbo": 1 << 20}
assert candidates("hyperport run --tur")[1] == ["--turbo"]
assert candidates("hyperport run --turbo ")[1] == ["1M", "2M"]
assert "| `--turbo SIZE` | go `faster` |" in docs.table(VERBS["run"])
assert "\\\\-\\\\-turbo SIZE" in docs.manual()
"""


def python(code: str, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_one_row_is_seen_everywhere() -> None:
    python(NEW_ROW + LOOK_EVERYWHERE, str(ROOT / "tools" / "option_docs.py"))


def test_without_the_row_there_is_no_such_option() -> None:
    with pytest.raises(UsageError, match="Unknown option: --turbo"):
        parse(VERBS["run"], ["--turbo", "1M"])


def test_docs_and_manual_are_written_from_the_rows() -> None:
    tool = [sys.executable, str(ROOT / "tools" / "option_docs.py"), "--check"]
    done = subprocess.run(tool, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    "words",
    [
        ["--help"],
        *([verb, "--help"] for verb in VERBS),
        ["--version"],
        ["completion", "bash"],
        *(["--complete", "bash", f"hyperport run {what}"] for what in OFFERS),
        ["run", "--no-such-option"],
    ],
    ids=" ".join,
)
def test_help_and_completion_import_nothing_compiled_and_no_engine(words: list[str]) -> None:
    code = "import sys; from hyperport.cli.main import main; main(sys.argv[1:]); print('modules', *sys.modules)"
    imported = python(code, *words).splitlines()[-1].split()[1:]
    ours = [name for name in imported if name.partition(".")[0] == "hyperport"]
    compiled = {path.relative_to(ROOT / "src").with_suffix("") for path in (ROOT / "src").rglob("*.pyx")}
    assert "hyperport.cli.main" in ours
    assert not {".".join(path.parts) for path in compiled} & set(ours)
    assert not NO_NEED & set(imported)


@pytest.mark.parametrize("name", VERBS)
def test_help_says_what_a_verb_does_and_shows_it(name: str, cli: Cli) -> None:
    status, out, err = cli(name, "--help")
    assert (status, err) == (0, "")
    assert out == help_of(name, VERBS[name])
    assert out.startswith(f"usage: hyperport {name}")
    assert "examples:\n  " in out
    assert max(map(len, out.splitlines())) <= 120
    for row in VERBS[name].rows():
        assert f"{row.flag}" in out
    for line in VERBS[name].examples:
        assert f"hyperport {name}" in line


@pytest.mark.parametrize("name", VERBS)
def test_no_two_options_of_a_verb_are_the_same(name: str) -> None:
    rows = VERBS[name].rows()
    for names in ([row.flag for row in rows], [row.word for row in rows], [row.short for row in rows if row.short]):
        assert len(names) == len(set(names))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_every_row_is_whole(row: Option) -> None:
    assert row.help
    assert row.help[0].islower() or row.help[0] in "`RA"
    assert "\n" not in row.help
    assert row.is_switch == (not row.metavar)
    assert not row.adds_up or row.many
    assert row.values == FILES or all(isinstance(word, str) and word for word in row.offers())
    if row.of_machine:
        assert getattr(MachineConfig(), row.word) == row.default


@pytest.mark.parametrize(
    "row", [row for row in ROWS if row.values != FILES and not row.is_switch], ids=lambda row: row.name
)
def test_what_completion_offers_is_taken(row: Option) -> None:
    for word in row.offers():
        text = f"{word}x" if word.endswith((":", "=")) else word
        assert row.from_words([text] if row.many else text) is not None


def test_the_sections_name_every_row_once() -> None:
    rows = [row for rows in RUN_SECTIONS.values() for row in rows]
    assert len(rows) == len(set(rows)) == len(ROWS)


@pytest.mark.parametrize(
    ("words", "given"),
    [
        (["--append", "--quiet -x"], {"append": "--quiet -x"}),
        (["--append", "-1"], {"append": "-1"}),
        (["--append="], {"append": ""}),
        (["--append", ""], {"append": ""}),
        (["-k", "a", "-i", "b", "-m", "1"], {"kernel": Path("a"), "initrd": Path("b"), "memory": 1 << 20}),
        (["-ka", "-m=2"], {"kernel": Path("a"), "memory": 2 << 20}),
        (["--trace-ports"], {"trace_ports": "-"}),
        (["--trace-ports=x"], {"trace_ports": "x"}),
        (["--cdrom", "a", "--cdrom=b"], {"cdroms": (Path("a"), Path("b"))}),
        (["--timeout", "0.5"], {"timeout": 0.5}),
        (["--kvm-irqchip", "on", "--report", "-q"], {"kvm_irqchip": True, "report": True, "quiet": True}),
    ],
)
def test_words_of_the_command_line(words: list[str], given: dict[str, Any]) -> None:
    assert parse(VERBS["run"], words) == ([], given)


def test_the_guest_may_stand_anywhere() -> None:
    for words in (["demo", "--report", "-m", "8"], ["--report", "demo", "-m", "8"], ["-m", "8", "--report", "demo"]):
        assert parse(VERBS["run"], words) == (["demo"], {"report": True, "memory": 8 << 20})
    assert parse(VERBS["run"], ["--trace-ports", "demo"]) == (["demo"], {"trace_ports": "-"})


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["run", "--mem", "4", "--mem", "5"], "--mem: it is given twice"),
        (["run", "--kernel"], "--kernel: expected one argument"),
        (["run", "--report=yes"], "--report: ignored explicit argument 'yes'"),
        (["run", "--repo"], "Unknown option: --repo"),
        (["run", "-x"], "Unknown option: -x"),
        (["run", "a", "b", "c"], "Unused words: b c"),
        (["run", "--kvm-irqchip", "yes"], "--kvm-irqchip: 'yes' is no switch: write on or off"),
        (["run", "--exit-status", "mine"], "exit status 'mine': write vmm or guest"),
        (["list"], "guests|devices|engines|abis is missing"),
        (["fetch"], "NAME... is missing"),
        (["completion", "tcsh"], "shell 'tcsh'"),
        (["--what"], "Unknown option: --what"),
        (["what"], "Unknown verb: what"),
    ],
)
def test_a_mistake_is_one_line_with_status_2(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert said in err


KERNEL = ("run", "-k", "/bzImage", "--serial", "null")


def test_quiet_leaves_the_ordinary_end_out_and_keeps_trouble(cli: Cli) -> None:
    assert cli(*KERNEL, "--quiet", "--append", "exit=3") == (7, "", "")
    status, _, err = cli(*KERNEL, "-q", "--append", "fault")
    assert status == 80
    assert err.startswith("hyperport: triple fault")
    assert cli(*KERNEL, "-q", "--append", "refuse")[2] == "hyperport: this machine cannot be built\n"
    assert "exited with value 3" in cli(*KERNEL, "--append", "exit=3")[2]


def test_verbose_tells_the_engine(cli: Cli) -> None:
    assert "engine " not in cli(*KERNEL, "--append", "exit=0")[2]
    assert cli(*KERNEL, "-v", "--append", "exit=0")[2].startswith("hyperport: engine fake: ")


@pytest.mark.parametrize(("value", "status"), [(0, 0), (1, 1), (255, 255), (256, 1), (257, 1), (512, 1)])
def test_exit_status_of_the_guest(cli: Cli, value: int, status: int) -> None:
    assert cli(*KERNEL, "--exit-status", "guest", "--append", f"exit={value}")[0] == status
    assert cli(*KERNEL, "--append", f"exit={value}")[0] == (value << 1 | 1) & 0xFF


def test_other_ends_keep_their_status(cli: Cli) -> None:
    assert cli(*KERNEL, "--exit-status", "guest", "--append", "fault")[0] == 80


def test_a_machine_file_takes_every_option_but_itself(cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "machine.toml"
    file.write_text(
        'kernel = "bzImage"\nserial = "null"\nappend = "exit=0"\nexit_status = "guest"\nquiet = true\n'
        'stats = "stats.json"\ntestdev = true\n'
    )
    assert cli("run", "--config", str(file)) == (0, "", "")
    assert (tmp_path / "stats.json").exists()
    assert Machine.built[-1].config.testdev
    file.write_text('config = "other.toml"')
    assert "unknown key config" in cli("run", "--config", str(file))[2]
