# SPDX-License-Identifier: GPL-2.0-or-later
"""The chips of a PC: which, at which ports, on which interrupt line. build.py joins them to an engine.

A chip with scattered ports has one contiguous space of offsets and is attached in several windows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from hyperport.boot.bios_state import PIC, PIT, Equipment
from hyperport.boot.firmware import ORDER, Firmware, setup
from hyperport.bus.port_bus import PortBus
from hyperport.devices.a20_gate import A20Gate
from hyperport.devices.debug_exit import DebugExit
from hyperport.devices.debugcon import Debugcon
from hyperport.devices.dma8237 import Dma8237
from hyperport.devices.fdc82077 import Fdc82077
from hyperport.devices.fpu_error import FpuError
from hyperport.devices.fw_cfg import FwCfg
from hyperport.devices.i8042 import I8042
from hyperport.devices.ide import IdeChannel
from hyperport.devices.ne2000 import Ne2000
from hyperport.devices.parallel_port import ParallelPort
from hyperport.devices.pci_host import PciHost
from hyperport.devices.pit8254 import Pit8254
from hyperport.devices.port92 import Port92
from hyperport.devices.post_code import PostCode
from hyperport.devices.power_off import PowerOff
from hyperport.devices.reset_cf9 import ResetCf9
from hyperport.devices.rtc146818 import Rtc146818
from hyperport.devices.testdev import TestDevice
from hyperport.devices.uart16550 import Uart16550
from hyperport.devices.vbe_dispi import VbeDispi
from hyperport.devices.vga import WINDOW, WINDOW_BYTES, Vga
from hyperport.errors import ConfigError
from hyperport.host.char import CharBackend
from hyperport.host.packet import PacketBackend
from hyperport.host.specs import NetSpec
from hyperport.lines.attention import Attention, Pulled, ResetPin, StopKind, StopPin
from hyperport.lines.interrupt_controller import InterruptController
from hyperport.lines.irq import IrqLine, LineTap, SharedLine
from hyperport.lines.listener import Listener
from hyperport.machine.config import MachineConfig
from hyperport.machine.drives import Drives
from hyperport.memory.dma import DmaView
from hyperport.memory.ram import GuestMemory
from hyperport.time.clock import Clock
from hyperport.ui.display import Display
from hyperport.ui.keyboard import Keyboard
from hyperport.ui.mouse import Mouse

IRQ_LINES: Final = 16
CASCADE: Final = 2  # the slave PIC's place on the master
TESTDEV_BASE: Final = 0x340  # where guest/workloads look for the test device
COM_PORTS: Final = ((0x3F8, 4), (0x2F8, 3), (0x3E8, 4), (0x2E8, 3))  # first port and line of COM1 to COM4 on a PC
LPT1: Final = (0x378, 7)
FLOPPY_DMA: Final = 2  # channel
NET_PLACES: Final = ((0x300, 9), (0x320, 10), (0x340, 11), (0x280, 5))  # first port and line of the first cards

Row = tuple[Any, int, int, int]  # chip, first port, ports, offset of the first


class InterruptLines:
    """The sixteen lines of the ISA bus and who drives them. owners: line -> name."""

    def __init__(self, controller: InterruptController) -> None:
        self.controller = controller
        self.tap = LineTap(controller)
        self.owners: dict[int, str] = {CASCADE: "the second PIC"}

    def take(self, number: int, owner: str) -> IrqLine:
        """A new wire to interrupt request number. Raises ConfigError if it is taken: an ISA line has one driver."""
        if not 0 <= number < IRQ_LINES:
            raise ConfigError(f"{owner}: irq {number} is outside 0 to {IRQ_LINES - 1}")
        if number in self.owners:
            raise ConfigError(f"{owner}: irq {number} belongs to {self.owners[number]}; choose another")
        self.owners[number] = owner
        return IrqLine(self.tap, number)

    def listen(self, watcher: Listener | None) -> None:
        """Let watcher hear of each change before the controller does; None: nobody. Raises ConfigError for a second."""
        self.tap.watch(watcher)


@dataclass(frozen=True, slots=True, kw_only=True)
class HostSide:
    """What is behind the chips: COM1 to COM4, port 0xE9, LPT1 (None: no such port), the network cards in order."""

    serials: Sequence[CharBackend]
    debugcon: CharBackend
    parallel: CharBackend | None
    cables: Sequence[PacketBackend]

    def consoles(self) -> list[CharBackend]:
        """Where a guest may tell of its panic."""
        return [*self.serials, self.debugcon]

    def streams(self) -> list[CharBackend]:
        """All that gather output."""
        return [*self.consoles(), *([] if self.parallel is None else [self.parallel])]


class Board:
    """All chips but the CPU, attached to bus and reset.

    a20_pin: the engine's. Raises ConfigError where two want the same port or line, ImageError for a bad disk.
    timing: interrupt controllers and timer are ours. listeners: chips with host input. firmware: what starts the
    machine, if that is no kernel. resets_go_on: the run loop takes resets from reset_pin; else they end the run.
    """

    def __init__(
        self,
        config: MachineConfig,
        host: HostSide,
        *,
        bus: PortBus,
        lines: InterruptLines,
        memory: GuestMemory,
        attention: Attention,
        clock: Clock,
        a20_pin: Listener,
        timing: bool,
        firmware: Firmware | None,
        resets_go_on: bool,
    ) -> None:
        self.lines = lines
        self.attention = attention
        self.clock = clock
        self.reset_pin = ResetPin(attention, ends=not resets_go_on)
        a20 = A20Gate(IrqLine(a20_pin, 0))

        typed = CharBackend()
        typed.connect(attention, clock)
        self.keys = Keyboard(typed)
        pointed = CharBackend()
        pointed.connect(attention, clock)
        self.mouse = Mouse(pointed)
        keyboard_lines = (lines.take(1, "i8042"), lines.take(12, "i8042"))
        self.keyboard = I8042(*keyboard_lines, self._reset_line(), IrqLine(a20, 0), typed, clock, pointed)
        fast_a20 = Port92(self._reset_line(), IrqLine(a20, 1))
        a20.read_back_by(IrqLine(self.keyboard, 0), IrqLine(fast_a20, 0))
        self.parts = {a20.name: a20}  # what has a state and no ports
        self.fpu_error = FpuError(lines.take(13, "fpu-error"))
        self.drives = Drives(config.disks, config.cdroms, config.floppies)
        stored = self.drives.disk_setup()
        if firmware is not None:
            stored |= setup(config.boot or ORDER, self.drives.disk_sizes())
        self.rtc = Rtc146818(clock, lines.take(8, "rtc146818"), memory.size, self.drives.floppy_kinds(), stored)
        self.dma = Dma8237(DmaView(memory))
        self.vga = Vga(clock, memory)
        half = WINDOW_BYTES // 2
        self.vga.connect(
            *(bus.attach_memory(memory.map, self.vga, WINDOW + half * i, half, half * i) for i in range(2))
        )
        dispi = VbeDispi(self.vga)
        self.display = Display(self.vga, dispi)
        self.floppy = Fdc82077(clock, lines.take(6, "fdc82077"), self.drives.floppies)
        self.floppy.connect(self.dma.channel(FLOPPY_DMA, IrqLine(self.floppy, 0)))
        primary = IdeChannel(lines.take(14, "ide"), *self.drives.primary)
        secondary = IdeChannel(lines.take(15, "ide"), *self.drives.secondary)
        self.timer_line = lines.take(0, "pit8254") if timing else IrqLine(lines.controller, 0)
        self.pit = Pit8254(clock, self.timer_line) if timing else None
        if self.pit is not None:
            pins: Any = lines.controller
            pins.chip.look_by(IrqLine(self.pit, 0))
        self.uarts = self._make_uarts(host.serials)
        cards = self._make_cards(config, host.cables)

        rows: tuple[Row, ...] = (
            (self.dma, 0x000, 16, 0x00),
            *self._timing_rows(),
            (self.keyboard, 0x060, 1, 0),
            (self.keyboard, 0x064, 1, 1),
            (self.rtc, 0x070, 2, 0),
            (PostCode(), 0x080, 1, 0),
            (self.dma, 0x081, 15, 0x31),
            (fast_a20, 0x092, 1, 0),
            (self.dma, 0x0C0, 32, 0x10),
            (Debugcon(host.debugcon), 0x0E9, 1, 0),
            (PostCode(), 0x0ED, 1, 0),
            (self.fpu_error, 0x0F0, 2, 0),
            (DebugExit(attention), 0x0F4, 4, 0),
            (secondary, 0x170, 8, 0),
            (dispi, 0x1CE, 3, 0),
            (primary, 0x1F0, 8, 0),
            *((TestDevice(), TESTDEV_BASE, 8, 0) for _ in range(config.testdev)),
            (secondary, 0x376, 1, 8),
            *self._parallel_rows(host.parallel),
            (self.vga, 0x3B4, 2, 0x04),
            (self.vga, 0x3BA, 1, 0x0A),
            (self.vga, 0x3C0, 16, 0x10),
            (self.vga, 0x3D4, 2, 0x24),
            (self.vga, 0x3DA, 1, 0x2A),
            (self.floppy, 0x3F0, 6, 0),
            (primary, 0x3F6, 1, 8),
            (self.floppy, 0x3F7, 1, 7),
            *((uart, base, 8, 0) for uart, (base, _) in zip(self.uarts, COM_PORTS, strict=False)),
            (Debugcon(host.debugcon), 0x402, 1, 0),
            (DebugExit(attention), 0x501, 2, 0),
            *self._firmware_rows(firmware, memory.size),
            (PowerOff(IrqLine(StopPin(attention), StopKind.POWER_OFF)), 0x604, 2, 0),
            (PciHost(ResetCf9(self._reset_line(), IrqLine(self.reset_pin, Pulled.BOARD))), 0xCF8, 8, 0),
            *((card, base, Ne2000.span, 0) for card, base in cards),
        )
        self.bus = bus
        for chip, port, count, offset in rows:
            bus.attach(chip, port, count, offset)
        for chip in bus.devices():
            chip.reset()
        self.listeners: tuple[Listener, ...] = (*self.uarts, self.keyboard, *(card for card, _ in cards))

    def bus_reset(self) -> None:
        """The bus's RESET line, while the guest stands still: power-on for all chips, but for what a battery keeps."""
        for chip in self.bus.devices():
            chip.bus_reset()
        for part in self.parts.values():
            part.reset()

    def equipment(self) -> Equipment:
        """What a BIOS would find."""
        return Equipment(
            serials=[base for _, (base, _) in zip(self.uarts, COM_PORTS, strict=False)],
            parallels=[LPT1[0]] if self.bus.owner(LPT1[0]) == ParallelPort.name else [],
            floppies=sum(kind != 0 for kind in self.drives.floppy_kinds()),
            disks=sum(sectors != 0 for sectors in self.drives.disk_sizes()),
            disk_tables=self.drives.disk_tables(),
            time_of_day_s=self.rtc.time_of_day_s(),
        )

    def initial(self) -> tuple[tuple[Any, tuple[tuple[int, int], ...]], ...]:
        """Chips with what a BIOS would write to them. None where the kernel has them (--kvm-irqchip)."""
        if self.pit is None:
            return ()
        pins: Any = self.lines.controller
        return ((pins.chip, PIC), (self.pit, PIT))

    def _reset_line(self) -> IrqLine:
        return IrqLine(self.reset_pin, Pulled.CPU)

    def _timing_rows(self) -> tuple[Row, ...]:
        """Interrupt controller and timer, unless the kernel has them (--kvm-irqchip)."""
        if self.pit is None:
            self.lines.owners[0] = "the kernel's timer"
            return ()
        pins: Any = self.lines.controller
        pic = pins.chip
        return (
            (pic, 0x020, 2, 0),
            (pic, 0x0A0, 2, 2),
            (pic, 0x4D0, 2, 4),
            (self.pit, 0x040, 4, 0),
            (self.pit, 0x061, 1, 4),
        )

    def _firmware_rows(self, firmware: Firmware | None, ram: int) -> tuple[Row, ...]:
        return () if firmware is None else ((FwCfg(firmware.items(ram), firmware.files(ram)), 0x510, 2, 0),)

    def _parallel_rows(self, backend: CharBackend | None) -> tuple[Row, ...]:
        if backend is None:
            return ()
        base, irq = LPT1
        return ((ParallelPort(self.lines.take(irq, "parallel-port"), backend), base, ParallelPort.span, 0),)

    def _make_uarts(self, backends: Sequence[CharBackend]) -> list[Uart16550]:
        """COM1 and its like; where two have the same line, it is shared."""
        if len(backends) > len(COM_PORTS):
            raise ConfigError(f"{len(backends)} serial lines: a PC has {len(COM_PORTS)}, COM1 to COM4")
        wanted = [irq for _, irq in COM_PORTS[: len(backends)]]
        shared = {irq: SharedLine(self.lines.take(irq, "uart16550")) for irq in dict.fromkeys(wanted)}
        return [Uart16550(shared[irq].input(), backend) for irq, backend in zip(wanted, backends, strict=True)]

    def _make_cards(self, config: MachineConfig, cables: Sequence[PacketBackend]) -> list[tuple[Ne2000, int]]:
        """The network cards with their first ports; one without a cable has nothing at its end."""
        if len(cables) > len(config.net):
            raise ConfigError(f"{len(cables)} cables for {len(config.net)} network cards: add a NetSpec to net")
        cards = []
        for number, spec in enumerate(config.net):
            base, irq, mac = net_place(spec, number)
            cable = cables[number] if number < len(cables) else PacketBackend()
            cable.connect(self.attention, self.clock)
            cards.append((Ne2000(self.clock, self.lines.take(irq, "ne2000"), cable, mac), base))
        return cards


def net_place(spec: NetSpec, number: int) -> tuple[int, int, bytes]:
    """First port, line and station address of card number (from 0). Raises ConfigError where there is no default.

    The end of a cable that connects has another address than the one that listens.
    """
    if number >= len(NET_PLACES) and (spec.base is None or spec.irq is None):
        raise ConfigError(f"network card {number + 1}: there is no usual place for it: give io= and irq=")
    base, irq = NET_PLACES[number] if number < len(NET_PLACES) else (0, 0)
    mac = bytes((0x02, 0x68, 0x70, 0, spec.kind == "socket", number + 1 & 0xFF))
    return (
        base if spec.base is None else spec.base,
        irq if spec.irq is None else spec.irq,
        mac if spec.mac is None else spec.mac,
    )
