# SPDX-License-Identifier: GPL-2.0-or-later
"""A PC: owns its parts and runs them; the public API. They are made in build.py, and the run loop is run.py."""

from __future__ import annotations

import resource
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from hyperport.bus.device import PortDevice
from hyperport.bus.plain_device import check_place, device_name
from hyperport.bus.python_device import PythonDevice
from hyperport.engines.base import Engine, Stop
from hyperport.errors import ConfigError, ThreadError
from hyperport.host.char import CharBackend
from hyperport.host.packet import PacketBackend
from hyperport.lines.attention import Pulled, StopKind
from hyperport.lines.irq import IrqLine
from hyperport.machine import run as loop
from hyperport.machine.build import build, host_side, offered_by
from hyperport.machine.config import MachineConfig, make_config
from hyperport.machine.guard import Guard
from hyperport.machine.interrupt import Interrupter, Unresponsive
from hyperport.machine.plugins import DeviceSpec, make_device
from hyperport.machine.power import load_kernel, restart, start_firmware, with_image
from hyperport.machine.save_requests import SaveRequests
from hyperport.machine.statistics import run_statistics
from hyperport.memory.dma import DmaView
from hyperport.outcome import Outcome, OutputLost
from hyperport.time.clock import Clock, Timer
from hyperport.time.kinds import make_clock

if TYPE_CHECKING:
    from hyperport.abi.rom import RomImage
    from hyperport.machine.passthrough import RealPorts

PANIC = "Kernel panic - not syncing"


