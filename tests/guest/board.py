# SPDX-License-Identifier: GPL-2.0-or-later
"""A machine for guest programs of this project: test device, and a VMI ROM that needs no VMM behind it."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from hyperport.abi.numbers import ROM_BASE
from hyperport.abi.rom import RomImage
from hyperport.devices.testdev import TestDevice
from hyperport.host.char import MemoryBackend
from hyperport.machine.machine import Machine
from hyperport.outcome import GuestExit

BIN: Final = Path(__file__).parents[2] / "src" / "hyperport" / "guests" / "bin"
TEST_DEVICE: Final = 0x340
LIMIT_S: Final = 120  # hung, not slow

# The instructions that the port calls stand for.
INSTRUCTIONS: Final = {
    49: b"\xed",
    50: b"\xec",
    51: b"\x66\xed",
    52: b"\xf3\x6d",
    53: b"\xf3\x6c",
    54: b"\xf3\x66\x6d",
    55: b"\xef",
    56: b"\xee",
    57: b"\x66\xef",
    58: b"\xf3\x6f",
    59: b"\xf3\x6e",
    60: b"\xf3\x66\x6f",
}


def self_sufficient(rom: RomImage, stubs: dict[int, bytes] | None = None) -> bytes:
    """The ROM with the instruction itself in place of each doorbell; stubs: other code by call number, RET included."""
    image = bytearray(rom.data)
    for offset, number in rom.doorbells.items():
        stub = (stubs or {}).get(number, INSTRUCTIONS[number] + b"\xc3")
        image[offset : offset + len(stub)] = stub
    return with_sum_zero(image)


def with_sum_zero(image: bytearray) -> bytes:
    """The image with its last byte such that all bytes add up to 0."""
    image[-1] = -sum(image[:-1]) & 0xFF
    return bytes(image)


def run(program: str, append: str = "", *, rom: bytes = b"", device: bool = True) -> tuple[int, list[str]]:
    """Runs bin/PROGRAM.elf; returns the value that it exited with, and its lines. rom: bytes to put at ROM_BASE."""
    console = MemoryBackend()
    with Machine(kernel=BIN / f"{program}.elf", append=append, memory=32 << 20, serial=console) as machine:
        if device and "testdev" not in {chip.name for chip in machine.bus.devices()}:
            machine.attach(TestDevice(), TEST_DEVICE)
        if rom:
            machine.memory.write(ROM_BASE, rom)
        outcome = machine.run(timeout=LIMIT_S)
        assert isinstance(outcome, GuestExit), (outcome, console.output())
        return outcome.value, console.output().decode().splitlines()
