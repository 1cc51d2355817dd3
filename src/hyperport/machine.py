# SPDX-License-Identifier: GPL-2.0-or-later
"""Builds a PC and owns its parts: memory, engine, bus, devices. No logic: that is in loop.py and in the parts.

The board is a table: which chip, at which ports, on which interrupt line.
"""

from __future__ import annotations

import importlib.util
import resource
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Self

from hyperport import boot, loop
from hyperport.abi import conventions, kvm, lguest, vmi
from hyperport.abi.calls import CallTable
from hyperport.abi.numbers import LGUEST_SUBARCH
from hyperport.backends.char import CharBackend
from hyperport.backends.clock import Clock, RealClock, Timer
from hyperport.backends.display import Display
from hyperport.backends.host_events import HostEvents
from hyperport.backends.keyboard import Keyboard
from hyperport.bus.attention import Attention, StopKind, StopPin
from hyperport.bus.device import PortDevice
from hyperport.bus.dma import DmaView
from hyperport.bus.irq import IrqLine, SharedLine
from hyperport.bus.port_bus import PortBus
from hyperport.bus.python_device import PythonDevice
from hyperport.config import DEFAULT_ABI, DeviceSpec, MachineConfig
from hyperport.devices.a20_gate import A20Gate
from hyperport.devices.debug_exit import DebugExit
from hyperport.devices.debugcon import Debugcon
from hyperport.devices.i8042 import I8042
from hyperport.devices.ide import IdeChannel
from hyperport.devices.parallel_port import ParallelPort
from hyperport.devices.pci_host import PciHost
from hyperport.devices.pic8259 import Pic8259
from hyperport.devices.pit8254 import Pit8254
from hyperport.devices.port92 import Port92
from hyperport.devices.post_code import PostCode
from hyperport.devices.power_off import PowerOff
from hyperport.devices.reset_cf9 import ResetCf9
from hyperport.devices.rtc146818 import Rtc146818
from hyperport.devices.testdev import TestDevice
from hyperport.devices.uart16550 import Uart16550
from hyperport.devices.vga import Vga
from hyperport.drives import Drives
from hyperport.engines import resolve
from hyperport.engines.base import Engine
from hyperport.errors import ConfigError, StateError
from hyperport.memory import GuestMemory
from hyperport.observe.stats import run_statistics
from hyperport.outcome import Outcome
from hyperport.paths import PATHS
from hyperport.rom.image import ROM_BASE, RomImage, build_rom

IRQ_LINES = 16
TESTDEV_BASE = 0x340  # where guest/workloads look for the test device
COM_PORTS = ((0x3F8, 4), (0x2F8, 3), (0x3E8, 4), (0x2E8, 3))  # first port and line of COM1 to COM4, as PCs have them
LPT1 = (0x378, 7)
PANIC = "Kernel panic - not syncing"
CASCADE = 2  # the slave PIC's place on the master


