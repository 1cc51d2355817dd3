# SPDX-License-Identifier: GPL-2.0-or-later
"""The pytest plugin, in pytest runs of its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import pytest_hyperport
from hyperport.cli.options import VERBS
from hyperport.engines import ENGINES

pytest_plugins = ["pytester"]

ROOT = Path(__file__).parents[2]
LIMIT_S = 120


@pytest.fixture(autouse=True)
def only_our_plugin(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether hyperport is installed with its entry point or not, the plugin is loaded once: by name."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("PYTEST_PLUGINS", "pytest_hyperport")


def run(pytester: pytest.Pytester, test: str, *arguments: str) -> pytest.RunResult:
    pytester.makepyfile("import pytest\nfrom pathlib import Path\n" + test)
    return pytester.runpytest_inprocess("-rs", *arguments)


MACHINE_OF_MARKERS = """
pytestmark = pytest.mark.hyperport(memory=16 << 20, io="trap", timeout=9)

@pytest.mark.hyperport(memory=8 << 20)
def test_settings(hyperport_machine):
    machine = hyperport_machine(guest="echo")
    assert (machine.memory.size >> 20, machine.config.io, machine.default_timeout) == {expected}
    other = hyperport_machine(io="exit", timeout=3)
    assert (other.memory.size >> 20, other.config.io, other.default_timeout) == (8, "exit", 3)
"""


def test_the_closest_marker_wins_and_the_call_beats_it(pytester: pytest.Pytester) -> None:
    test = MACHINE_OF_MARKERS.format(expected='(8, "trap", 9)')
    run(pytester, test, "--hyperport-io=hypercall", "--hyperport-timeout=5").assert_outcomes(passed=1)


def test_the_command_line_fills_what_markers_leave_open(pytester: pytest.Pytester) -> None:
    test = """
def test_settings(hyperport_machine):
    machine = hyperport_machine(guest="echo")
    assert (machine.config.io, machine.default_timeout, machine.engine.name) == ("trap", 5.0, "unicorn")
"""
    arguments = ("--hyperport-io=trap", "--hyperport-timeout=5", "--hyperport-engine=unicorn")
    run(pytester, test, *arguments).assert_outcomes(passed=1)


def test_options_are_read_by_the_rows_of_hyperport_run(pytester: pytest.Pytester) -> None:
    rows = {row.word: row for row in VERBS["run"].rows()}
    for word, (metavar, _) in pytest_hyperport.FROM_COMMAND_LINE.items():
        assert metavar == rows[word].metavar
    result = pytester.runpytest_subprocess("--hyperport-timeout", "soon")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines("*--hyperport-timeout: 'soon' is no number of seconds: write it like 30 or 0.5")


def test_settings_are_those_of_a_machine_config(pytester: pytest.Pytester) -> None:
    test = "@pytest.mark.hyperport(memory='3M')\ndef test_it(hyperport_machine):\n"
    result = run(pytester, "import pytest\n" + test + "    assert hyperport_machine().memory.size == 3 << 20\n")
    result.assert_outcomes(passed=1)
    result = run(pytester, "def test_it(hyperport_machine):\n    hyperport_machine(colour=1)\n")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines("*a machine has no setting 'colour'; it has kernel*")


def test_what_cannot_be_fails_and_is_not_replaced(pytester: pytest.Pytester) -> None:
    test = "def test_it(hyperport_machine):\n    hyperport_machine(guest='echo')\n"
    result = run(pytester, test, "--hyperport-io=telepathy")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*ConfigError: engine unicorn has no path telepathy*"])


def test_a_test_runs_on_each_path(pytester: pytest.Pytester) -> None:
    test = """
@pytest.mark.hyperport_paths
def test_all(hyperport_machine):
    hyperport_machine(guest="devtest")

@pytest.mark.hyperport_paths("trap", "exit")
def test_two(hyperport_machine, hyperport_io):
    assert hyperport_machine(guest="devtest").config.io == hyperport_io
"""
    result = run(pytester, test, "-v")
    paths = ENGINES["unicorn"].paths
    result.assert_outcomes(passed=len(paths) + 2)
    result.stdout.fnmatch_lines([f"*test_all?{path}? PASSED*" for path in paths])
    result.stdout.fnmatch_lines(["*test_two?trap? PASSED*", "*test_two?exit? PASSED*"])


def test_a_failed_test_shows_console_and_accesses(pytester: pytest.Pytester) -> None:
    test = """
def test_it(hyperport_machine):
    machine = hyperport_machine(guest="echo")
    machine.expect("ready")
    machine.send("abc")
    machine.expect("ABD", timeout=0.2)
"""
    result = run(pytester, test)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "*ExpectError: the console did not show 'ABD': 0.2 s are over; its last line: 'ABC'",
            "*- hyperport: machine -*",
            "engine unicorn, path exit: not at its end, at 0008:001*",
            "*- hyperport: console, last 20 lines -*",
            "echo: ready",
            "ABC",
            "*- hyperport: accesses, last 20 -*",
            "out 03f8 1 43",
        ]
    )


def test_a_hung_guest_fails_the_test_and_the_next_one_runs(pytester: pytest.Pytester) -> None:
    test = """
