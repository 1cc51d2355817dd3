# SPDX-License-Identifier: GPL-2.0-or-later
"""Fuzzing of devices: random port accesses, passing time, input, and save/load at random points. Not a crash, not an
exception, no growth; and whoever is saved, reset and loaded again answers as if nothing had happened. Input is what
comes from outside: bytes, frames, keys, the mouse, media that are changed, somebody who looks at the screen.

A subject is one device alone on a bus, or a whole board. Everything follows from its seed, so a seed and the number of
a step are a reproducer. A compiled chip that goes wrong takes the process with it: tools/fuzz_devices.py runs this in
a child.
"""

from __future__ import annotations

import random
import resource
import tracemalloc
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any, Final, Protocol

from hyperport.bus.port_bus import PortBus
from hyperport.bus.python_device import PythonDevice
from hyperport.devices import CHIPS
from hyperport.devices.atapi_cdrom import AtapiCdrom
from hyperport.host.char import CharBackend, MemoryBackend
from hyperport.host.packet import PacketBackend
from hyperport.host.specs import DiskSpec, NetSpec
from hyperport.lines.attention import Attention
from hyperport.machine.machine import Machine
from hyperport.memory.ram import GuestMemory
from hyperport.testing.hands import DiscChanger, FloppyChanger, Hands, Viewer
from hyperport.testing.wild_guest import WildGuest
from hyperport.time.clock import VirtualClock

STEP_BYTES: Final = 8
LONGEST_BURST: Final = 8192  # steps between two moments for save, load and input
LONGEST_INPUT: Final = 512  # bytes
ALONE_BASE: Final = 0x100
ALONE_MEMORY: Final = 0xD0000  # device memory
BOARD: Final = "board"
MEMORY: Final = "memory"
PIECE_BYTES: Final = 64 << 10
ZEROS: Final = bytes(PIECE_BYTES)
MAC: Final = bytes.fromhex("020000000001")
MOST_FRAME: Final = 1518  # bytes, without the FCS, with a tag
DISK_BYTES: Final = 1 << 20
FLOPPY_BYTES: Final = 1440 << 10
CDROM_BYTES: Final = 80 * 2048
HIGH_DENSITY: Final = 4  # kind of a drive for 1.44 MB, as CMOS byte 10h has it
KEPT_OUTPUT: Final = 64 << 10
TALLIES_IN_A_PAGE: Final = 8  # ports whose counters fill a page of the host: all are touched first, and grow no more
PYTHON_GROWTH: Final = 1 << 20  # bytes that Python objects may grow by, after the first tenth
HOST_GROWTH: Final = 16 << 20  # the same for the process


class FuzzError(AssertionError):
    """A device broke a rule; step is the number of the last step that was played."""

    def __init__(self, text: str, step: int) -> None:
        super().__init__(f"{text}, by step {step}")
        self.step = step


