# SPDX-License-Identifier: GPL-2.0-or-later
"""Devices in plain Python, attached to running guests."""

from __future__ import annotations

import re
import traceback
from pathlib import Path

import pytest

from hyperport import Device, DeviceSpec, GuestExit, MemoryBackend, Timeout
from hyperport.machine.plugins import load_device_class

from ..conftest import LIMIT_S, ROOT, built_in, flat_guest, run_command, run_guest

EXAMPLE = ROOT / "docs" / "examples" / "doorbell.py"
WRITES_TO_0X300 = """\
    b0 01          ; mov al, 1                 the operand is at 0x10001
    a2 00 05 00 00 ; mov [0x500], al
    66 ba 00 03    ; mov dx, 0x300
    ee             ; out dx, al
    3c 05          ; cmp al, 5
    72 f0          ; jb 0x10000
    e6 f4          ; out 0xf4, al
    """
OPERAND = 0x10001
CELL = 0x500


class Rewriter(Device):
    """Changes the number that the guest's next round loads, in each of these rounds."""

    name = "rewriter"

    def __init__(self, every: int = 1) -> None:
        self.every = every

    def reset(self) -> None:
        self.seen: list[int] = []

    def write(self, offset: int, size: int, value: int) -> None:
        self.seen.append(value)
        if len(self.seen) % self.every == 0:
            self.memory.write(OPERAND, bytes([value + 1]))


class Broken(Device):
    """Raises on its second write."""

    def reset(self) -> None:
        self.writes = 0

    def write(self, offset: int, size: int, value: int) -> None:
        self.writes += 1
        if self.writes == 2:
            raise ZeroDivisionError("a device went wrong")


def test_example_on_the_command_line() -> None:
    done = run_command("devtest", "--device", f"{EXAMPLE.relative_to(ROOT)}:Doorbell,base=0x300,irq=5")
    assert done.returncode == 1, done
    assert done.stdout.endswith("devtest: 0 failures\n")


def test_example_from_the_configuration() -> None:
    spec = DeviceSpec(path=EXAMPLE, class_name="Doorbell", base=0x300, irq=5)
    outcome, text = run_guest("devtest", devices=(spec,))
    assert outcome == GuestExit(0), text


def test_example_attached_from_python() -> None:
    with built_in("devtest") as machine:
        doorbell = machine.attach(load_device_class(EXAMPLE, "Doorbell")(), 0x300, 5)
        assert machine.run(timeout=LIMIT_S) == GuestExit(0)
        assert doorbell.registers[0] == 0x41
        saved = machine.save_devices()
        assert saved["doorbell"]["own"]["registers"][4] == 0xDEADBEEF
        machine.load_devices(saved)
        assert machine.save_devices()["doorbell"] == saved["doorbell"]


def test_without_its_device_the_guest_complains() -> None:
    outcome, text = run_guest("devtest")
    assert outcome == GuestExit(1)
    assert text.endswith("devtest: 6 failures\n")


def test_exception_comes_out_of_run_with_its_own_frames(tmp_path: Path) -> None:
    with flat_guest(tmp_path, WRITES_TO_0X300) as machine:
        machine.attach(Broken(), 0x300)
        machine.memory.write(OPERAND, b"\0")
        with pytest.raises(ZeroDivisionError, match="a device went wrong") as caught:
            machine.run(timeout=LIMIT_S)
        frames = [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)]
        assert frames[-1] == "write"
        assert machine.run(timeout=0.05) == Timeout(0.05)  # the guest goes on behind its OUT
    assert run_guest("outcome", "exit 1")[0] == GuestExit(1)


def test_exception_on_the_command_line(tmp_path: Path) -> None:
    source = tmp_path / "bad.py"
    source.write_text(
        "class Bad:\n    span = 1\n    def read(self, o, s): return 1\n    def write(self, o, s, v): 1 / 0\n"
    )
    done = run_command("devtest", "--device", f"{source}:Bad,base=0x300")
    assert done.returncode == 70
    assert "1 / 0" in done.stderr
    error, note = done.stderr.splitlines()[-2:]
    assert error == "ZeroDivisionError: division by zero"
    assert re.fullmatch(
        r"hyperport: device bad, port 0x300 \(offset 0x0\): write of 1 byte, value 0x\w+; the guest is at 0008:\w{8}",
        note,
    )


@pytest.mark.parametrize("every", [1, 3])
def test_device_rewrites_code_of_the_guest(every: int, tmp_path: Path) -> None:
    """At its first pass, and when the loop has long led to itself."""
    with flat_guest(tmp_path, WRITES_TO_0X300) as machine:
        device = machine.attach(Rewriter(every), 0x300)
        assert machine.run(timeout=LIMIT_S) == GuestExit(5)
        assert device.seen == [number for number in (1, 2, 3, 4) for _ in range(every)] + [5]


def test_host_rewrites_code_between_two_runs(tmp_path: Path) -> None:
    listing = """\
        b0 01          ; 1: mov al, 1
        a2 00 05 00 00 ; mov [0x500], al
        eb f7          ; jmp 1b
        """
    with flat_guest(tmp_path, listing) as machine:
        for number in (1, 2, 3):
            machine.memory.write(OPERAND, bytes([number]))
            assert machine.run(timeout=0.05) == Timeout(0.05)
            assert machine.memory.read(CELL, 1) == bytes([number])


def test_device_timer(tmp_path: Path) -> None:
    class Alarm(Device):
        """Sets a byte of the guest's memory 5 ms after a write."""

        def write(self, offset: int, size: int, value: int) -> None:
            self.timer.arm_at(self.clock.now_ns() + 5_000_000)

        def on_timer(self, number: int) -> None:
            self.memory.write(CELL, b"\x07")

    listing = """\
        66 ba 00 03    ; mov dx, 0x300
        ee             ; out dx, al
        a0 00 05 00 00 ; 1: mov al, [0x500]
        84 c0          ; test al, al
        74 f7          ; jz 1b
        e6 f4          ; out 0xf4, al
        """
    with flat_guest(tmp_path, listing) as machine:
        machine.attach(Alarm(), 0x300)
        assert machine.run(timeout=LIMIT_S) == GuestExit(7)


def test_strings_go_to_the_device_element_by_element(tmp_path: Path) -> None:
    text = MemoryBackend()
    listing = """\
        be 00 00 01 00 ; mov esi, 0x10000
        b9 04 00 00 00 ; mov ecx, 4
        66 ba 00 03    ; mov dx, 0x300
        f3 66 6f       ; rep outsw
        b0 00          ; mov al, 0
        e6 f4          ; out 0xf4, al
        """

    class Words(Device):
        """Keeps what is written."""

        widths = (1, 2)
        span = 2

        def reset(self) -> None:
            self.seen: list[tuple[int, int, int]] = []

        def write(self, offset: int, size: int, value: int) -> None:
            self.seen.append((offset, size, value))

    with flat_guest(tmp_path, listing, debugcon=text) as machine:
        device = machine.attach(Words(), 0x300)
        assert machine.run(timeout=LIMIT_S) == GuestExit(0)
        assert device.seen == [(0, 2, 0x00BE), (0, 2, 0x0100), (0, 2, 0xB900), (0, 2, 0x0004)]
