# SPDX-License-Identifier: GPL-2.0-or-later
"""The chips of qemu without a guest: its qtest protocol lets a test be the CPU. See qemu, docs/devel/testing/qtest."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType

import pytest

QEMU = shutil.which("qemu-system-i386")
PATIENCE_S = 30  # hung, not slow
FIRMWARE = bytes.fromhex("fa f4 eb fc").rjust(0xFFF4, b"\0").ljust(0x10000, b"\0")  # at F000:FFF0, CLI and HLT for ever


class Monitor:
    """qemu's monitor protocol (QMP). arguments: for qemu's command line. folder: for the socket, and for pictures."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "monitor"
        self.arguments = ["-qmp", f"unix:{self.path},server=on,wait=off"]
        self.socket: socket.socket | None = None

    def screendump(self) -> list[list[tuple[int, int, int]]]:
        """What is on the screen, line by line: red, green and blue of each pixel."""
        path = self.folder / "screen.ppm"
        self.order("screendump", filename=str(path))
        kind, size, most, pixels = path.read_bytes().split(b"\n", 3)
        assert (kind, most) == (b"P6", b"255")
        width, height = (int(number) for number in size.split())
        assert len(pixels) == 3 * width * height
        dots = list(zip(pixels[::3], pixels[1::3], pixels[2::3], strict=True))
        return [dots[at : at + width] for at in range(0, len(dots), width)]

    def order(self, command: str, **arguments: str) -> None:
        """A command; returns when it is done."""
        if self.socket is None:
            self.socket = self._connect()
            self.answers = self.socket.makefile("r")
            self.order("qmp_capabilities")
        self.socket.sendall(json.dumps({"execute": command, "arguments": arguments}).encode())
        while "return" not in (answer := json.loads(self.answers.readline())):
            assert "error" not in answer, answer

    def _connect(self) -> socket.socket:
        made = socket.socket(socket.AF_UNIX)
        made.settimeout(PATIENCE_S)
        limit = time.monotonic() + PATIENCE_S
        while True:
            try:
                made.connect(str(self.path))
            except (FileNotFoundError, ConnectionRefusedError):
                assert time.monotonic() < limit, "qemu has no monitor"
                time.sleep(0.01)
            else:
                return made

    def close(self) -> None:
        """The connection, if there is one."""
        if self.socket is not None:
            self.answers.close()
            self.socket.close()


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
        self.monitor = Monitor(Path(self.folder.name))
        command += self.monitor.arguments
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

    def outw(self, port: int, value: int) -> None:
        """A word to a port."""
        self.ask(f"outw {port:#x} {value:#x}")

    def inw(self, port: int) -> int:
        """A word of a port."""
        return int(self.ask(f"inw {port:#x}"), 16)

    def screendump(self) -> list[list[tuple[int, int, int]]]:
        """What is on the screen."""
        return self.monitor.screendump()

    def __enter__(self) -> Qtest:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.monitor.close()
        self.process.kill()
        self.process.wait()
        self.folder.cleanup()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()