HANG = "int main(const char *line) { (void)line; for (;;) ; }"

def test_hangs(hyperport_machine):
    hyperport_machine(source=HANG).expect_exit()

def test_next():
    pass
"""
    result = run(pytester, test, "--hyperport-timeout=0.2")
    result.assert_outcomes(failed=1, passed=1)
    result.stdout.fnmatch_lines(["*stopped after 0.2 s, the time it was given, where GuestExit was expected*"])


def test_machines_are_closed_after_the_test(pytester: pytest.Pytester) -> None:
    test = """
kept = []

def test_it(hyperport_machine):
    kept.append(hyperport_machine(guest="echo"))

def test_next():
    assert kept[0].report()["machine"].endswith("closed")
"""
    run(pytester, test).assert_outcomes(passed=2)


KVM_TEST = """
@pytest.mark.hyperport(engine="kvm")
def test_it(hyperport_machine):
    hyperport_machine(guest="echo")
"""


@pytest.fixture
def without_kvm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(ENGINES, "kvm", raising=False)


@pytest.mark.usefixtures("without_kvm")
def test_where_kvm_is_missing_its_tests_are_skipped_with_a_reason(pytester: pytest.Pytester) -> None:
    result = run(pytester, KVM_TEST)
    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(["SKIPPED*this hyperport has no engine kvm"])


@pytest.mark.usefixtures("without_kvm")
def test_where_kvm_is_required_its_tests_fail(pytester: pytest.Pytester) -> None:
    result = run(pytester, KVM_TEST, "--require-kvm")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["--require-kvm: this hyperport has no engine kvm"])


def test_what_the_engine_says_of_the_host_is_the_reason(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "absent_engine.py").write_text(
        "from hyperport.engines.base import Check\n"
        "def check():\n    return [Check('module', True, 'there'), Check('/dev/kvm', False, 'no permission')]\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(ENGINES, "kvm", type(ENGINES["unicorn"])("kvm", "", "absent_engine", ("exit",)))
    result = run(pytester, KVM_TEST)
    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(["SKIPPED*/dev/kvm: no permission"])


def test_source_that_is_wrong_shows_what_the_compiler_said(pytester: pytest.Pytester) -> None:
    test = "def test_it(hyperport_machine):\n    hyperport_machine(source='int main(void) { return missing; }')\n"
    result = run(pytester, test)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*ImageError: guest program *.c: * failed: *missing* undeclared*"])


def test_without_a_compiler_the_test_is_skipped(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GUEST_CC", "no-such-compiler")
    result = run(pytester, "def test_it(hyperport_compile):\n    hyperport_compile('int x;')\n")
    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(["SKIPPED*no no-such-compiler: install gcc or name a compiler for i386 in GUEST_CC"])


def test_a_source_is_compiled_once(pytester: pytest.Pytester) -> None:
    test = """
SOURCE = "int main(const char *line) { return line[0]; }"

def test_it(hyperport_compile, tmp_path):
    first, again = hyperport_compile(SOURCE), hyperport_compile(SOURCE)
    assert first == again
    program = tmp_path / "program.c"
    program.write_text(SOURCE)
    assert hyperport_compile(program) == hyperport_compile([program]) != first
"""
    run(pytester, test).assert_outcomes(passed=1)


def test_a_machine_has_one_program(pytester: pytest.Pytester) -> None:
    test = "def test_it(hyperport_machine):\n    hyperport_machine(guest='echo', source='int x;')\n"
    result = run(pytester, test)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*ConfigError: a machine has one program: give guest, source or kernel"])


@pytest.mark.parametrize(
    ("test", "says"),
    [
        ("@pytest.mark.hyperport('kvm')\ndef test_it(hyperport_machine):\n    pass\n", "takes settings by name only"),
        ("@pytest.mark.hyperport_paths\ndef test_it():\n    pass\n", "needs the fixture hyperport_machine"),
    ],
)
def test_a_marker_that_makes_no_sense_is_told(pytester: pytest.Pytester, test: str, says: str) -> None:
    result = run(pytester, test)
    assert result.ret != 0
    result.stdout.fnmatch_lines([f"*{says}*"])


def as_a_user(directory: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """pytest in a process of its own, which finds hyperport as src does."""
    path = os.pathsep.join([str(directory), str(ROOT / "src"), *filter(None, sys.path)])
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments],
        cwd=directory,
        env={key: value for key, value in os.environ.items() if key not in ("PYTEST_PLUGINS", "PYTEST_ADDOPTS")}
        | {"PYTHONPATH": path, **environment},
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory in which pytest finds the entry point, as after an installation."""
    monkeypatch.delenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD")
    points = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]["pytest11"]
    folder = tmp_path / "hyperport_stand_in-1.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: hyperport-stand-in\nVersion: 1\n")
    rows = "".join(f"{name} = {module}\n" for name, module in points.items())
    (folder / "entry_points.txt").write_text(f"[pytest11]\n{rows}")
    return tmp_path