class Machine:
    """An i386 PC that has been switched off until run() is called.

    config: what to build; or give its fields as keyword arguments: Machine(kernel="vmlinuz", memory=64 << 20).
    serial, debugcon: CharBackends behind COM1 and port 0xE9; by default they drop output and have no input. A list of
    serial is for COM1 to COM4. parallel: behind LPT1, which is there only if it is given.
    cables: PacketBackends behind the cards of config.net, in order; by default there is nothing at their ends.
    clock: RealClock() by default; VirtualClock() or InsnClock() makes time deterministic. A str is config.clock.
    rom: the VMI ROM that io "hypercall" offers; by default one that guests accept, with config.vmi_calls.
    Raises ConfigError, ImageError or EngineError with one line that says what to do.
    """

    def __init__(
        self,
        config: MachineConfig | None = None,
        *,
        serial: CharBackend | Sequence[CharBackend] | None = None,
        debugcon: CharBackend | None = None,
        parallel: CharBackend | None = None,
        cables: Sequence[PacketBackend] = (),
        clock: Clock | str | None = None,
        rom: RomImage | None = None,
        **overrides: Any,
    ) -> None:
        if isinstance(clock, str):
            overrides["clock"], clock = clock, None
        if config is not None and overrides:
            raise ConfigError(f"give a config or its fields, not both: {', '.join(sorted(overrides))}")
        self.config = with_image(config or make_config(overrides))
        chosen = clock or make_clock(self.config.clock)
        parts = build(self.config, host_side(serial, debugcon, parallel, cables), chosen, rom)
        self.attention, self.clock, self.events = parts.attention, parts.clock, parts.events
        self.memory, self.bus, self.path = parts.memory, parts.bus, parts.path
        self.controller, self.lines, self.board = parts.controller, parts.lines, parts.board
        self.engine: Engine = parts.engine
        self.services, self.calls, self.exitless = parts.services, parts.calls, parts.exitless
        self.images, self.firmware = parts.images, parts.firmware
        self.keys, self.display, self.drives = parts.board.keys, parts.board.display, parts.board.drives
        self.mouse = parts.board.mouse
        self.host = parts.host
        self.consoles, self.streams = self.host.consoles(), self.host.streams()
        self.saves = SaveRequests(self)
        self.guard = Guard()
        for part in (self.bus, self.memory, self.engine):
            part.guard = self.guard
        self.interrupter: Interrupter | None = None
        self.timeout: float | None = None
        self._told: list[BaseException] = []  # losses of output that an outcome has told of
        self.when_idle: list[Callable[[], object]] = []  # called while the guest waits, and when a run ends
        self.wall_s = 0.0
        self.cpu_s = 0.0
        for spec in self.config.devices:
            self.attach_python(spec)
        self.real_ports: RealPorts | None = None
        if self.config.passthrough:
            self._pass_through()
        if self.config.kernel is not None:
            self.load()
        elif self.firmware is not None:
            start_firmware(self, Pulled.BOARD)

    def _pass_through(self) -> None:
        """Attach the ports of the host that the config names."""
        from hyperport.machine.passthrough import RealPorts

        self.real_ports = RealPorts(self)
        try:
            for spec in self.config.passthrough:
                self.real_ports.add(spec)
        except BaseException:
            self.real_ports.close()
            raise

    def irq_line(self, number: int, owner: str) -> IrqLine:
        """A new wire to interrupt request number. Raises ConfigError if it is taken: an ISA line has one driver."""
        return self.lines.take(number, owner)

    def attach(
        self,
        device: Any,
        base: int | None = None,
        irq: int | None = None,
        memory: int | None = None,
        dma: int | None = None,
    ) -> Any:
        """Put a device, plain Python or compiled, at port base, its memory at address memory; returns it.

        irq, dma: its line and DMA channel. Without base it has no ports. A plain Python device is given irq, clock,
        timer, memory, dma and, if it has device memory, window as attributes, publish_at if it says what may be posted
        and shadowed, and is then reset.
        """
        self.guard.check("attach")
        name = device_name(device)
        if not (irq is None and dma is None) and isinstance(device, PortDevice):
            raise ConfigError(f"{name}: a compiled chip is given its wires when it is made: machine.irq_line()")
        span = check_place(device, name, base, memory)
        if memory is not None and not self.memory.map.is_free(memory, span):
            # What a line or ports would be given back for: told first.
            self.bus.attach_memory(self.memory.map, device, memory)
        line = IrqLine() if irq is None else self.irq_line(irq, name)
        try:
            if base is not None:
                attached = self.bus.attach(device, base)
        except ConfigError:
            if irq is not None:
                del self.lines.owners[irq]
            raise
        window = None
        if memory is not None:
            window, attached = self.bus.attach_memory(self.memory.map, device, memory), self.bus.adapter(device)
        if isinstance(attached, PythonDevice):
            attached.connect(self.attention, base, self.engine, window)
            if window is not None:
                device.window = window
            device.irq = line
            device.clock = self.clock
            device.timer = Timer(self.clock, attached, 0)
            device.memory = DmaView(self.memory)
            if hasattr(device, "attributes"):
                device.publish_at = partial(_publish, self.guard, weakref.ref(attached))
            if dma is not None:
                device.dma = self.board.dma.channel(dma, IrqLine(attached, 0))
        attached.reset()
        return device

    def attach_python(self, spec: DeviceSpec) -> Any:
        """Load the class that spec names from its file, make a device of it and attach it."""
        return self.attach(make_device(spec), spec.base, spec.irq, spec.memory)

    def load(self) -> None:
        """Put the configured kernel into memory and the vCPU at its entry."""
        self.guard.check("load")
        subarch = max((one.subarch for one in offered_by(self.config)), default=0)
        self.engine.set_state(load_kernel(self.config, self.board, self.memory, subarch))

    def reset(self, line: Pulled = Pulled.BOARD) -> None:
        """Pull a reset line while the guest does not run: firmware begins, or the kernel is loaded into empty memory.

        Raises ConfigError for a machine with neither, such as one that was restored.
        """
        self.guard.check("reset")
        if self.firmware is None and self.config.kernel is None:
            raise ConfigError("reset: this machine has neither firmware nor a kernel to start with")
        restart(self, line)

    def restart_if_pulled(self) -> bool:
        """Called by the run loop: what the guest's pull at a reset line leads to. False where that ends the run."""
        pin = self.board.reset_pin
        if not pin.pulled():
            return True
        if self.panic_line() is not None or (self.firmware is None and self.config.kernel is None):
            pin.take()
            return False
        restart(self, pin.take())
        return True

    def run(self, timeout: float | None = None, monitor: Callable[[Machine], str] | None = None) -> Outcome:
        """Run the guest until its end, at most timeout seconds; returns the Outcome.

        Raises what a Python device raised, with its traceback and a note of where the guest was, and KeyboardInterrupt
        on Ctrl-C. After a Timeout, run() goes on where the guest was. A stop comes through Python code that loops, a
        device's or a listener's: it gets an Unresponsive at its next byte code. C code has to return first.
        """
        self.guard.check("run")
        if timeout is not None and not 0 <= timeout <= threading.TIMEOUT_MAX:
            raise ConfigError(f"timeout of {timeout} s: give a number from 0 to {threading.TIMEOUT_MAX:.0f}")
        self.events.start()
        self.saves.run_begins()
        self.interrupter = Interrupter(OWN_CODE, self.attention.stop_pending)
        self.timeout = timeout
        alarm = None if timeout is None else threading.Timer(timeout, self.request_stop, (StopKind.TIMEOUT,))
        began, cpu_began = time.monotonic(), _cpu_seconds()
        if alarm is not None:
            alarm.daemon = True
            alarm.start()
        try:
            return self._loop(monitor)
        except KeyboardInterrupt:
            self.events.stop()
            self.attention.take_stop()  # the watcher's word of the same signal: the next run goes on
            raise
        finally:
            self.interrupter.end()
            self.saves.run_ends()
            if alarm is not None:
                alarm.cancel()
                alarm.join()
                self.attention.withdraw(StopKind.TIMEOUT)  # one that came as the run ended otherwise
            self.events.stop()
            self.flush_output()
            self.wall_s += time.monotonic() - began
            self.cpu_s += _cpu_seconds() - cpu_began

    def _loop(self, monitor: Callable[[Machine], str] | None) -> Outcome:
        """The run loop, and what becomes of an Unresponsive that came too late for the code it was meant for."""
        held = None if monitor is None else partial(self._hold, monitor)
        outcome = None
        while outcome is None:
            try:
                outcome = loop.run(self, held)
            except Unresponsive:
                kind, value, _, text = self.attention.take_stop()
                if kind in loop.NO_ENDS:
                    self.attention.stop(kind, value)
                else:
                    outcome = loop.finish(self, Stop(kind or StopKind.TIMEOUT, value, None, text))
        self.flush_output()
        for backend in self.streams:
            failure = getattr(backend, "failure", None)
            if failure is not None and failure not in self._told:
                self._told.append(failure)
                self.attention.withdraw(StopKind.DEVICE_ERROR)
                return OutputLost(str(failure))
        return outcome

    def _hold(self, monitor: Callable[[Machine], str], _: Any) -> str:
        """Let the monitor have the thread; what the user is asked there is not hurried."""
        assert self.interrupter is not None
        self.interrupter.held = True
        try:
            return monitor(self)
        finally:
            self.interrupter.held = False

    def type(self, text: str) -> int:
        """Type text on the guest's keyboard, from any thread; returns how many characters found room to wait."""
        return self.keys.type(text)

    def on_tone(self, callback: Callable[[int, float], object]) -> None:
        """Call callback(ns since power-on, hertz) when the speaker's tone changes; 0.0 is silence.

        What callback raises ends the run and comes out of run().
        """

        def listener(now_ns: int, hertz: float) -> None:
            try:
                callback(now_ns, hertz)
            except BaseException as error:
                self.attention.stop(StopKind.DEVICE_ERROR, 0, error)

        if self.board.pit is None:
            raise ConfigError("the speaker's timer is in the kernel: leave out --kvm-irqchip to hear it")
        self.board.pit.listen(listener)

    def request_stop(self, kind: StopKind, value: int = 0) -> None:
        """End the run from any thread, with the outcome that belongs to kind. value: of StopKind.SIGNAL its number."""
        self.attention.stop(kind, value)
        interrupter = self.interrupter
        if interrupter is not None:
            interrupter.request()

    def flush_output(self) -> None:
        """Send what waits for a newline."""
        for backend in self.streams:
            backend.drain()
        for call in self.when_idle:
            call()

    def panic_line(self) -> str | None:
        """The first line of a kernel panic seen on a console or on the screen, or None."""
        for backend in self.consoles:
            if backend.panicked:
                return str(backend.panic_line)
        return next((line.strip() for line in self.display.text() if PANIC in line), None)

    def stats(self, outcome: Outcome) -> dict[str, Any]:
        """What --stats writes: outcome, times, counters of the engine and of every port."""
        counters = self.engine.counters()
        return run_statistics(
            outcome,
            wall_s=self.wall_s,
            cpu_s=self.cpu_s,
            engine=self.engine.name,
            io=self.config.io,
            exceptions={str(vector): count for vector, count in counters.exceptions.items()},
            irqs={str(vector): count for vector, count in counters.interrupts.items()},
            hlts=counters.hlts,
            exitless={} if self.exitless is None else self.exitless.counts(),  # first: it tells the bus of reads
            counts=self.bus.counts(),
            calls={} if self.calls is None else self.calls.served(),
        )

    def save_devices(self) -> dict[str, Any]:
        """The state of every device by name; a second device of a name gets a number."""
        return {name: device.save() for name, device in self.named_devices().items()}

    def load_devices(self, records: dict[str, Any]) -> None:
        """Take back what save_devices() gave to a machine with the same devices. Raises StateError."""
        from hyperport.machine.sections import check_each

        check_each(self.named_devices(), records, "devices")
        for name, device in self.named_devices().items():
            device.load(records[name])

    def save(self, path: Path | str) -> int:
        """Save the whole machine to a file, whole or not at all; returns the file's bytes. It can go on.

        While the guest runs, any other thread may call this: the run is held for it at the next moment between two
        instructions. In a device's or a listener's code it raises ThreadError. Raises StateError for a machine that
        cannot be saved, HostError where the host does not take the file.
        """
        return self.saves.save(Path(path))

    def reload(self, path: Path | str) -> None:
        """Go on from a file that save() wrote, of this machine or its like. Raises StateError before any change."""
        from hyperport.machine.state import load_state
        from hyperport.machine.state_file import StateFile

        self.guard.check("reload")
        if self.guard.runner is not None:
            raise ThreadError("reload: the guest runs; stop it first")
        file = StateFile(Path(path))
        try:
            load_state(self, file.record, file)
        finally:
            file.close()

    @classmethod
    def restore(
        cls,
        path: Path | str,
        *,
        serial: CharBackend | Sequence[CharBackend] | None = None,
        debugcon: CharBackend | None = None,
        parallel: CharBackend | None = None,
        cables: Sequence[PacketBackend] = (),
        clock: Clock | None = None,
        rom: RomImage | None = None,
        attach: Callable[[Self], object] | None = None,
        **overrides: Any,
    ) -> Self:
        """A machine that goes on from a file that save() wrote: built with its options, those of overrides before them.

        Other keywords: as for Machine; ends of lines are there as in the saved machine, and clock is of its kind.
        attach: called with the machine to attach() devices that the saved one was given in that way. Network cables are
        plugged in anew. Raises StateError for a file that does not fit, and what Machine() raises.
        """
        from hyperport.machine.state import clock_like, load_state, saved_ends, saved_options
        from hyperport.machine.state_file import StateFile

        file = StateFile(Path(path))
        try:
            options = saved_options(file.record)
            if serial is None:
                serial = [CharBackend() for _ in range(saved_ends(file.record)[1])]
            if parallel is None and "parallel" in file.record["host"]:
                parallel = CharBackend()
            config = make_config(options | overrides)
            machine = cls(
                config,
                serial=serial,
                debugcon=debugcon,
                parallel=parallel,
                cables=cables,
                clock=clock or clock_like(file.record["clock"]),
                rom=rom,
            )
            try:
                if attach is not None:
                    attach(machine)
                if isinstance(places := file.record["disks"], dict):
                    machine.drives.empty_others(places)
                load_state(machine, file.record, file)
            except BaseException:
                machine.close()
                raise
        finally:
            file.close()
        return machine

    def named_devices(self) -> dict[str, Any]:
        """The devices on the bus and what else has a state, by the names that save_devices() gives them."""
        from hyperport.machine.sections import numbered

        return numbered((device.name, device) for device in (*self.bus.devices(), *self.services))

    def close(self) -> None:
        """Give the engine's memory and the disks back to the host. Raises HostError if a disk cannot be finished.

        In a fork of the process that made the machine this does nothing: the disks are the other one's.
        """
        if self.guard.inherited:
            return
        self.guard.check("close")
        if self.real_ports is not None:
            self.real_ports.close()
        self.engine.close()
        self.drives.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


OWN_CODE = loop.OWN_CODE | {function.__code__ for function in (Machine.run, Machine._loop)}


def _publish(guard: Guard, attached: weakref.ref[PortDevice], offset: int) -> None:
    """publish_at() of a device in plain Python, which is not to keep what keeps it."""
    guard.check("publish_at")
    device = attached()
    if device is not None:
        device.publish_at(offset)


def _cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime
