# SPDX-License-Identifier: GPL-2.0-or-later
"""hyperport run: build a machine, run a guest in it, say how it ended."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

from hyperport.cli import collect_from_here
from hyperport.cli.options import STATUS_OF_GUEST, VERBS
from hyperport.errors import FetchError, HostError, UsageError
from hyperport.host.channel import Channel
from hyperport.host.notes import be_quiet, hint, note
from hyperport.host.specs import NetSpec, SerialSpec
from hyperport.host.streams import STDOUT, closed
from hyperport.machine.config import MachineConfig
from hyperport.machine.options import NO_BIOS, SEABIOS
from hyperport.outcome import (
    STATUS_IO,
    STATUS_OK,
    STATUS_SIGNAL,
    STATUS_TIMEOUT,
    EngineAbort,
    GuestExit,
    HaltedForever,
    Interrupted,
    Outcome,
    OutputLost,
    PowerOff,
    Quit,
    Reset,
    Timeout,
    TripleFault,
)
from hyperport.time.options import REAL
from hyperport.ui.console import StdioChannel, open_channel

if TYPE_CHECKING:
    from hyperport.host.char import CharBackend
    from hyperport.host.net import Link
    from hyperport.host.watchdog import Watchdog
    from hyperport.lines.attention import StopKind
    from hyperport.machine.machine import Machine
    from hyperport.observe.coverage import Coverage
    from hyperport.observe.filter_program import FilterProgram
    from hyperport.observe.symbols import Symbols
    from hyperport.observe.trace import PortTrace, Trace

    class Watcher(Protocol):
        """Watches a machine while it is entered; ended() is told how the run ended."""

        def __enter__(self) -> Watcher: ...
        def __exit__(self, *exception: object) -> None: ...
        def ended(self, outcome: Outcome) -> None:
            """The run is over."""

    Watch = Callable[[Machine, Symbols | None, FilterProgram | None], Watcher]

DESTINATIONS: Final = {  # option -> its name
    "stats": "statistics",
    "screenshot": "screenshot",
    "screen_text": "screen text",
    "save": "saved machine",
    "guest_cov": "guest coverage",
}
STARTS: Final = {  # what becomes of an image, by its role
    "kernel": "started directly",
    "floppy": "firmware starts it from drive A",
    "disk": "firmware starts it as the first hard disk",
    "cdrom": "firmware starts it from the CD-ROM drive",
}
HELD: Final = (Timeout, Interrupted, Quit)  # ends from outside: the guest could go on
ORDINARY: Final = (GuestExit, PowerOff, Quit, Reset)  # ends that the guest or the user chose
USED_BY: Final = {  # an option that says what others mean -> those others
    "filter": ("trace", "trace_ports"),
    "symbols": ("filter", "guest_cov"),
}
ANY_OTHER: Final = 1  # the exit status of a guest whose value is a multiple of 256, and not 0


def run(guest: str | None = None, *, watch: Watch | None = None, **given: Any) -> int:
    """Run a guest. given: the options that were given, by word; returns the exit status.

    watch: given the machine, its symbols and the filter before the run, it returns what watches, see Watcher.
    """
    from hyperport.host.watchdog import Watchdog

    with Watchdog() as dog:
        if given.get("timeout") is not None:  # a file that is loaded may be a FIFO that nobody writes to
            dog.expect_end(STATUS_TIMEOUT, given["timeout"], may_work=True)
        config_file = given.pop("config", None)
        if config_file is None:
            wanted = settings({"guest": guest, **given}, {})
        else:
            from hyperport.cli.machine_file import load_machine_file

            wanted = settings({"guest": guest, **given}, load_machine_file(config_file))
        for what, called in DESTINATIONS.items():
            if what in wanted:
                from hyperport.host.files import check_destination

                check_destination(wanted[what], called)
        return execute(wanted, dog, watch)


def settings(given: dict[str, Any], from_file: dict[str, Any]) -> dict[str, Any]:
    """What the user wants: the command line over the machine file over the known guest's own.

    Keys are the words of the options, only those that somebody set. Raises UsageError if there is nothing to run.
    """
    chosen = from_file | {key: value for key, value in given.items() if value is not None}
    for row in VERBS["run"].rows():
        if row.adds_up and row.word in chosen:
            chosen[row.word] = (*from_file.get(row.word, ()), *given.get(row.word, ()))
    if given.get("kernel"):  # another kernel than the file's guest
        chosen["guest"] = given.get("guest")
    name, has_kernel = chosen.pop("guest", None), "kernel" in chosen
    if "restore" in chosen:
        if name is not None or has_kernel:
            raise UsageError("--restore brings its guest with it: leave out the guest's name and --kernel")
        return chosen
    if name is not None and given.get("guest") and given.get("kernel"):
        raise UsageError(f"guest {name} and --kernel: give one of the two")
    if name is None and not has_kernel and "image" not in chosen:
        if not any(chosen.get(drive) for drive in ("disks", "floppies", "cdroms", "bios")):
            raise UsageError("nothing to run: name a guest (hyperport list guests), an image, or give --kernel FILE")
        return {"bios": SEABIOS} | chosen
    if name is None:
        return chosen
    from hyperport.guests.registry import GUESTS, locate

    if name not in GUESTS and is_file_name(name):
        return chosen | {"image": name}
    known = locate(name)
    if known.need is not None and not chosen.get(known.need.word):
        note(known.need.line(name))
    own = known.settings()
    if chosen.get("display") == "term" and known.screen:
        own["append"] = f"{known.append} {known.screen}".strip()
    return own | chosen


def is_file_name(word: str) -> bool:
    """Whether a word that names no guest is meant as a file: it is there, or has what no guest's name has."""
    return Path(word.partition(",")[0]).exists() or any(mark in word for mark in "/.:")


def prepare_firmware(wanted: dict[str, Any], of_run: dict[str, Any], lines: dict[str, tuple[SerialSpec, ...]]) -> None:
    """Say what an image is, and see to it that the firmware which it needs is there, and heard without a screen."""
    from hyperport.boot.image import recognise
    from hyperport.guests import firmware

    image = wanted.get("image")
    if image is not None and wanted.get("flat") is None:
        role, what = recognise(str(image).partition(",")[0])
        hint(f"{image}: {what}; {STARTS[role]}")
        if role == "kernel":
            return
        wanted.setdefault("bios", SEABIOS)
    if wanted.get("bios") in (None, NO_BIOS):
        return
    if of_run["display"] != "term" and lines["serial"][0] == SerialSpec("stdio"):
        wanted.setdefault("screen_on_serial", True)
    try:
        firmware.find()
    except FetchError:
        from hyperport.guests import registry

        note("SeaBIOS is not on this host; fetching it once, from Debian's package seabios (LGPLv3)")
        registry.fetch(firmware.NAME, hint)


def execute(wanted: dict[str, Any], dog: Watchdog, watch: Watch | None = None) -> int:
    """Build the machine, run it, report; returns the exit status of the outcome."""
    of_run = {row.word: wanted.pop(row.word, row.default) for row in VERBS["run"].rows() if not row.of_machine}
    be_quiet(of_run["quiet"])
    if watch is None:
        _tell_unused(of_run)
    lines = _lines(of_run)
    if of_run["display"] == "term":
        _require_screen([spec for specs in lines.values() for spec in specs])
    if of_run["restore"] is None:
        prepare_firmware(wanted, of_run, lines)
    if STDOUT in closed and any(SerialSpec("stdio") in specs for specs in lines.values()):
        note("stdout is closed: what the guest sends there is lost")
    with ExitStack() as stack:
        if of_run["timeout"] is not None:
            dog.expect_end(STATUS_TIMEOUT, of_run["timeout"], may_work=True)
        session = Session(of_run, dog, stack)
        session.build(wanted, lines)
        session.observe(watch)
        session.start()
        return session.report(session.run())


def _lines(of_run: dict[str, Any]) -> dict[str, tuple[SerialSpec, ...]]:
    """Where the serial lines, the debug console and the printer lead. With the screen in the terminal, COM1 is null."""
    return {
        "serial": of_run["serial"] or (SerialSpec("null" if of_run["display"] == "term" else "stdio"),),
        "debugcon": (of_run["debugcon"] or SerialSpec("null"),),
        "parallel": () if of_run["parallel"] is None else (of_run["parallel"],),
    }


class Session:
    """One run by the command: a machine with its ends at the host, and what watches it.

    Its methods are called once each, in their order. What they open is closed by the stack, the last one first.
    """

    def __init__(self, of_run: dict[str, Any], dog: Watchdog, stack: ExitStack) -> None:
        self.of_run, self.dog, self.stack = of_run, dog, stack
        self.channels: list[Channel] = []

    def build(self, wanted: dict[str, Any], lines: dict[str, tuple[SerialSpec, ...]]) -> None:
        """Open the ends at the host, and make the machine, or restore it, with them."""
        from hyperport.machine.machine import Machine

        backends: dict[str, list[CharBackend]] = {}
        for line, specs in lines.items():
            for spec in specs:
                alone = not any(isinstance(channel, StdioChannel) for channel in self.channels)
                channel = open_channel(spec, escape_key=self.of_run["echr"], takes_input=alone)
                self.channels.append(self.stack.enter_context(channel))
                backends.setdefault(line, []).append(channel.backend)
        (debugcon,) = backends["debugcon"]
        printer = next(iter(backends.get("parallel", ())), None)
        file = self.of_run["restore"]
        saved = SavedMachine(file)
        self.links = [self.stack.enter_context(_open_link(spec)) for spec in wanted.get("net", saved.net)]
        ends: dict[str, Any] = {
            "debugcon": debugcon,
            "parallel": printer,
            "cables": [link.backend for link in self.links],
        }
        if file is None:
            self.machine = Machine(MachineConfig(**wanted), serial=backends["serial"], **ends)
        else:
            ends["serial"] = _as_many(backends["serial"], saved.lines)
            self.machine = Machine.restore(file, **ends, **wanted)
        self.stack.enter_context(self.machine)

    def observe(self, watch: Watch | None) -> None:
        """Begin what watches the machine: traces, coverage, and what watch makes."""
        self.traces = list(_traces(self.machine, self.of_run))
        for trace in self.traces:
            self.stack.callback(trace.close)
        self.coverage = _coverage(self.machine, self.of_run)
        self.watcher: Watcher | None = None
        if watch is not None:
            self.watcher = self.stack.enter_context(watch(self.machine, *_meant(self.machine, self.of_run)))

    def stop(self, kind: StopKind, value: int = 0) -> None:
        """On any thread: ask for the end, and see that it comes."""
        from hyperport.lines.attention import StopKind

        if kind is not StopKind.PAUSE:
            self.dog.expect_end(STATUS_SIGNAL + value if kind is StopKind.SIGNAL else STATUS_OK)
        self.machine.request_stop(kind, value)

    def start(self) -> None:
        """Let the ends at the host take and give, and signals be heard."""
        from hyperport.host.signals import HostSignals
        from hyperport.lines.attention import StopKind

        machine, stack = self.machine, self.stack
        if self.of_run["display"] == "term":
            from hyperport.ui.screen import ScreenChannel

            screen = ScreenChannel(machine.display, machine.keys, self.of_run["echr"])
            self.channels.append(stack.enter_context(screen))
        for channel in reversed(self.channels):
            stack.callback(channel.stop)
            channel.start(machine.events, self.stop)
        for link in self.links:
            stack.callback(link.stop)
            link.start(machine.events)
        self.console = next((one for one in self.channels if isinstance(one, StdioChannel) and one.takes_input), None)
        terminal = self.console.terminal if self.console else None
        self.signals = stack.enter_context(HostSignals(lambda signum: self.stop(StopKind.SIGNAL, signum), terminal))
        self.dog.last_words = [
            *([terminal.leave] if terminal else []),
            *(channel.backend.drain for channel in self.channels),
            *(trace.flush for trace in self.traces),
            *(link.recorder.flush for link in self.links if link.recorder),
        ]

    def run(self) -> Outcome:
        """Run the guest to its end, and give the terminal back before anything is said of it."""
        timeout: float | None = self.of_run["timeout"]
        _tell_engine(self.machine, always=self.of_run["verbose"])
        _tell_subarch(self.machine)
        self.dog.forget()
        collect_from_here()
        if timeout is not None:
            self.dog.expect_end(STATUS_TIMEOUT, timeout)
        monitor = _monitor(self.console, lambda: bool(self.signals.received))
        outcome = self.machine.run(timeout=timeout, monitor=monitor)
        self.dog.forget()
        if self.watcher is not None:
            self.watcher.ended(outcome)
        if isinstance(outcome, HELD):
            self.dog.expect_end(outcome.status, may_work=True)
        for channel in self.channels:
            channel.stop()
        return outcome

    def report(self, outcome: Outcome) -> int:
        """Say how the run ended and what was lost, and write what is written after a run; returns the exit status."""
        status = exit_status(outcome, self.of_run["exit_status"])
        explain(outcome, status)
        for line in self.machine.drives.trouble():
            note(line)
        lost = [line for channel in self.channels if (line := _loss(channel, outcome))]
        for name, write in _reports(self.machine, outcome, self.of_run, self.coverage):
            try:
                write()
            except HostError as error:
                lost.append(str(error))
            except OSError as error:
                lost.append(f"{name}: {error.strerror or error}; it is not written")
        for line in lost:
            note(line)
        for trace in self.traces:
            trace.close()
            lost += [trace.failure] if trace.failure else []
        for link in self.links:
            link.stop()
            lost += [link.spec.kind] if link.incomplete else []
        return STATUS_IO if lost else status


class SavedMachine:
    """What has to be known of --restore's file before its machine is built. net: its cards; lines: its serial lines."""

    def __init__(self, path: Path | None) -> None:
        self.net: tuple[NetSpec, ...] = ()
        self.lines = 0
        if path is None:
            return
        from hyperport.machine.state import saved_ends
        from hyperport.machine.state_file import StateFile

        file = StateFile(path)
        try:
            self.net, self.lines, _ = saved_ends(file.record)
        finally:
            file.close()


def _as_many(backends: list[CharBackend], lines: int) -> list[CharBackend]:
    """Ends for so many serial lines: those that nobody asked for lead nowhere."""
    from hyperport.host.char import CharBackend

    return [*backends, *(CharBackend() for _ in range(lines - len(backends)))]


def _loss(channel: Channel, outcome: Outcome) -> str:
    """What the host did not take of a line's output and the outcome does not tell of; "" if nothing."""
    backend = channel.backend
    failure, lost = getattr(backend, "failure", None), getattr(backend, "lost", 0)
    if failure is not None:
        return "" if isinstance(outcome, OutputLost) and outcome.reason == str(failure) else str(failure)
    if lost and not getattr(backend, "reconnects", False):
        hint(f"{getattr(backend, 'where', '')}: its reader was stuck: {lost} bytes of output are lost")
    elif lost:
        hint(f"{getattr(backend, 'where', '')}: nobody was there: {lost} bytes of output are lost")
    return ""


def _reports(
    machine: Machine, outcome: Outcome, of_run: dict[str, Any], coverage: Coverage | None
) -> Iterator[tuple[str, Callable[[], object]]]:
    """What is written after a run: the name of each, and what writes it."""
    from hyperport.host.files import write_whole
    from hyperport.observe.stats import write_statistics

    if of_run["stats"] is not None:
        yield f"statistics: {of_run['stats']}", lambda: write_statistics(of_run["stats"], machine.stats(outcome))
    if coverage is not None:
        text = coverage.report().text()
        yield f"guest coverage: {of_run['guest_cov']}", lambda: write_whole(of_run["guest_cov"], text.encode())
    if of_run["save"] is not None and isinstance(outcome, HELD):
        yield (
            f"saved machine: {of_run['save']}",
            lambda: hint(f"saved: {of_run['save']}, {machine.save(of_run['save'])} bytes"),
        )
    elif of_run["save"] is not None:
        note(f"not saved: the guest has ended by itself, so {of_run['save']} is not written")
    if of_run["screenshot"] is not None:
        yield f"screenshot: {of_run['screenshot']}", lambda: write_whole(of_run["screenshot"], machine.display.png())
    if of_run["screen_text"] is not None:
        lines = machine.display.text()
        if not lines:
            note(f"the screen is in a graphics mode and has no text: {of_run['screen_text']} is empty")
        screen = "".join(f"{line}\n" for line in lines).encode()
        yield f"screen text: {of_run['screen_text']}", lambda: write_whole(of_run["screen_text"], screen)
    if of_run["report"]:
        from hyperport.observe.report import port_table

        yield "report", lambda: print(port_table(machine.bus.counts()), end="", file=sys.stderr, flush=True)


def _open_link(spec: NetSpec) -> Link:
    from hyperport.host.net import open_link

    return open_link(spec)


def _tell_engine(machine: Machine, *, always: bool) -> None:
    """Say which engine `auto` took and why, if it is not the one that it looks for first."""
    from hyperport.engines import PREFERRED, automatic

    if machine.config.engine != "auto":
        if always:
            hint(f"engine {machine.engine.name}: asked for")
    elif always or machine.engine.name != PREFERRED:
        _, reason = automatic(machine.config.io, machine.config.abi, machine.config.clock != REAL)
        hint(f"engine {machine.engine.name}: {reason}")


def _tell_subarch(machine: Machine) -> None:
    """Say so where Linux is told that it runs under something that its kernel may not have been built for.

    An older kernel with CONFIG_PARAVIRT and without that subarch ends in UD2 before it has an IDT (Linux 2.6.24,
    head_32.S; 6.1 goes on), and nothing in its file tells which it is.
    """
    from hyperport.boot.layout import HEAD
    from hyperport.boot.loader import detect
    from hyperport.machine.build import offered_by

    kernel, calls = machine.config.kernel, [one for one in offered_by(machine.config) if one.subarch]
    if not calls or kernel is None or machine.config.flat is not None:
        return
    with kernel.open("rb") as file:
        if detect(file.read(HEAD)) != "linux":
            return
    hint(
        f"--abi {calls[0].name} tells Linux hardware_subarch {calls[0].subarch}: an older paravirt kernel without it "
        f"ends at once in a triple fault; leave {calls[0].name} out then"
    )


def exit_status(outcome: Outcome, whose: str) -> int:
    """The process's exit status. whose "guest": a guest that exited gives its own value, 0 only for 0."""
    if whose == STATUS_OF_GUEST and isinstance(outcome, GuestExit):
        return outcome.value & 0xFF or (ANY_OTHER if outcome.value else 0)
    return outcome.status


def explain(outcome: Outcome, status: int) -> None:
    """Say on stderr how the run ended; for a vCPU that died, with its registers."""
    tell = hint if isinstance(outcome, ORDINARY) else note
    tell(f"{outcome} (status {status})" if status else str(outcome))
    if isinstance(outcome, TripleFault | HaltedForever | EngineAbort) and outcome.state is not None:
        tell(outcome.state.describe())


def _tell_unused(of_run: dict[str, Any]) -> None:
    """Name options that nothing looks at, so that nobody takes a mistake in them for right."""
    for word, users in USED_BY.items():
        if of_run[word] and all(of_run[user] is None for user in users):
            names = " or ".join(f"--{user.replace('_', '-')}" for user in users)
            note(f"--{word} is not looked at without {names}")


def _require_screen(lines: Iterable[SerialSpec]) -> None:
    """Raise UsageError if this process has no terminal for a screen, or a serial line wants it too."""
    from hyperport.ui.screen import require_terminal

    if SerialSpec("stdio") in lines:
        raise UsageError("display term: a serial line on stdio wants the terminal too; use --serial pty or unix:PATH")
    require_terminal()


def _traces(machine: Machine, of_run: dict[str, Any]) -> Iterator[Trace | PortTrace]:
    """The traces that are asked for, begun. Raises ConfigError for a file that cannot be written, or a bad filter."""
    if of_run["trace"] is None and of_run["trace_ports"] is None:
        return
    from hyperport.observe.trace import PortTrace, Trace

    program = _meant(machine, of_run)[1] if of_run["filter"] else None
    if of_run["trace"] is not None:
        yield Trace(machine, of_run["trace"], program)
    if of_run["trace_ports"] is not None:
        yield PortTrace(machine.bus, of_run["trace_ports"], program)


def _coverage(machine: Machine, of_run: dict[str, Any]) -> Coverage | None:
    """What --guest-cov asks for, begun. Raises EngineError on an engine that cannot, ConfigError without symbols."""
    if of_run["guest_cov"] is None:
        return None
    from hyperport.observe.coverage import Coverage

    return Coverage(machine, of_run["symbols"])


def _meant(machine: Machine, of_run: dict[str, Any]) -> tuple[Symbols | None, FilterProgram | None]:
    """The guest's symbols, and the accesses that --filter means."""
    from hyperport.observe.filter import compile_filter
    from hyperport.observe.symbols import load_symbols

    symbols = load_symbols(of_run["symbols"], machine.config.kernel)
    if not of_run["filter"]:
        return symbols, None
    functions = symbols.functions if symbols else None
    return symbols, compile_filter(of_run["filter"], machine.bus.map(), functions, machine.bus.memory_map())


def _monitor(console: StdioChannel | None, give_up: Any) -> Any:
    if console is None or console.terminal is None:
        return None
    from hyperport.debug.monitor import Monitor

    return Monitor(console, give_up)
