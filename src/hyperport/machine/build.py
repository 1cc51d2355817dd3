# SPDX-License-Identifier: GPL-2.0-or-later
"""From a MachineConfig to the parts of a machine. machine.py owns them; the chips stand in board.py."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from hyperport.abi import conventions
from hyperport.abi.options import DEFAULT_ABI
from hyperport.bus.port_bus import PortBus
from hyperport.cpu.cpuid import Leaf
from hyperport.devices.pic8259 import Pic8259
from hyperport.engines import EngineEntry, resolve
from hyperport.engines.base import Engine
from hyperport.errors import ConfigError
from hyperport.host.char import CharBackend
from hyperport.host.events import HostEvents
from hyperport.host.packet import PacketBackend
from hyperport.io import CALLED, PATHS
from hyperport.io.path import PortPath
from hyperport.lines.attention import Attention
from hyperport.lines.irq import IrqLine
from hyperport.machine.board import Board, HostSide, InterruptLines
from hyperport.machine.config import OWN_OPTIONS, MachineConfig
from hyperport.machine.power import firmware_of, resets_go_on
from hyperport.memory.ram import PAGE, GuestMemory
from hyperport.time.clock import Clock
from hyperport.time.insn_clock import InsnClock
from hyperport.time.tsc import khz_of

if TYPE_CHECKING:
    from hyperport.abi.convention import Convention, Image
    from hyperport.abi.rom import RomImage
    from hyperport.boot.firmware import Firmware
    from hyperport.io.exitless import Exitless
    from hyperport.io.hypercall import CallTable
    from hyperport.lines.service import Service


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What a machine is made of.

    controller: ours, or what stands for the kernel's. host: what is behind the chips. services: what answers calls that
    are no port accesses, and what takes posted writes out of their ring. calls, exitless: None where there are none, or
    each one is a crossing. images: address and bytes of the code of doorbells.
    """

    attention: Attention
    clock: Clock
    events: HostEvents
    memory: GuestMemory
    bus: PortBus
    path: PortPath
    controller: Any
    engine: Engine
    lines: InterruptLines
    board: Board
    host: HostSide
    services: Sequence[Service]
    calls: CallTable | None
    images: Sequence[tuple[int, bytes]]
    firmware: Firmware | None
    exitless: Exitless | None


def build(config: MachineConfig, host: HostSide, clock: Clock, rom: RomImage | None) -> Parts:
    """All parts, joined; nothing is loaded yet. Raises ConfigError, ImageError or EngineError."""
    attention = Attention()
    memory, bus = GuestMemory(config.memory), PortBus()
    for backend in host.streams():
        backend.connect(attention, clock)
    entry = _engine_entry(config, isinstance(clock, InsnClock))
    if isinstance(clock, InsnClock) and not entry.counts:
        raise ConfigError(
            f"the engine {entry.name} counts no instructions: give it another clock or add --engine unicorn"
        )
    module = import_module(entry.module)
    kernels = module.interrupt_controller(config) if hasattr(module, "interrupt_controller") else None
    controller = kernels or Pic8259(attention).pins()
    path = PATHS[config.io](bus)
    engine: Engine = entry.load()(memory, path, controller, attention, clock)
    lines = InterruptLines(controller)
    firmware = firmware_of(config)
    board = Board(
        config,
        host,
        bus=bus,
        lines=lines,
        memory=memory,
        attention=attention,
        clock=clock,
        a20_pin=engine.a20_pin,
        timing=kernels is None,
        firmware=firmware,
        resets_go_on=resets_go_on(config),
    )
    if firmware is not None:
        firmware.map(memory)
    services: list[Service] = []
    calls = exitless = None
    images: list[Image] = []
    if config.io in CALLED:
        calls, services, images = _offer_calls(config, engine, memory, bus, rom, clock, board.timer_line)
        if config.io == "exitless":
            exitless = _join_exitless(config, engine, memory, bus, clock, images)
            services = [*services, exitless]
    engine.connect_ferr(IrqLine(board.fpu_error, 0))
    for chip in board.listeners:
        engine.listen(chip)
    if hasattr(module, "join"):
        module.join(engine, bus, config)
    return Parts(
        attention=attention,
        clock=clock,
        events=HostEvents(attention, clock),
        memory=memory,
        bus=bus,
        path=path,
        controller=controller,
        engine=engine,
        lines=lines,
        board=board,
        host=host,
        services=services,
        calls=calls,
        images=[(image.base, image.data) for image in images],
        firmware=firmware,
        exitless=exitless,
    )


