# SPDX-License-Identifier: GPL-2.0-or-later
"""The state of a PC that a kernel finds which no firmware has started, also beside what qemu's SeaBIOS leaves."""

from __future__ import annotations

import shutil
import struct
import subprocess
from pathlib import Path
from typing import Any

import pytest

from hyperport import DiskSpec, GuestExit, Machine, MemoryBackend, StopKind, Timeout
from hyperport.bus.access import Direction, PortAccess
from hyperport.lines.attention import Pulled
from hyperport.time.clock import VirtualClock

from ..conftest import MIB
from .board import BIN, LIMIT_S

KERNEL = BIN / "pcstate.bin"
QEMU = shutil.which("qemu-system-i386")
# What only a BIOS has, by offset in its data area: its own variables, tables of its own, and the time.
OF_A_BIOS = {
    *range(0x50, 0x60),  # the cursor is where its messages have left it
    *range(0x65, 0x67),  # registers of a CGA: SeaVGABIOS has none
    *range(0x6C, 0x70),
    *range(0x76, 0x78),
    *range(0x78, 0x80),  # time limits: SeaBIOS for the ports that are there, here for all
    0x8F,
    *range(0xA8, 0xAC),
    *range(0xB0, 0x100),
}


def told(text: str) -> dict[str, bytes]:
    """The lines of the guest program."""
    return {name: bytes.fromhex(digits) for name, digits in (line.split() for line in text.splitlines())}


def start(console: MemoryBackend, **config: Any) -> Machine:
    return Machine(kernel=KERNEL, memory=4 * MIB, debugcon=console, **config)


def finish(machine: Machine, console: MemoryBackend) -> tuple[dict[str, bytes], Any]:
    outcome = machine.run(timeout=LIMIT_S)
    return told(console.output().decode()), outcome


def run(**config: Any) -> tuple[dict[str, bytes], Any]:
    console = MemoryBackend()
    with start(console, **config) as machine:
        return finish(machine, console)


def but_for_the_time(lines: dict[str, bytes]) -> dict[str, bytes]:
    area = bytearray(lines["area"])
    area[0x6C:0x70] = bytes(4)
    return lines | {"area": bytes(area), "chips": bytes([*lines["chips"][:2], lines["chips"][2] & 0x3F])}


@pytest.mark.parametrize("io", ["trap", "exit", "hypercall", "exitless"])
@pytest.mark.parametrize("clock", ["real", "virtual"])
def test_a_real_mode_guest_lives_on_it(clock: str, io: str) -> None:
    lines, outcome = run(io=io, engine="unicorn", clock=VirtualClock() if clock == "virtual" else None)
    assert outcome == GuestExit(0)
    assert lines["chips"][:3] == bytes((0xB8, 0x8E, 0x34 | lines["chips"][2] & 0xC0))
    assert lines["chips"][3] & 0x03 == 0  # the speaker is off
    assert lines["services"] == lines["area"][0x10:0x12] + lines["area"][0x13:0x15]
    assert lines["ticks"] == b"\x03"


@pytest.mark.skipif(QEMU is None, reason="no qemu-system-i386")
def test_as_the_firmware_of_qemu_leaves_it(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.write_bytes(bytes(64 * MIB))
    command = f"{QEMU} -machine isapc -m 4 -display none -nodefaults -vga std -serial null -debugcon stdio -no-reboot"
    command += " -device isa-debug-exit,iobase=0xf4"
    firmware = told(
        subprocess.run(
            [*command.split(), "-drive", f"if=ide,format=raw,file={disk}", "-kernel", KERNEL],
            stdout=subprocess.PIPE,
            text=True,
            timeout=LIMIT_S,
            check=False,
        ).stdout
    )
    ours, _ = run(disks=(DiskSpec(path=disk),))
    assert ours["disk"] == firmware["disk"] != bytes(16)
    differing = {at for at in range(0x100) if ours["area"][at] != firmware["area"][at]}
    assert differing <= OF_A_BIOS
    assert ours["chips"][:2] == firmware["chips"][:2]
    assert (ours["chips"][2] ^ firmware["chips"][2]) & 0x3F == 0  # but for OUT and the null count
    assert ours["services"] == firmware["services"]
    assert ours["ticks"] == firmware["ticks"]
    for number in (*range(0x08, 0x10), *range(0x70, 0x78)):
        for side in (ours, firmware):
            assert struct.unpack_from("<HH", side["vectors"], 4 * number)[1] == 0xF000, f"vector {number:#x}"


@pytest.mark.parametrize("line", [Pulled.BOARD, Pulled.CPU])
def test_a_reset_leaves_the_same(line: Pulled) -> None:
    console = MemoryBackend()
    with start(console, reboot=True) as machine:
        first, _ = finish(machine, console)
        console.clear()
        for port, value in ((0x21, 0xFF), (0xA1, 0xFF), (0x43, 0x30), (0x61, 0x03)):
            machine.bus.outp(port, 1, value)
        machine.memory.write(0, b"\xff" * 0x500)
        machine.memory.write(0xF0000, bytes(0x10000))
        machine.reset(line)
        again, outcome = finish(machine, console)
    assert outcome == GuestExit(0)
    assert but_for_the_time(again) == but_for_the_time(first)


class SecondTick:
    """Stops the run where the handler of IRQ 0 ends the interrupt the second time: in real mode."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.left = 2

    def __call__(self, access: PortAccess) -> None:
        if access.direction is Direction.OUT and (access.port, access.value) == (0x20, 0x20):
            self.left -= 1
            if self.left == 0:
                self.machine.request_stop(StopKind.TIMEOUT)


def test_a_machine_that_is_saved_in_real_mode_goes_on(tmp_path: Path) -> None:
    console = MemoryBackend()
    with start(console, engine="unicorn") as machine:
        machine.bus.observe(SecondTick(machine))
        assert isinstance(machine.run(timeout=LIMIT_S), Timeout)
        assert not machine.engine.state().cr0 & 1
        machine.save(tmp_path / "state")
    console = MemoryBackend()
    with Machine.restore(tmp_path / "state", debugcon=console) as again:
        lines, outcome = finish(again, console)
    assert outcome == GuestExit(0)
    assert lines == {"ticks": b"\x03"}


def test_firmware_does_it_itself(tmp_path: Path) -> None:
    bios = tmp_path / "bios"
    bios.write_bytes(b"\xf4" * 0x10000)
    with Machine(bios=bios, memory=2 * MIB) as machine:
        assert machine.memory.read(0, 0x500) == bytes(0x500)
        assert machine.bus.inp(0x21, 1) == 0xFF
