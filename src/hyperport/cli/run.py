# SPDX-License-Identifier: GPL-2.0-or-later
"""hyperport run: build a machine, run a guest in it, say how it ended."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO

from cyclopts import Parameter

from hyperport import config
from hyperport.config import MachineConfig, SerialSpec
from hyperport.errors import ConfigError, UsageError
from hyperport.outcome import EngineAbort, HaltedForever, Outcome, TripleFault
from hyperport.ui.console import Channel, StdioChannel, note, open_channel

if TYPE_CHECKING:
    from hyperport.host.char import CharBackend
    from hyperport.machine.machine import Machine

ONCE = Parameter(negative="")
MANY = Parameter(negative="", show_default=False)


def run(
    guest: str | None = None,
    /,
    *,
    kernel: Annotated[Path | None, Parameter(alias="-k")] = None,
    initrd: Annotated[Path | None, Parameter(alias="-i")] = None,
    append: Annotated[str | None, Parameter(allow_leading_hyphen=True)] = None,
    module: Annotated[tuple[str, ...], MANY] = (),
    flat: str | None = None,
    mem: Annotated[str | None, Parameter(alias="-m")] = None,
    engine: str | None = None,
    io: str | None = None,
    abi: str | None = None,
    vmi_calls: str | None = None,
    kvm_irqchip: str | None = None,
    kvm_coalesce: str | None = None,
    serial: Annotated[tuple[str, ...], MANY] = (),
    debugcon: str | None = None,
    parallel: str | None = None,
    display: str | None = None,
    disk: Annotated[tuple[str, ...], MANY] = (),
    cdrom: Annotated[tuple[Path, ...], MANY] = (),
    device: Annotated[tuple[str, ...], MANY] = (),
    net: Annotated[tuple[str, ...], MANY] = (),
    timeout: float | None = None,
    echr: str | None = None,
    stats: Path | None = None,
    screenshot: Path | None = None,
    report: Annotated[bool, ONCE] = False,
    trace_ports: Annotated[str | None, Parameter(allow_leading_hyphen=True)] = None,
    config_file: Annotated[Path | None, Parameter(name="--config")] = None,
) -> int:
    """Run a guest: one that is known by name, or a kernel or program in a file.

    The guest's first serial line is the console. The exit status tells how the run ended: odd if the guest chose it,
    0 for a reset, a power-off or Ctrl-a x, 80 for a triple fault, 82 for a panic, 84 if it halted for ever, 124 for a
    timeout.

    Parameters
    ----------
    guest
        A known guest, see `hyperport list guests`.
    kernel
        A Linux bzImage or zImage, a multiboot kernel, or with --flat a raw image.
    initrd
        Initial RAM disk for a Linux kernel.
    append
        The kernel's command line.
    module
        A multiboot module: FILE or FILE,ARGUMENTS. May be repeated.
    flat
        ADDR,MODE: load the kernel as it is at ADDR and enter it there, MODE real or protected.
    mem
        RAM, in MiB or with K, M or G; 128 by default.
    engine
        What runs guest code, see `hyperport list engines`; auto by default.
    io
        The path that port accesses take: exit (the default), trap or hypercall.
    abi
        With --io hypercall: the conventions offered, of vmi, kvm and lguest, as vmi,kvm; vmi by default.
    vmi_calls
        Restrict the VMI ROM to these calls: names, numbers or ranges, as INB,OUTB,58-60.
    kvm_irqchip
        on: the kernel's interrupt controllers and timer instead of ours (engine kvm only); off by default.
    kvm_coalesce
        on: the kernel queues writes to ports that may be written late (engine kvm only); off by default.
    serial
        Where the console goes: stdio (the default), pty, null, file:PATH or unix:PATH. Given again: COM2 to COM4.
    debugcon
        Where port 0xe9 and the firmware log at 0x402 go, as for --serial; null by default.
    parallel
        Where a parallel port's bytes go, as for --serial; without it there is no parallel port.
    display
        Where the VGA's screen is shown: none (the default), or term for this terminal, which is then its keyboard too.
    disk
        A hard disk: FILE[,ro][,overlay=FILE][,snapshot], a raw image. Up to four drives; hda comes first.
    cdrom
        A CD-ROM image; hdc, if that is free.
    device
        A device in Python: FILE.py:Class,base=0x300[,irq=5][,key=value]. May be repeated.
    net
        A network card: user, none, tap=INTERFACE, socket=PATH or listen=PATH, then ,mac= ,io= ,irq= ,pcap=FILE
        ,paced=no; for user also ,tcp=PORT:PORT ,udp=PORT:PORT. May be repeated.
    timeout
        Seconds after which the run is ended.
    echr
        The console's escape key: a letter for Ctrl-letter, a code from 1 to 31, or none; a by default.
    stats
        Write what the run took into this file, as one JSON object.
    screenshot
        Write a picture of the VGA's screen at the end into this PNG file.
    report
        Print the port-access table on stderr at the end.
    trace_ports
        Write every port access as a line on stderr, or with --trace-ports=FILE into a file.
    config_file
        A machine in TOML. Options of the command line are stronger; drives and devices add up.
    """
    given = {
        "guest": guest,
        "kernel": kernel,
        "initrd": initrd,
        "append": append,
        "modules": tuple(config.parse_module(text) for text in module) or None,
        "flat": None if flat is None else config.parse_flat(flat),
        "memory": None if mem is None else config.parse_size(mem),
        "engine": engine,
        "io": io,
        "abi": None if abi is None else config.parse_names(abi),
        "vmi_calls": None if vmi_calls is None else config.parse_names(vmi_calls),
        "kvm_irqchip": None if kvm_irqchip is None else config.parse_switch(kvm_irqchip),
        "kvm_coalesce": None if kvm_coalesce is None else config.parse_switch(kvm_coalesce),
        "serial": tuple(config.parse_serial(text) for text in serial) or None,
        "debugcon": None if debugcon is None else config.parse_serial(debugcon),
        "parallel": None if parallel is None else config.parse_serial(parallel),
        "display": None if display is None else config.parse_display(display),
        "disks": tuple(config.parse_disk(text) for text in disk),
        "cdroms": cdrom,
        "devices": tuple(config.parse_device(text) for text in device),
        "net": tuple(config.parse_net(text) for text in net),
        "timeout": timeout,
        "echr": None if echr is None else config.parse_escape_key(echr),
    }
    wanted = settings(given, {} if config_file is None else config.load_machine_file(config_file))
    if stats is not None:
        from hyperport.observe.stats import check_destination

        check_destination(stats)
    if screenshot is not None:
        from hyperport.observe.stats import check_destination

        check_destination(screenshot, "screenshot")
    return execute(wanted, stats=stats, screenshot=screenshot, report=report, trace_ports=trace_ports)


def settings(given: dict[str, Any], from_file: dict[str, Any]) -> dict[str, Any]:
    """What the user wants: the command line over the machine file over the known guest's own.

    Keys as in config.MACHINE_FILE_KEYS, only those that somebody set. Raises UsageError if there is nothing to run.
    """
    chosen = from_file | {key: value for key, value in given.items() if value is not None}
    for many in ("disks", "cdroms", "devices", "net"):
        chosen[many] = (*from_file.get(many, ()), *given.get(many, ()))
    if given.get("kernel"):  # another kernel than the file's guest
        chosen["guest"] = given.get("guest")
    name, has_kernel = chosen.pop("guest", None), "kernel" in chosen
    if name is None and not has_kernel:
        raise UsageError("nothing to run: name a guest (hyperport list guests) or give --kernel FILE")
    if name is not None and given.get("guest") and given.get("kernel"):
        raise UsageError(f"guest {name} and --kernel: give one of the two")
    if name is None:
        return chosen
    from hyperport.guests.registry import locate

    known = locate(name)
    append = f"{known.append} {known.screen}".strip() if chosen.get("display") == "term" else known.append
    own = {"kernel": known.kernel, "initrd": known.initrd, "append": append, "memory": known.memory}
    return {key: value for key, value in own.items() if value is not None} | chosen


def execute(
    wanted: dict[str, Any], *, stats: Path | None, screenshot: Path | None, report: bool, trace_ports: str | None
) -> int:
    """Build the machine, run it, report; returns the exit status of the outcome."""
    from hyperport.host.net import open_link
    from hyperport.host.signals import HostSignals
    from hyperport.lines.attention import StopKind
    from hyperport.machine.machine import Machine

    timeout = wanted.pop("timeout", None)
    escape_key = wanted.pop("echr", config.CONTROL_A)
    on_terminal = wanted.pop("display", "none") == "term"
    lines = {
        "serial": wanted.pop("serial", (SerialSpec("null" if on_terminal else "stdio"),)),
        "debugcon": (wanted.pop("debugcon", SerialSpec("null")),),
        "parallel": (wanted.pop("parallel"),) if "parallel" in wanted else (),
    }
    if on_terminal:
        _require_screen([spec for specs in lines.values() for spec in specs])
    with ExitStack() as stack:
        channels: list[Channel] = []
        backends: dict[str, list[CharBackend]] = {}
        for line, specs in lines.items():
            for spec in specs:
                alone = not any(isinstance(channel, StdioChannel) for channel in channels)
                channels.append(stack.enter_context(open_channel(spec, escape_key=escape_key, takes_input=alone)))
                backends.setdefault(line, []).append(channels[-1].backend)
        (debugcon,) = backends["debugcon"]
        printer = next(iter(backends.get("parallel", ())), None)
        links = [stack.enter_context(open_link(spec)) for spec in wanted.get("net", ())]
        cables = [link.backend for link in links]
        machine = stack.enter_context(
            Machine(
                MachineConfig(**wanted), serial=backends["serial"], debugcon=debugcon, parallel=printer, cables=cables
            )
        )
        if trace_ports is not None:
            _trace(machine, trace_ports, stack)
        if on_terminal:
            from hyperport.ui.screen import ScreenChannel

            channels.append(stack.enter_context(ScreenChannel(machine.display, machine.keys, escape_key)))
        for channel in reversed(channels):
            stack.callback(channel.stop)
            channel.start(machine.events, machine.request_stop)
        for link in links:
            stack.callback(link.stop)
            link.start(machine.events)
        console = next((each for each in channels if isinstance(each, StdioChannel) and each.takes_input), None)
        signals = stack.enter_context(
            HostSignals(
                machine.events,
                lambda signum: machine.attention.stop(StopKind.SIGNAL, signum),
                console.terminal if console else None,
            )
        )
        if machine.config.engine == "auto":
            _tell_engine(machine)
        outcome = machine.run(timeout=timeout, monitor=_monitor(console, lambda: bool(signals.received)))
        for channel in channels:  # the terminal is ordinary again before anything is said
            channel.stop()
        explain(outcome)
        for line in machine.drives.trouble():
            note(line)
        if stats is not None:
            from hyperport.observe.stats import write_statistics

            write_statistics(stats, machine.stats(outcome))
        if screenshot is not None:
            from hyperport.observe.stats import write_whole

            if not machine.display.text():
                note("the screen is in a graphics mode, which is not modelled: its picture is black")
            write_whole(screenshot, machine.display.png())
        if report:
            from hyperport.observe.report import port_table

            print(port_table(machine.bus.counts()), end="", file=sys.stderr)
    return outcome.status


def _tell_engine(machine: Machine) -> None:
    from hyperport.engines import automatic

    note(f"engine {machine.engine.name}: {automatic(machine.config.io, machine.config.abi)[1]}")


def explain(outcome: Outcome) -> None:
    """Say on stderr how the run ended; for a vCPU that died, with its registers."""
    note(f"{outcome} (status {outcome.status})" if outcome.status else str(outcome))
    if isinstance(outcome, TripleFault | HaltedForever | EngineAbort) and outcome.state is not None:
        print(outcome.state.describe(), file=sys.stderr)


def _require_screen(lines: Iterable[SerialSpec]) -> None:
    """Raise UsageError if this process has no terminal for a screen, or a serial line wants it too."""
    from hyperport.ui.screen import require_terminal

    if SerialSpec("stdio") in lines:
        raise UsageError("display term: a serial line on stdio wants the terminal too; use --serial pty or unix:PATH")
    require_terminal()


def _trace(machine: Machine, destination: str, stack: ExitStack) -> None:
    from hyperport.observe.trace import PortTrace

    stream: TextIO = sys.stderr
    if destination != "-":
        try:
            file = Path(destination).open("w", encoding="ascii")  # noqa: SIM115 - the stack closes it
        except OSError as error:
            raise ConfigError(f"port trace: {destination}: {error.strerror}; name another file") from error
        stream = stack.enter_context(file)
    machine.bus.observe(PortTrace(stream))


def _monitor(console: StdioChannel | None, give_up: Any) -> Any:
    if console is None or console.terminal is None:
        return None
    from hyperport.debug.monitor import Monitor

    return Monitor(console, give_up)
