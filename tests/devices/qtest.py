# SPDX-License-Identifier: GPL-2.0-or-later
"""The chips of qemu without a guest: its qtest protocol lets a test be the CPU. See qemu, docs/devel/testing/qtest."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType

import pytest

QEMU = shutil.which("qemu-system-i386")
FIRMWARE = bytes.fromhex("fa f4 eb fc").rjust(0xFFF4, b"\0").ljust(0x10000, b"\0")  # at F000:FFF0, CLI and HLT for ever


class Qtest:
    """An isapc of qemu that executes nothing, with arguments added. Ports and memory are for the test to touch."""

    def __init__(self, *arguments: str) -> None:
        if QEMU is None:
            pytest.skip("no qemu-system-i386 is installed")
        self.folder = TemporaryDirectory()  # a distribution's qemu has no accelerator "qtest": its processor halts
        firmware = Path(self.folder.name, "halt.bin")
        firmware.write_bytes(FIRMWARE)
        command = [QEMU, "-machine", "isapc", "-bios", str(firmware), "-display", "none", "-nodefaults", "-m", "4"]
        command += ["-qtest", "stdio", "-qtest-log", "/dev/null", *arguments]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )

    def ask(self, words: str) -> str:
        """One command; what stands behind OK. Interrupts that qemu tells of are passed over."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{words}\n")
        self.process.stdin.flush()
        while (line := self.process.stdout.readline()).startswith("IRQ"):
            pass
        assert line.startswith("OK"), f"{words}: {line!r}"
        return line[2:].strip()

    def inb(self, port: int) -> int:
        """A byte of a port."""
        return int(self.ask(f"inb {port:#x}"), 16)

    def outb(self, port: int, value: int) -> None:
        """A byte to a port."""
        self.ask(f"outb {port:#x} {value:#x}")

    def read(self, address: int, size: int) -> bytes:
        """Bytes of memory."""
        return bytes.fromhex(self.ask(f"read {address:#x} {size:#x}")[2:])

    def write(self, address: int, data: bytes) -> None:
        """Bytes to memory."""
        self.ask(f"write {address:#x} {len(data):#x} 0x{data.hex()}")

    def __enter__(self) -> Qtest:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.process.kill()
        self.process.wait()
        self.folder.cleanup()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()
