# SPDX-License-Identifier: GPL-2.0-or-later
"""A machine in which something is under way everywhere: what tests and fuzzers of saved machines begin with."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from hyperport.bus.plain_device import Device
from hyperport.host.char import MemoryBackend
from hyperport.host.specs import DiskSpec, NetSpec
from hyperport.machine.machine import Machine
from hyperport.time.clock import VirtualClock

DISK_SECTORS: Final = 64
PAGE: Final = 4096
WINDOW: Final = 0xD0000
PYTHON_BASE: Final = 0x5C0


class Latch(Device):
    """Keeps what is written, asks for its interrupt by its bit 0, and has a timer under way."""

    span = 4

    def __init__(self) -> None:
        self.value = 0

    def read(self, offset: int, size: int) -> int:  # noqa: ARG002 - one register at all offsets
        """What was written last."""
        return self.value

    def write(self, offset: int, size: int, value: int) -> None:  # noqa: ARG002
        """Keep it."""
        self.value = value
        self.irq.set(value & 1)
        self.timer.arm_at(self.clock.now_ns() + 1_000_000)

    def save(self) -> dict[str, Any]:
        """The byte."""
        return {"value": self.value}

    def load(self, record: dict[str, Any]) -> None:
        """Take it back."""
        value = record["value"]
        if type(value) is not int or not 0 <= value < 256 or set(record) != {"value"}:
            raise ValueError(f"no byte: {value!r}")
        self.value = value


class Window(Device):
    """Device memory whose window the guest has moved; only the machine saves where it is."""

    memory_span = 2 * PAGE
    stateless = True


def attach(machine: Machine) -> Latch:
    """What a machine like busy_machine() is given beside its options, as at power-on; returns the device with ports."""
    latch: Latch = machine.attach(Latch(), PYTHON_BASE, irq=5)
    _attach_memory(machine)
    return latch


def _attach_memory(machine: Machine) -> None:
    """Regions of each kind."""
    regions = machine.memory.map
    machine.attach(Window(), memory=WINDOW)
    rom = regions.rom("rom", 0xFFFF0000, 16 * PAGE)
    rom.write(16 * PAGE - 16, b"\xea\x5b\xe0\x00\xf0")
    regions.alias("low-rom", 0xF0000, 8 * PAGE, rom, 8 * PAGE)
    regions.ram("frame", 0xD0000000, 4 * PAGE)
    regions.hole("hole", 0xC8000, PAGE)
    regions.rom_in_ram("shadow", 0xE8000, PAGE)


def switch_memory(machine: Machine) -> None:
    """What a guest might have done with them."""
    named = {region.name: region for region in machine.memory.map.regions()}
    named["window"].map(WINDOW + 0x10000)
    named["frame"].write(2 * PAGE + 5, b"picture")
    named["low-rom"].unmap()
    named["frame"].map(0xE1000000)


def busy_machine(folder: Path, **config: Any) -> Machine:
    """The machine, with a disk's image in folder; config: as for Machine. clock: one that can be advanced."""
    image = folder / "disk.img"
    if not image.exists():
        image.write_bytes(bytes(range(256)) * 2 * DISK_SECTORS)
    settings: dict[str, Any] = {
        "engine": "unicorn",
        "memory": 1 << 20,
        "testdev": True,
        "net": (NetSpec(mac=bytes.fromhex("020000000001"), base=0x320, irq=10),),
        "disks": (DiskSpec(path=image, snapshot=True),),
    }
    clock = config.pop("clock", None) or VirtualClock()
    machine = Machine(
        serial=[MemoryBackend(), MemoryBackend()], parallel=MemoryBackend(), clock=clock, **settings | config
    )
    latch = attach(machine)
    switch_memory(machine)
    out = machine.bus.outp
    for port, value in (
        *(
            (0x20, 0x11),
            (0x21, 0x20),
            (0x21, 4),
            (0x21, 1),
            (0x21, 0xE4),
            (0xA0, 0x11),
            (0xA1, 0x28),
            (0xA1, 2),
            (0xA1, 1),
        ),
        *((0x43, 0x34), (0x40, 0x9C), (0x40, 0x2E), (0x43, 0xB6), (0x42, 0x11), (0x61, 3)),
        *((0x3F9, 0x0F), (0x3FC, 0x0B), (0x3FA, 0xC7), (0x70, 0x8B), (0x71, 0x42), (0x70, 0x8A), (0x71, 0x26)),
        *((0x64, 0x60), (0x60, 0x41), (0x3D4, 0x0E), (0x3D5, 7), (0x378, 0x55), (0x37A, 0x10), (0x80, 0xA5)),
        *((0x1F2, 2), (0x1F3, 5), (0x1F4, 0), (0x1F5, 0), (0x1F6, 0xE0), (0x1F7, 0x20), (PYTHON_BASE, 3)),
    ):
        out(port, 1, value)
    machine.bus.inp_block(0x1F0, 2, 100)
    machine.drives.images["hda"].write_sectors(9, b"\x5a" * 1024)
    out(0x344, 4, 0x1234)
    machine.host.serials[0].emit(b"login: ")
    machine.host.serials[0].feed(b"root\nand more than the FIFO has room for")
    machine.type("hello")
    machine.mouse.press("left")
    machine.mouse.move(3, -4)
    machine.memory.write(0x7C00, bytes(range(1, 256)) * 40)
    clock.advance(3_000_000)
    assert latch.value == 3
    return machine
