# SPDX-License-Identifier: GPL-2.0-or-later
"""The state of a PC that a kernel finds which no firmware has started, also beside what qemu's SeaBIOS leaves."""

from __future__ import annotations

import shutil
import struct
import subprocess
from typing import Any

import pytest

from hyperport import GuestExit, Machine, MemoryBackend
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


def run(**config: Any) -> tuple[dict[str, bytes], Any]:
    console = MemoryBackend()
    with Machine(kernel=KERNEL, memory=4 * MIB, debugcon=console, **config) as machine:
        outcome = machine.run(timeout=LIMIT_S)
    return told(console.output().decode()), outcome


@pytest.mark.parametrize("clock", ["real", "virtual"])
def test_a_real_mode_guest_lives_on_it(clock: str) -> None:
    lines, outcome = run(clock=VirtualClock() if clock == "virtual" else None)
    assert outcome == GuestExit(0)
    assert lines["chips"][:3] == bytes((0xB8, 0x8E, 0x34 | lines["chips"][2] & 0xC0))
    assert lines["chips"][3] & 0x03 == 0  # the speaker is off
    assert lines["services"] == lines["area"][0x10:0x12] + lines["area"][0x13:0x15]
    assert lines["ticks"] == b"\x03"


@pytest.mark.skipif(QEMU is None, reason="no qemu-system-i386")
def test_as_the_firmware_of_qemu_leaves_it() -> None:
    command = f"{QEMU} -machine isapc -m 4 -display none -nodefaults -vga std -serial null -debugcon stdio -no-reboot"
    firmware = told(
        subprocess.run(
            [*command.split(), "-device", "isa-debug-exit,iobase=0xf4", "-kernel", KERNEL],
            stdout=subprocess.PIPE,
            text=True,
            timeout=LIMIT_S,
            check=False,
        ).stdout
    )
    ours, _ = run()
    differing = {at for at in range(0x100) if ours["area"][at] != firmware["area"][at]}
    assert differing <= OF_A_BIOS
    assert ours["chips"][:2] == firmware["chips"][:2]
    assert (ours["chips"][2] ^ firmware["chips"][2]) & 0x3F == 0  # but for OUT and the null count
    assert ours["services"] == firmware["services"]
    assert ours["ticks"] == firmware["ticks"]
    for number in (*range(0x08, 0x10), *range(0x70, 0x78)):
        for side in (ours, firmware):
            assert struct.unpack_from("<HH", side["vectors"], 4 * number)[1] == 0xF000, f"vector {number:#x}"