@dataclass
class Subject:
    """What is fuzzed. records: the devices by name, each with save, load and reset. ports: where most accesses go."""

    name: str
    bus: PortBus
    clock: VirtualClock
    attention: Attention
    ports: Sequence[int]
    devices: dict[str, Any]
    inputs: Sequence[Input] = ()
    controller: Any = None
    memory: GuestMemory | None = None  # that devices keep something in, beside their records
    keep: Any = None  # what must live as long

    def input_waits(self) -> bool:
        """Whether a backend has bytes that its device has not taken. They belong to no device's state."""
        empty = CharBackend().room()
        return any(backend.room() < empty for backend in self.inputs)

    def save(self) -> dict[str, Any]:
        """The state of every device, and the memory."""
        return {name: device.save() for name, device in self.devices.items()} | self._memory()

    def _memory(self) -> dict[str, Any]:
        """RAM, and the memory of regions, in pieces that are not all zeros: (which, offset) -> bytes."""
        found = {}
        for which, (holder, size) in enumerate(self._holders()):
            for at in range(0, size, PIECE_BYTES):
                piece = holder.read(at, min(PIECE_BYTES, size - at))
                if piece != ZEROS[: len(piece)]:
                    found[which, at] = piece
        return {MEMORY: found} if self.memory is not None else {}

    def _holders(self) -> list[tuple[Any, int]]:
        """Whatever has memory: the RAM, then regions with their own."""
        if self.memory is None:
            return []
        own = [region for region in self.memory.map.regions() if region.kind in ("ram", "rom")]
        return [(self.memory, self.memory.size), *((region, region.size) for region in own)]

    def reset(self) -> None:
        """Power-on."""
        for device in self.devices.values():
            device.reset()

    def load(self, records: dict[str, Any]) -> None:
        """Take back what save() gave."""
        now, kept = self._memory().get(MEMORY, {}), records.get(MEMORY, {})
        holders = self._holders()
        for which, at in now.keys() | kept.keys():
            holder, size = holders[which]
            holder.write(at, kept.get((which, at), bytes(min(PIECE_BYTES, size - at))))
        for name, device in self.devices.items():
            device.load(records[name])


@dataclass(frozen=True)
class FuzzResult:
    """What was done. A block is one access of several elements. answers: a checksum of all that was read."""

    name: str
    seed: int
    accesses: int
    elements: int
    loads: int
    answers: int
    python_growth: int
    host_growth: int
    resident: int  # bytes of the process at the end

    def __str__(self) -> str:
        return (
            f"{self.name}: {self.accesses} accesses ({self.elements} elements), {self.loads} save/load,"
            f" seed {self.seed}, answers {self.answers:016x}, growth {self.python_growth >> 10} KiB in Python,"
            f" {self.host_growth >> 10} KiB in the process (of {self.resident >> 10} KiB)"
        )


Factory = Callable[[Attention, VirtualClock], Any]


class Input(Protocol):
    """What a device has its input from, as CharBackend."""

    def room(self) -> int:
        """How much it would take now."""

    def feed(self, data: bytes) -> Any:
        """Give it bytes; what finds no room is lost."""


def _uart(attention: Attention, clock: VirtualClock) -> tuple[Any, Input]:
    from hyperport.devices.uart16550 import Uart16550

    backend = MemoryBackend(KEPT_OUTPUT)
    backend.connect(attention, clock)
    return Uart16550(None, backend), backend


class Cable:
    """Frames of random bytes for a network card, half of them to its own address. They never wait: it is not paced."""

    def __init__(self) -> None:
        self.backend = PacketBackend(paced=False)
        self.card: Any = None

    def room(self) -> int:
        """As a CharBackend that is empty."""
        return CharBackend().room()

    def feed(self, data: bytes) -> None:
        """Let a frame arrive."""
        receiver = MAC if data[0] & 1 else data[:6]
        self.backend.deliver((receiver + data * 3)[: MOST_FRAME - data[0] % 64], damage=data[-1] % 3)
        self.card.receive()


def _ne2000(attention: Attention, clock: VirtualClock) -> tuple[Any, Input]:
    from hyperport.devices.ne2000 import Ne2000

    cable = Cable()
    cable.backend.connect(attention, clock)
    cable.card = Ne2000(clock, None, cable.backend, MAC)
    return cable.card, cable


def _keyboard(attention: Attention, clock: VirtualClock) -> tuple[Any, Input]:
    from hyperport.devices.i8042 import I8042

    typed, pointed = CharBackend(), CharBackend()
    for backend in (typed, pointed):
        backend.connect(attention, clock)
    return I8042(typed=typed, clock=clock, pointed=pointed), Hands(typed, pointed)


def _floppies(_attention: Attention, clock: VirtualClock) -> tuple[Any, Input]:
    from hyperport.devices.fdc82077 import Fdc82077
    from hyperport.devices.floppy_drive import FloppyDrive

    drives = (FloppyDrive(HIGH_DENSITY), FloppyDrive(HIGH_DENSITY))
    return Fdc82077(clock, None, drives), FloppyChanger(drives)


def _ide(_attention: Attention, _clock: VirtualClock) -> tuple[Any, Input]:
    from hyperport.devices.ata_drive import AtaDrive
    from hyperport.devices.atapi_cdrom import AtapiCdrom
    from hyperport.devices.ide import IdeChannel
    from hyperport.host.disk import MemoryDisk

    drive = AtapiCdrom(MemoryDisk(CDROM_BYTES, writable=False))
    return IdeChannel(None, AtaDrive(MemoryDisk(DISK_BYTES)), drive), DiscChanger(drive)


def _vga(_attention: Attention, clock: VirtualClock) -> tuple[Any, Input]:
    from hyperport.devices.vbe_dispi import VbeDispi
    from hyperport.devices.vga import Vga
    from hyperport.ui.display import Display

    vga = Vga(clock, GuestMemory(1 << 20))
    return vga, Viewer(Display(vga, VbeDispi(vga)))


def _vbe_dispi(_attention: Attention, clock: VirtualClock) -> tuple[Any, Input]:
    from hyperport.devices.vbe_dispi import VbeDispi
    from hyperport.devices.vga import Vga
    from hyperport.ui.display import Display

    vga = Vga(clock, GuestMemory(1 << 20))
    dispi = VbeDispi(vga)
    return dispi, Viewer(Display(vga, dispi))


# Chips that do more when they have something behind them than CHIPS gives them: (chip, what takes input) by name.
WIRED: Final[dict[str, Callable[[Attention, VirtualClock], tuple[Any, Input]]]] = {
    "fdc82077": _floppies,
    "i8042": _keyboard,
    "ide": _ide,
    "ne2000": _ne2000,
    "uart16550": _uart,
    "vbe-dispi": _vbe_dispi,
    "vga": _vga,
}


def alone(name: str, factory: Factory | None = None) -> Subject:
    """One device on a bus of its own: a chip of CHIPS by name, or what factory makes, also in plain Python."""
    clock, attention, bus = VirtualClock(), Attention(), PortBus()
    inputs: list[Input] = []
    if factory is None and name in WIRED:
        device, backend = WIRED[name](attention, clock)
        inputs.append(backend)
    else:
        device = (factory or CHIPS[name])(attention, clock)
    attached = bus.attach(device, ALONE_BASE)
    if isinstance(attached, PythonDevice):
        attached.connect(attention)
    memory = getattr(device, "guest_memory", None)
    if attached.memory_span:
        bus.attach_memory((memory or GuestMemory(1 << 20)).map, device, ALONE_MEMORY)
    attached.reset()
    ports = range(ALONE_BASE, ALONE_BASE + attached.span)
    return Subject(name, bus, clock, attention, ports, {name: attached}, inputs, memory=memory, keep=device)


def board(**config: Any) -> Subject:
    """A whole machine, without a CPU, with drives of all kinds, a network card, a printer. config: as for Machine."""
    clock, cable = VirtualClock(), Cable()
    serial, debugcon, printer = (MemoryBackend(KEPT_OUTPUT) for _ in range(3))
    settings: dict[str, Any] = {"engine": "scripted", "memory": 2 << 20, "testdev": True, "net": (NetSpec(mac=MAC),)}
    with (  # the machine keeps them open
        NamedTemporaryFile(suffix=".img") as image,
        NamedTemporaryFile(suffix=".img") as floppy,
        NamedTemporaryFile(suffix=".iso") as disc,
    ):
        image.truncate(DISK_BYTES)
        floppy.truncate(FLOPPY_BYTES)
        disc.truncate(CDROM_BYTES)
        disk = DiskSpec(path=Path(image.name), snapshot=True)
        machine = Machine(
            serial=serial,
            debugcon=debugcon,
            parallel=printer,
            cables=[cable.backend],
            clock=clock,
            **settings | {"disks": (disk,), "floppies": (floppy.name, "none"), "cdroms": (disc.name,)} | config,
        )
    cable.card = machine.named_devices()["ne2000"]
    ports = [port for first, last, _ in machine.bus.map() for port in range(first, last + 1)]
    devices = machine.named_devices()
    inputs: list[Input] = [
        serial,
        cable,
        Hands(machine.keys.ring, machine.mouse.ring),
        FloppyChanger([drive for drive in machine.drives.floppies if drive is not None]),
        *(DiscChanger(drive) for drive in machine.drives.secondary if isinstance(drive, AtapiCdrom)),
        Viewer(machine.display),
    ]
    return Subject(
        BOARD, machine.bus, clock, machine.attention, ports, devices, inputs, machine.controller,
        machine.memory, keep=machine,
    )  # fmt: skip


def subject(name: str) -> Subject:
    """What --device names: a chip, or the board."""
    return board() if name == BOARD else alone(name)


def fuzz(target: Subject, accesses: int, seed: int, *, save_load: bool = True, progress: Any = None) -> FuzzResult:
    """Play steps on target until there were so many accesses. Raises FuzzError.

    Without save_load nothing is ever saved, and the answers must be the same. progress: see WildGuest.
    """
    rng = random.Random(seed)
    guest = WildGuest(target.bus, target.clock, target.ports, target.controller, progress)
    loads = 0
    growth: _Growth | None = None
    for port in range(0, 0x10000, TALLIES_IN_A_PAGE):
        target.bus.inp(port)
    while guest.accesses < accesses:
        burst = min(rng.randint(1, LONGEST_BURST), accesses - guest.accesses)
        saves, feeds, what = rng.random() < 0.5, rng.random() < 0.25, rng.randbytes(rng.randint(1, LONGEST_INPUT))
        guest.play(rng.randbytes(STEP_BYTES * burst))
        _, _, failure, _ = target.attention.take_stop()
        if failure is not None:
            raise FuzzError(f"{target.name} raised {type(failure).__name__}: {failure}", guest.steps) from failure
        if feeds:
            for backend in target.inputs:
                backend.feed(what)
        if saves and save_load and not target.input_waits():  # a reset device would take the bytes
            _save_and_load(target, guest.steps)
            loads += 1
        if growth is None and guest.accesses >= accesses // 10:
            growth = _Growth()
    python, host = growth.since() if growth is not None else (0, 0)
    if python > PYTHON_GROWTH or host > HOST_GROWTH:
        raise FuzzError(f"{target.name} grew by {python} bytes in Python, {host} in the process", guest.steps)
    return FuzzResult(
        target.name, seed, guest.accesses, guest.elements, loads, guest.answers, python, host, _resident()
    )


def _save_and_load(target: Subject, step: int) -> None:
    deadline = target.clock.next_deadline_ns()
    records = target.save()
    target.reset()
    target.load(records)
    again = target.save()
    if again != records:
        wrong = [name for name, record in records.items() if again[name] != record]
        raise FuzzError(f"{', '.join(wrong)}: not the same after reset and load", step)
    if target.clock.next_deadline_ns() != deadline:
        raise FuzzError(f"{target.name}: another deadline after reset and load", step)


class _Growth:
    """What the process holds now, to compare with later."""

    def __init__(self) -> None:
        self.started = not tracemalloc.is_tracing()
        if self.started:
            tracemalloc.start()
        self.python, _ = tracemalloc.get_traced_memory()
        self.host = _resident()

    def since(self) -> tuple[int, int]:
        """Bytes more in Python objects and in the process."""
        python, _ = tracemalloc.get_traced_memory()
        host = _resident()
        if self.started:
            tracemalloc.stop()
        return max(0, python - self.python), max(0, host - self.host)


def _resident() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()