class Machine:
    """An i386 PC that has been switched off until run() is called.

    config: what to build; or give its fields as keyword arguments: Machine(kernel=Path("vmlinuz"), memory=64 << 20).
    serial, debugcon: CharBackends behind COM1 and port 0xE9; by default they drop output and have no input. A list of
    serial is for COM1 to COM4. parallel: behind LPT1, which is there only if it is given.
    clock: RealClock() by default; VirtualClock() makes time deterministic.
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
        clock: Clock | None = None,
        rom: RomImage | None = None,
        **overrides: Any,
    ) -> None:
        if config is not None and overrides:
            raise ConfigError(f"give a config or its fields, not both: {', '.join(sorted(overrides))}")
        self.config = config or MachineConfig(**overrides)
        self.clock = clock or RealClock()
        self.rom = rom
        self.attention = Attention()
        self.events = HostEvents(self.attention, self.clock)
        self.memory = GuestMemory(self.config.memory)
        self.bus = PortBus()
        self.serials = [serial] if isinstance(serial, CharBackend) else list(serial or [CharBackend()])
        if len(self.serials) > len(COM_PORTS):
            raise ConfigError(f"{len(self.serials)} serial lines: a PC has {len(COM_PORTS)}, COM1 to COM4")
        self.serial = self.serials[0]
        self.debugcon = debugcon or CharBackend()
        self.parallel = parallel
        self.consoles = [*self.serials, self.debugcon]
        for backend in (*self.consoles, *([parallel] if parallel else [])):
            backend.connect(self.attention, self.clock)
        self.irq_owners: dict[int, str] = {CASCADE: "the second PIC"}
        self.timeout: float | None = None
        self.wall_s = 0.0
        self.cpu_s = 0.0
        self._build_board()
        for spec in self.config.devices:
            self.attach_python(spec)
        if self.config.kernel is not None:
            self.load()

    def _build_board(self) -> None:
        entry = resolve(self.config.engine, self.config.io, self.config.abi)
        if self.config.io not in entry.paths:
            raise ConfigError(f"engine {entry.name} has no path {self.config.io}; choose from {', '.join(entry.paths)}")
        self.controller = self._interrupt_controller(entry.name)
        self.path = PATHS[self.config.io](self.bus)
        self.engine: Engine = entry.load()(self.memory, self.path, self.controller, self.attention, self.clock)
        if self.config.io == "hypercall":
            self._offer_calls()
        elif self.config.abi != DEFAULT_ABI or self.config.vmi_calls is not None:
            raise ConfigError(f"hypercalls are chosen, but the path is {self.config.io}: use path hypercall")
        reset = StopPin(self.attention)
        a20 = A20Gate(IrqLine(self.engine.a20_pin, 0))

        def reset_line() -> IrqLine:
            return IrqLine(reset, StopKind.RESET)

        typed = CharBackend()
        typed.connect(self.attention, self.clock)
        self.keys = Keyboard(typed)
        self.keyboard = I8042(
            *(self.irq_line(1, "i8042"), self.irq_line(12, "i8042"), reset_line(), IrqLine(a20, 0), typed, self.clock)
        )
        self.uarts = self._make_uarts()
        self.rtc = Rtc146818(self.clock, self.irq_line(8, "rtc146818"), self.memory.size)
        self.vga = Vga(self.clock)
        self.display = Display(self.vga, self.memory)
        self.drives = Drives(self.config.disks, self.config.cdroms)
        primary = IdeChannel(self.irq_line(14, "ide"), *self.drives.primary)
        secondary = IdeChannel(self.irq_line(15, "ide"), *self.drives.secondary)
        post = PostCode()
        if self.config.testdev:
            self.bus.attach(TestDevice(), TESTDEV_BASE)
        board: Sequence[tuple[Any, int, int, int]] = (  # chip, first port, ports, offset of the first
            (self.keyboard, 0x060, 1, 0),
            (self.keyboard, 0x064, 1, 1),
            (self.rtc, 0x070, 2, 0),
            (post, 0x080, 1, 0),
            (PostCode(), 0x0ED, 1, 0),
            (Port92(reset_line(), IrqLine(a20, 1)), 0x092, 1, 0),
            (Debugcon(self.debugcon), 0x0E9, 1, 0),
            (DebugExit(self.attention), 0x0F4, 4, 0),
            (self.vga, 0x3B4, 2, 0x04),
            (self.vga, 0x3BA, 1, 0x0A),
            (self.vga, 0x3C0, 16, 0x10),
            (self.vga, 0x3D4, 2, 0x24),
            (self.vga, 0x3DA, 1, 0x2A),
            *((uart, base, 8, 0) for uart, (base, _) in zip(self.uarts, COM_PORTS, strict=False)),
            (secondary, 0x170, 8, 0),
            (primary, 0x1F0, 8, 0),
            (secondary, 0x376, 1, 8),
            (primary, 0x3F6, 1, 8),
            (Debugcon(self.debugcon), 0x402, 1, 0),
            (DebugExit(self.attention), 0x501, 2, 0),
            (PowerOff(IrqLine(reset, StopKind.POWER_OFF)), 0x604, 2, 0),
            (PciHost(ResetCf9(reset_line())), 0xCF8, 8, 0),
        )
        if self.parallel is not None:
            lpt = ParallelPort(self.irq_line(LPT1[1], "parallel-port"), self.parallel)
            self.bus.attach(lpt, LPT1[0])
        for chip, port, count, offset in (*self._timing(), *board):
            self.bus.attach(chip, port, count, offset)
        for chip in self.bus.devices():
            chip.reset()
        for chip in (*self.uarts, self.keyboard):
            self.engine.listen(chip)

        if self.config.kvm_coalesce:
            self._require_kvm("--kvm-coalesce", entry.name)
            self.engine.coalesce(self.bus.postable())

    def _make_uarts(self) -> list[Uart16550]:
        """COM1 and its like; where two have the same line, it is shared."""
        lines: dict[int, SharedLine] = {}
        for _, irq in COM_PORTS[: len(self.serials)]:
            if irq not in lines:
                lines[irq] = SharedLine(self.irq_line(irq, "uart16550"))
        return [
            Uart16550(lines[irq].input(), backend) for backend, (_, irq) in zip(self.serials, COM_PORTS, strict=False)
        ]

    def _require_kvm(self, option: str, engine: str) -> None:
        if engine != "kvm":
            raise ConfigError(
                f"{option} belongs to the engine kvm, and this is {engine}: add --engine kvm or leave it out"
            )

    def _interrupt_controller(self, engine: str) -> Any:
        if not self.config.kvm_irqchip:
            return Pic8259(self.attention)
        self._require_kvm("--kvm-irqchip", engine)
        from hyperport.engines.kvm.irqchip import KernelIrqchip

        return KernelIrqchip()

    def _timing(self) -> Sequence[tuple[Any, int, int, int]]:
        """The rows of the board that the kernel has instead with --kvm-irqchip."""
        if self.config.kvm_irqchip:
            self.irq_owners[0] = "the kernel's timer"
            return ()
        self.pit = Pit8254(self.clock, self.irq_line(0, "pit8254"))
        return (
            (self.controller, 0x020, 2, 0),
            (self.controller, 0x0A0, 2, 2),
            (self.controller, 0x4D0, 2, 4),
            (self.pit, 0x040, 4, 0),
            (self.pit, 0x061, 1, 4),
        )

    def _offer_calls(self) -> None:
        offered = conventions(self.config.abi)
        doorbells: dict[int, int] = {}
        if vmi.CONVENTION in offered:
            rom = self.rom or build_rom(self.config.vmi_calls)
            doorbells = rom.doorbells
            self.memory.write(ROM_BASE, rom.data)
        self.engine.offer(
            CallTable(self.bus, offered, frozenset(doorbells.values())),
            ROM_BASE,
            doorbells,
            kvm.cpuid_leaves() if kvm.CONVENTION in offered else {},
        )

    def irq_line(self, number: int, owner: str) -> IrqLine:
        """A new wire to interrupt request number. Raises ConfigError if it is taken: an ISA line has one driver."""
        if not 0 <= number < IRQ_LINES:
            raise ConfigError(f"{owner}: irq {number} is outside 0 to {IRQ_LINES - 1}")
        if number in self.irq_owners:
            raise ConfigError(f"{owner}: irq {number} belongs to {self.irq_owners[number]}; choose another")
        self.irq_owners[number] = owner
        return IrqLine(self.controller, number)

    def attach(self, device: Any, base: int, irq: int | None = None) -> Any:
        """Put a device, plain Python or compiled, at port base and on line irq; returns it.

        A plain Python device is given irq, clock, timer and memory as attributes and is then reset.
        """
        name = str(getattr(device, "name", None) or type(device).__name__.lower())
        if irq is not None and isinstance(device, PortDevice):
            raise ConfigError(f"{name}: a compiled chip is given its IrqLine when it is made: machine.irq_line()")
        line = IrqLine() if irq is None else self.irq_line(irq, name)
        try:
            attached = self.bus.attach(device, base)
        except ConfigError:
            if irq is not None:
                del self.irq_owners[irq]
            raise
        if isinstance(attached, PythonDevice):
            attached.connect(self.attention)
            device.irq = line
            device.clock = self.clock
            device.timer = Timer(self.clock, attached, 0)
            device.memory = DmaView(self.memory)
        attached.reset()
        return device

    def attach_python(self, spec: DeviceSpec) -> Any:
        """Load the class that spec names from its file, make a device of it and attach it."""
        device_class = load_device_class(spec.path, spec.class_name)
        try:
            device = device_class(**spec.options)
        except Exception as error:
            raise ConfigError(f"device {spec.path}:{spec.class_name} cannot be made: {_told(error)}") from error
        return self.attach(device, spec.base, spec.irq)

    def load(self) -> None:
        """Put the configured kernel into memory and the vCPU at its entry."""
        config = self.config
        assert config.kernel is not None
        self.engine.set_state(
            boot.load(
                self.memory,
                config.kernel,
                initrd=config.initrd,
                append=config.append,
                modules=config.modules,
                flat=config.flat,
                subarch=LGUEST_SUBARCH if lguest.CONVENTION in conventions(config.abi) else 0,
            )
        )

    def run(self, timeout: float | None = None, monitor: Callable[[Machine], str] | None = None) -> Outcome:
        """Run the guest until its end, at most timeout seconds; returns the Outcome.

        Raises what a Python device raised, with its traceback, and KeyboardInterrupt on Ctrl-C. After a Timeout,
        run() goes on where the guest was.
        """
        if timeout is not None and not 0 <= timeout <= threading.TIMEOUT_MAX:
            raise ConfigError(f"timeout of {timeout} s: give a number from 0 to {threading.TIMEOUT_MAX:.0f}")
        self.events.start()
        self.timeout = timeout
        alarm = None if timeout is None else threading.Timer(timeout, self.request_stop, (StopKind.TIMEOUT,))
        began, cpu_began = time.monotonic(), _cpu_seconds()
        if alarm is not None:
            alarm.daemon = True
            alarm.start()
        try:
            return loop.run(self, monitor)
        except KeyboardInterrupt:
            self.events.stop()
            self.attention.take_stop()  # the watcher's word of the same signal: the next run goes on
            raise
        finally:
            if alarm is not None:
                alarm.cancel()
                alarm.join()
                self.attention.withdraw(StopKind.TIMEOUT)  # one that came as the run ended otherwise
            self.events.stop()
            self.flush_output()
            self.wall_s += time.monotonic() - began
            self.cpu_s += _cpu_seconds() - cpu_began

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

        self.pit.listen(listener)

    def request_stop(self, kind: StopKind) -> None:
        """End the run from any thread, with the outcome that belongs to kind."""
        self.attention.stop(kind)

    def flush_output(self) -> None:
        """Send what waits for a newline."""
        for backend in (*self.consoles, *([self.parallel] if self.parallel else [])):
            backend.drain()

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
            counts=self.bus.counts(),
        )

    def save_devices(self) -> dict[str, Any]:
        """The state of every device by name; a second device of a name gets a number."""
        return {name: device.save() for name, device in self.named_devices()}

    def load_devices(self, records: dict[str, Any]) -> None:
        """Take back what save_devices() gave to a machine with the same devices. Raises StateError."""
        devices = dict(self.named_devices())
        if wrong := set(devices) ^ set(records):
            raise StateError(f"the saved machine has other devices ({', '.join(sorted(wrong))}): load it into its like")
        for name, device in devices.items():
            device.load(records[name])

    def named_devices(self) -> list[tuple[str, Any]]:
        """The devices on the bus, by the names that save_devices() gives them."""
        names: dict[str, int] = {}
        named = []
        for device in self.bus.devices():
            number = names[device.name] = names.get(device.name, 0) + 1
            named.append((device.name if number == 1 else f"{device.name}.{number}", device))
        return named

    def close(self) -> None:
        """Give the engine's memory and the disks back to the host. Raises HostError if a disk cannot be finished."""
        self.engine.close()
        self.drives.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def load_device_class(path: Path, name: str) -> type[Any]:
    """The class called name in the Python file at path. Raises ConfigError."""
    if not path.is_file():
        raise ConfigError(f"device {path}: no such file")
    spec = importlib.util.spec_from_file_location(f"hyperport_device_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise ConfigError(f"device {path}: not a Python file; give FILE.py:Class")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
    except SyntaxError as error:
        raise ConfigError(f"device {path}: line {error.lineno}: {error.msg}") from error
    except Exception as error:
        raise ConfigError(f"device {path}: it cannot be imported: {_told(error)}") from error
    found = getattr(module, name, None)
    if not isinstance(found, type):
        raise ConfigError(f"device {path}: it has no class {name}")
    return found


def _told(error: Exception) -> str:
    """An exception of somebody else's code in one line."""
    return " ".join(f"{type(error).__name__}: {error}".split())


def _cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime
