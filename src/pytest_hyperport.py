# SPDX-License-Identifier: GPL-2.0-or-later
"""The pytest plugin: machines, guest programs and paths as fixtures. See docs/testing.md.

pytest loads this file for everybody who has hyperport installed, so it imports hyperport only when a test asks for
one of its fixtures. `-p no:hyperport` leaves it out.

    @pytest.mark.hyperport_paths
    def test_driver(hyperport_machine):
        machine = hyperport_machine(source=Path("driver.c"))
        machine.expect("ready")
        machine.expect_exit(0)
"""

from __future__ import annotations

import argparse
import hashlib
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

import pytest

if TYPE_CHECKING:
    from hyperport.observe.coverage import Coverage, Lcov
    from hyperport.observe.trace_play import Played
    from hyperport.testing import GuestMachine

ALL_SETTINGS: Final = "hyperport"
ALL_PATHS: Final = "hyperport_paths"
SHOWN_MISMATCHES: Final = 10
OPTIONAL_ENGINE: Final = "kvm"  # the one that a host may lack
FROM_COMMAND_LINE: Final = {  # options of `hyperport run` that stand here as well: (metavar, help)
    "engine": ("NAME", "engine of machines whose test names none"),
    "io": ("PATH", "path of port accesses of machines whose test names none"),
    "timeout": ("SECONDS", "limit of each run() and expect() whose test gives none (default: 30)"),
}

Source = str | Path | Sequence[Path | str]
Compile = Callable[..., Path]

made_key: Final = pytest.StashKey[list["GuestMachine"]]()
coverage_key: Final = pytest.StashKey["GuestCoverage"]()


class MachineFactory(Protocol):
    """What the fixture hyperport_machine is: call it for a machine, which is closed when the test is over."""

    def __call__(
        self,
        *,
        guest: str | None = None,
        source: Source | None = None,
        include: Sequence[Path | str] = (),
        **settings: Any,
    ) -> GuestMachine:
        """A machine that runs a built-in guest by name, or a program from source, or what settings say.

        source, include: see hyperport_compile. settings: the fields of MachineConfig (kernel, append, memory, engine,
        io, ...), and timeout, record, clock and debugcon of GuestMachine.
        """


class GuestCoverage:
    """What --guest-cov sums up over all tests: see docs/testing.md."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.machines = 0
        self.left_out: list[str] = []  # why machines are not in it
        self.sum: Lcov | None = None

    def begin(self, machine: GuestMachine) -> Coverage | None:
        """Let a machine count; one whose engine cannot, or whose guest has no symbols, is left out, and told of."""
        from hyperport.errors import ConfigError, EngineError
        from hyperport.observe.coverage import Coverage

        try:
            return Coverage(machine)
        except (ConfigError, EngineError) as error:
            self.left_out.append(str(error))
            return None

    def end(self, coverage: Coverage) -> None:
        """Take what a machine has counted."""
        from hyperport.observe.coverage import Lcov

        if self.sum is None:
            self.sum = Lcov()
        self.machines += 1
        self.sum.add(coverage.report())

    def told(self) -> list[str]:
        """Write the file; returns lines for the terminal."""
        lines = [f"{len(self.left_out)} left out: {why}" for why in self.left_out[:1]]
        if self.sum is None:
            return ["no machine has counted: nothing is written", *lines]
        try:
            Path(self.file).write_text(self.sum.text(), encoding="utf-8")
        except OSError as error:
            return [f"{self.file}: {error.strerror or error}; it is not written", *lines]
        return [f"{self.file}: {self.sum.summary()}, {self.machines} machines", *lines]


def pytest_addoption(parser: pytest.Parser) -> None:
    """The command line."""
    group = parser.getgroup("hyperport", "virtual machines of hyperport")
    for word, (metavar, text) in FROM_COMMAND_LINE.items():
        group.addoption(f"--hyperport-{word}", type=_value_of(word), metavar=metavar, help=text)
    group.addoption(
        "--guest-cov", metavar="FILE", help="count what code the guests of all tests execute, into FILE for lcov"
    )
    group.addoption("--require-kvm", action="store_true", help="fail the tests that are skipped where KVM is missing")


def _value_of(word: str) -> Callable[[str], Any]:
    """How the option of that word is read, by its own row; hyperport is imported only when it is given."""

    def read(text: str) -> Any:
        from hyperport.cli.options import VERBS
        from hyperport.errors import UsageError

        row = next(row for row in VERBS["run"].rows() if row.word == word)
        try:
            return row.from_words(text)
        except UsageError as error:
            raise argparse.ArgumentTypeError(str(error)) from error

    return read


def pytest_configure(config: pytest.Config) -> None:
    """The markers."""
    config.addinivalue_line(
        "markers", f"{ALL_SETTINGS}(engine=, io=, memory=, timeout=, ...): settings of this test's machines"
    )
    config.addinivalue_line(
        "markers", f"{ALL_PATHS}(*paths): run this test once on each of these paths, by default on all of its engine"
    )


def pytest_sessionstart(session: pytest.Session) -> None:
    """Begin a sum of what guests execute, where it is asked for."""
    file = session.config.getoption("guest_cov")
    if file is not None:
        session.config.stash[coverage_key] = GuestCoverage(file)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Write that sum."""
    coverage = config.stash.get(coverage_key, None)
    if coverage is not None:
        terminalreporter.section("guest coverage")
        for line in coverage.told():
            terminalreporter.line(line)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One test for each path, where the marker asks for it."""
    marker = metafunc.definition.get_closest_marker(ALL_PATHS)
    if marker is None:
        return
    if "hyperport_io" not in metafunc.fixturenames:
        raise pytest.UsageError(f"{metafunc.definition.nodeid}: {ALL_PATHS} needs the fixture hyperport_machine")
    paths = marker.args or _engine_paths(str(_settings(metafunc.definition).get("engine", "auto")))
    metafunc.parametrize("hyperport_io", paths, indirect=True)


def _engine_paths(name: str) -> tuple[str, ...]:
    from hyperport.engines import ENGINES, resolve

    if name == OPTIONAL_ENGINE and name not in ENGINES:
        return ("exit",)  # it will be skipped
    return resolve(name).paths


def _settings(item: pytest.Item) -> dict[str, Any]:
    """What command line and markers say; the marker closest to the test wins."""
    options = {word: item.config.getoption(f"hyperport_{word}") for word in FROM_COMMAND_LINE}
    settings = {name: value for name, value in options.items() if value is not None}
    for marker in reversed(list(item.iter_markers(ALL_SETTINGS))):
        if marker.args:
            raise pytest.UsageError(
                f"{item.nodeid}: {ALL_SETTINGS} takes settings by name only, as in engine='unicorn'"
            )
        settings |= marker.kwargs
    return settings


@pytest.fixture
def hyperport_io(request: pytest.FixtureRequest) -> str | None:
    """The path that hyperport_paths has given to this test, or None."""
    path: str | None = getattr(request, "param", None)
    return path


@pytest.fixture(scope="session")
def hyperport_compile(tmp_path_factory: pytest.TempPathFactory) -> Compile:
    """Compiles a guest program and links it with the SDK: (source, include=()) -> Path of the ELF file.

    source: C as a str, a file as a Path, or a list of files (.c, .S). Skips the test where there is no compiler; what
    is wrong with the source is an error. The same source is compiled once a session.
    """
    from hyperport.guests.toolchain import compiler, link_program

    folder = tmp_path_factory.mktemp("hyperport")

    def compile_program(source: Source, include: Sequence[Path | str] = ()) -> Path:
        __tracebackhide__ = True
        if shutil.which(compiler()) is None:
            pytest.skip(f"no {compiler()}: install gcc or name a compiler for i386 in GUEST_CC")
        if isinstance(source, str):
            name = hashlib.sha256(source.encode()).hexdigest()[:16]
            text = folder / f"{name}.c"
            text.write_text(source)
            files = [text]
        else:
            files = [source] if isinstance(source, Path) else [Path(path) for path in source]
            stamps = "".join(f"{path.resolve()} {path.stat().st_mtime_ns} " for path in files)
            name = hashlib.sha256(f"{stamps}{include}".encode()).hexdigest()[:16]
        program = folder / f"{name}.elf"
        return program if program.exists() else link_program(files, program, include=include)

    return compile_program


@pytest.fixture
def hyperport_machine(request: pytest.FixtureRequest, hyperport_io: str | None) -> Iterator[MachineFactory]:
    """Makes machines for one test, and closes them afterwards: see MachineFactory."""
    item: pytest.Item = request.node
    made = item.stash[made_key] = []
    session_sum = item.config.stash.get(coverage_key, None)
    counted: list[Coverage] = []
    defaults = _settings(item) | ({} if hyperport_io is None else {"io": hyperport_io})

    def make(
        *, guest: str | None = None, source: Source | None = None, include: Sequence[Path | str] = (), **settings: Any
    ) -> GuestMachine:
        __tracebackhide__ = True
        from hyperport.errors import ConfigError
        from hyperport.guests.registry import locate
        from hyperport.testing import GuestMachine

        settings = defaults | settings
        if sum(given is not None for given in (guest, source, settings.get("kernel"))) > 1:
            raise ConfigError("a machine has one program: give guest, source or kernel")
        _need_engine(item.config, settings.get("engine", "auto"))
        if guest is not None:
            found = locate(guest)
            told = {"kernel": found.kernel, "initrd": found.initrd, "append": found.append, "memory": found.memory}
            settings = told | settings
        elif source is not None:
            settings["kernel"] = request.getfixturevalue("hyperport_compile")(source, include)
        machine = GuestMachine(**settings)
        made.append(machine)
        coverage = None if session_sum is None else session_sum.begin(machine)
        if coverage is not None:
            counted.append(coverage)
        return machine

    yield make
    for machine in made:
        machine.close()
    if session_sum is not None:
        for coverage in counted:
            session_sum.end(coverage)


class Play(Protocol):
    """What the fixture hyperport_play is: call it to give a recorded conversation to a device, without a CPU."""

    def __call__(
        self,
        trace: Path | str,
        device: Any,
        base: int | None = None,
        *,
        memory: int | None = None,
        filter: str = "",  # noqa: A002
    ) -> Played:
        """Make the accesses of trace to device again, whose ports are at base and whose memory is at address memory.

        Fails the test if a read gives something else than it was recorded with; what the device raises comes out.
        filter: only the accesses that it means (docs/trace.md). Returns how many were made.
        """


@pytest.fixture(scope="session")
def hyperport_play() -> Play:
    """Plays a trace (`hyperport run --trace`) on a device, plain Python or compiled: see Play."""
    from hyperport.observe.filter import compile_filter
    from hyperport.observe.trace_file import TraceFile
    from hyperport.observe.trace_play import play_device

    def play(
        trace: Path | str,
        device: Any,
        base: int | None = None,
        *,
        memory: int | None = None,
        filter: str = "",  # noqa: A002
    ) -> Played:
        __tracebackhide__ = True
        with TraceFile(trace) as recorded:
            program = compile_filter(filter, recorded.windows, memory=recorded.memory)
            wanted = (access for access in recorded.accesses() if program.takes(access))
            wall_ns = int(recorded.description.get("wall_ns", 0))
            result = play_device(wanted, device, base, memory=memory, wall_ns=wall_ns)
        if recorded.trouble:
            pytest.fail(f"trace {trace}: {recorded.trouble[0]}", pytrace=False)
        if not result.accesses:
            place = ", memory ".join(f"{each:#x}" for each in (base, memory) if each is not None)
            pytest.fail(f"trace {trace}: no access in it is to this device at {place}", pytrace=False)
        if result.different:
            shown = "\n".join(str(each) for each in result.mismatches[:SHOWN_MISMATCHES])
            pytest.fail(f"{result.different} of {result.reads} reads differ:\n{shown}", pytrace=False)
        return result

    return play


def _need_engine(config: pytest.Config, name: str) -> None:
    """Skip the test if the engine is one that this host may lack, and does; fail it under --require-kvm."""
    if name != OPTIONAL_ENGINE:
        return
    from hyperport.engines import ENGINES

    if name not in ENGINES:
        reason = f"this hyperport has no engine {name}"
    else:
        reason = "; ".join(f"{check.name}: {check.detail}" for check in ENGINES[name].check() if not check.ok)
    if reason and config.getoption("require_kvm"):
        pytest.fail(f"--require-kvm: {reason}", pytrace=False)
    if reason:
        pytest.skip(reason)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Any:
    """A failed test shows what its machines were at."""
    report = yield
    if report.failed and report.when == "call":
        machines = item.stash.get(made_key, [])
        for number, machine in enumerate(machines, 1):
            which = f" {number}" if len(machines) > 1 else ""
            report.sections += [(f"hyperport{which}: {title}", text) for title, text in machine.report().items()]
    return report