def host_side(
    serial: CharBackend | Sequence[CharBackend] | None,
    debugcon: CharBackend | None,
    parallel: CharBackend | None,
    cables: Sequence[PacketBackend],
) -> HostSide:
    """What is behind the chips, with an end that drops output and has no input where none is given."""
    return HostSide(
        serials=[serial] if isinstance(serial, CharBackend) else list(serial or [CharBackend()]),
        debugcon=debugcon or CharBackend(),
        parallel=parallel,
        cables=cables,
    )


def offered_by(config: MachineConfig) -> tuple[Convention, ...]:
    """The conventions that the guest may call by; none on the other paths."""
    return conventions(config.abi) if config.io in CALLED else ()


def _engine_entry(config: MachineConfig, counts: bool) -> EngineEntry:
    """The engine that is asked for, if it can do what is asked of it. counts: for a clock of instructions."""
    entry = resolve(config.engine, config.io, config.abi, counts)
    if config.io not in entry.paths:
        raise ConfigError(f"engine {entry.name} has no path {config.io}; choose from {', '.join(entry.paths)}")
    for row in OWN_OPTIONS:
        if row.engine != entry.name and getattr(config, row.word) != row.default:
            belongs = f"{row.flag} belongs to the engine {row.engine}, and this is {entry.name}"
            raise ConfigError(f"{belongs}: add --engine {row.engine} or leave it out")
    if config.io not in CALLED and (config.abi != DEFAULT_ABI or config.vmi_calls is not None):
        raise ConfigError(f"hypercalls are chosen, but the path is {config.io}: use path hypercall or exitless")
    return entry


def _offer_calls(
    config: MachineConfig,
    engine: Engine,
    memory: GuestMemory,
    bus: PortBus,
    rom: RomImage | None,
    clock: Clock,
    timer_line: IrqLine,
) -> tuple[CallTable, list[Service], list[Image]]:
    """Put the code of doorbells into memory, and let the engine answer the calls of the chosen conventions.

    Returns the calls, what answers those of the ROM that are no port accesses, if it has them, and what is in memory.
    """
    from hyperport.abi import vmi
    from hyperport.abi.rom import build_rom
    from hyperport.io.hypercall import CallTable
    from hyperport.io.vmi_timer import VmiTimer

    offered = offered_by(config)
    images: dict[str, Image] = {}
    leaves: dict[int, Leaf] = {}
    timers: list[VmiTimer] = []
    for convention in offered:
        if convention.image is not None:
            mine = rom if convention is vmi.CONVENTION else None
            if config.io == "exitless" and convention is vmi.CONVENTION:
                mine = mine or build_rom(config.vmi_calls, exitless=True)
            images[convention.name] = image = mine or convention.image(config.vmi_calls)
            memory.write(image.base, image.data)
            memory.map.rom_in_ram(f"{convention.name}-rom", image.base, -(-len(image.data) // PAGE) * PAGE)
            if convention is vmi.CONVENTION and vmi.TIMER.keys() & set(image.doorbells.values()):
                timers.append(VmiTimer(clock, timer_line, 1000 * khz_of(clock)))
        if convention.cpuid is not None:
            leaves |= convention.cpuid()
    calls = CallTable(bus, offered, images, {timer.abi: timer for timer in timers})
    engine.offer(calls, leaves)
    engine.take_images(images.values())
    return calls, list(timers), list(images.values())


def _join_exitless(
    config: MachineConfig, engine: Engine, memory: GuestMemory, bus: PortBus, clock: Clock, images: Sequence[Image]
) -> Exitless:
    """The tables and the ring of posted writes, drained by the engine's crossings."""
    from hyperport.io.exitless import Exitless

    if config.kvm_irqchip:
        raise ConfigError("path exitless needs to see each interrupt before the guest does: leave out --kvm-irqchip")
    if config.kvm_coalesce:
        raise ConfigError(
            "path exitless has a ring of its own, whose order with the kernel's is lost: leave out --kvm-coalesce"
        )
    part = Exitless(bus, memory, clock, images)
    part.join(engine)
    return part
