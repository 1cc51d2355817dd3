# SPDX-License-Identifier: GPL-2.0-or-later
"""hyperport run: build a machine, run a guest in it, say how it ended."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO

from cyclopts import Parameter

from hyperport import config
from hyperport.backends.console import StdioChannel, note, open_channel
from hyperport.config import MachineConfig
from hyperport.errors import ConfigError, UsageError
from hyperport.outcome import EngineAbort, HaltedForever, Outcome, TripleFault

if TYPE_CHECKING:
    from hyperport.machine import Machine

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
    serial: str | None = None,
    debugcon: str | None = None,
    device: Annotated[tuple[str, ...], MANY] = (),
    timeout: float | None = None,
    echr: str | None = None,
    stats: Path | None = None,
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
        A Linux bzImage, a multiboot kernel, or with --flat a raw image.
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
        Where the console goes: stdio (the default), pty, null, file:PATH or unix:PATH.
    debugcon
        Where port 0xe9 and the firmware log at 0x402 go, as for --serial; null by default.
    device
        A device in Python: FILE.py:Class,base=0x300[,irq=5][,key=value]. May be repeated.
    timeout
        Seconds after which the run is ended.
    echr
        The console's escape key: a letter for Ctrl-letter, a code from 1 to 31, or none; a by default.
    stats
        Write what the run took into this file, as one JSON object.
    report
        Print the port-access table on stderr at the end.
    trace_ports
        Write every port access as a line on stderr, or with --trace-ports=FILE into a file.
    config_file
        A machine in TOML. Options of the command line are stronger; devices add up.
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
        "serial": None if serial is None else config.parse_serial(serial),
        "debugcon": None if debugcon is None else config.parse_serial(debugcon),
        "devices": tuple(config.parse_device(text) for text in device),
        "timeout": timeout,
        "echr": None if echr is None else config.parse_escape_key(echr),
    }
    wanted = settings(given, {} if config_file is None else config.load_machine_file(config_file))
    if stats is not None:
        from hyperport.observe.stats import check_destination

        check_destination(stats)
    return execute(wanted, stats=stats, report=report, trace_ports=trace_ports)


def settings(given: dict[str, Any], from_file: dict[str, Any]) -> dict[str, Any]:
    """What the user wants: the command line over the machine file over the known guest's own.

    Keys as in config.MACHINE_FILE_KEYS, only those that somebody set. Raises UsageError if there is nothing to run.
    """
    chosen = from_file | {key: value for key, value in given.items() if value is not None}
    chosen["devices"] = (*from_file.get("devices", ()), *given.get("devices", ()))
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
    own = {"kernel": known.kernel, "initrd": known.initrd, "append": known.append, "memory": known.memory}
    return {key: value for key, value in own.items() if value is not None} | chosen


def execute(wanted: dict[str, Any], *, stats: Path | None, report: bool, trace_ports: str | None) -> int:
    """Build the machine, run it, report; returns the exit status of the outcome."""
    from hyperport.backends.host_signals import HostSignals
    from hyperport.bus.attention import StopKind
    from hyperport.machine import Machine

    timeout = wanted.pop("timeout", None)
    escape_key = wanted.pop("echr", config.CONTROL_A)
    serial_spec = wanted.pop("serial", "stdio")
    debugcon_spec = wanted.pop("debugcon", "null")
    with ExitStack() as stack:
        serial = stack.enter_context(open_channel(serial_spec, escape_key=escape_key))
        reads_stdin = isinstance(serial, StdioChannel)
        debugcon = stack.enter_context(open_channel(debugcon_spec, escape_key=escape_key, takes_input=not reads_stdin))
        machine = stack.enter_context(
            Machine(MachineConfig(**wanted), serial=serial.backend, debugcon=debugcon.backend)
        )
        if machine.config.engine == "auto":
            _tell_engine(machine)
        if trace_ports is not None:
            _trace(machine, trace_ports, stack)
        for channel in (debugcon, serial):
            stack.callback(channel.stop)
            channel.start(machine.events, machine.request_stop)
        console = next(
            (each for each in (serial, debugcon) if isinstance(each, StdioChannel) and each.takes_input), None
        )
        signals = stack.enter_context(
            HostSignals(
                machine.events,
                lambda signum: machine.attention.stop(StopKind.SIGNAL, signum),
                console.terminal if console else None,
            )
        )
        outcome = machine.run(timeout=timeout, monitor=_monitor(console, lambda: bool(signals.received)))
        for channel in (serial, debugcon):  # the terminal is ordinary again before anything is said
            channel.stop()
        explain(outcome)
        if stats is not None:
            from hyperport.observe.stats import write_statistics

            write_statistics(stats, machine.stats(outcome))
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
    from hyperport.cli.monitor import Monitor

    return Monitor(console, give_up)