def test_who_does_not_use_it_does_not_load_hyperport(installed: Path) -> None:
    (installed / "test_it.py").write_text(
        "import sys\n"
        "def test_it():\n"
        "    assert 'pytest_hyperport' in sys.modules\n"
        "    assert not [name for name in sys.modules if name.partition('.')[0] in ('hyperport', 'unicorn')]\n"
    )
    done = as_a_user(installed)
    assert done.returncode == 0, done.stdout + done.stderr


def test_it_can_be_left_out(installed: Path) -> None:
    (installed / "test_it.py").write_text(
        "import sys\ndef test_it():\n    assert 'pytest_hyperport' not in sys.modules\n"
    )
    done = as_a_user(installed, "-p", "no:hyperport")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "--hyperport-engine" not in as_a_user(installed, "-p", "no:hyperport", "--help").stdout
    assert "--hyperport-engine" in as_a_user(installed, "--help").stdout


def test_the_example_of_the_documents_passes(installed: Path) -> None:
    done = as_a_user(installed, str(ROOT / "docs" / "examples" / "adc"), "--strict-markers")
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(ENGINES['unicorn'].paths) + 3} passed" in done.stdout


def test_the_example_with_device_memory_passes(installed: Path) -> None:
    done = as_a_user(installed, str(ROOT / "docs" / "examples" / "grabber"), "--strict-markers")
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(
        rf"{len(ENGINES['unicorn'].paths) + 2} passed, 1 skipped|{len(ENGINES['unicorn'].paths) + 3} passed",
        done.stdout,
    )


PLAYED = """
from hyperport.cli.main import main

class Ready:
    span = 8
    def __init__(self, value):
        self.value = value
    def read(self, offset, size):
        return self.value
    def write(self, offset, size, value):
        pass

@pytest.fixture(scope="module")
def trace(tmp_path_factory):
    file = tmp_path_factory.mktemp("t") / "t.hpt"
    assert main(["run", "demo", "--engine", "unicorn", "--trace", str(file)]) == 1
    return file

@pytest.mark.parametrize(("value", "base", "text"), [
    (0x60, 0x3F8, "port 3fd"), (0x61, 0x3F8, "port 3fd"), (0x60, 0x200, ""), (0x60, 0x3F8, "prot")])
def test_device(hyperport_play, trace, value, base, text):
    assert hyperport_play(trace, Ready(value), base, filter=text).reads > 100
"""


def test_a_trace_is_a_test_of_a_device(pytester: pytest.Pytester) -> None:
    result = run(pytester, PLAYED)
    result.assert_outcomes(passed=1, failed=3)
    result.stdout.fnmatch_lines(
        [
            "*reads differ:*",
            "access *: in 03fd gave 61, and 60 when it was recorded",
            "*no access in it is to this device at 0x200*",
            "*filter: column 1 of 'prot'*",
        ]
    )


COVERED = """
SOURCE = '''
#include "guest.h"

static __attribute__((noinline, noclone)) unsigned one(unsigned n) { __asm__ volatile(""); return n + 1; }
static __attribute__((noinline, noclone)) unsigned other(unsigned n) { __asm__ volatile(""); return n * 3; }

int main(const char *command_line)
{
    if (option_given(command_line, "one"))
        return one(0) - 1;
    return other(0);
}
'''

@pytest.mark.parametrize("append", ["one", "two", "one"])
def test_it(hyperport_machine, append):
    machine = hyperport_machine(source=SOURCE, append=append, engine="unicorn")
    machine.expect_exit(0)
    machine.close()

def test_a_flat_guest_is_left_out(hyperport_machine, tmp_path):
    (tmp_path / "halt.bin").write_bytes(bytes([0xF4]))
    hyperport_machine(kernel=tmp_path / "halt.bin", flat=(0x7C00, "real"), engine="unicorn").run()
"""


def test_coverage_of_guests_adds_up_over_tests(pytester: pytest.Pytester) -> None:
    result = run(pytester, COVERED, "--guest-cov=guest.info")
    result.assert_outcomes(passed=4)
    result.stdout.re_match_lines(r"guest\.info: \d+ of \d+ lines, \d+ of \d+ functions, 3 machines")
    result.stdout.fnmatch_lines("1 left out: guest coverage: the guest is no ELF file with symbols: *")
    text = (pytester.path / "guest.info").read_text()
    assert "FNDA:2,one\n" in text
    assert "FNDA:1,other\n" in text
    assert "FNDA:3,main\n" in text


def test_nothing_that_counts_is_said(pytester: pytest.Pytester) -> None:
    result = run(pytester, "def test_it():\n    pass\n", "--guest-cov=guest.info")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines("no machine has counted: nothing is written")
    result = run(pytester, COVERED, "--guest-cov=none/guest.info")
    result.stdout.fnmatch_lines("none/guest.info: No such file or directory; it is not written")
