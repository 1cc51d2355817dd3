# SPDX-License-Identifier: GPL-2.0-or-later
"""Debian's own drivers on the ports of a PC: 8250 on four serial ports, parport_pc and lp, pcspkr."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from hyperport import Machine, MemoryBackend, Outcome, Reset, StopKind
from hyperport.guests.registry import DEBIAN_APPEND

from .conftest import ANSWER_S, BOOT_S, require, trouble

pytestmark = pytest.mark.real


def eventually(found: Callable[[], bool], seconds: float = ANSWER_S) -> bool:
    """Whether it came true within that time."""
    end = time.monotonic() + seconds
    while not found():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


class Debian:
    """A running guest with a shell on COM1."""

    def __init__(self, machine: Machine, lines: list[MemoryBackend]) -> None:
        self.machine = machine
        self.lines = lines
        self.outcome: Outcome | None = None
        self.commands = 0

    def said(self, line: int = 0) -> str:
        """All that came out of a serial line, with plain newlines."""
        return self.lines[line].output().decode(errors="replace").replace("\r", "")

    def shell(self, command: str) -> list[str]:
        """Type a command; the lines of its output."""
        self.commands += 1
        begin, end = f"begin {self.commands}", f"end {self.commands}"
        typed = f"echo {begin}; {command}; echo {end}\r".encode()
        assert self.lines[0].feed(typed) == len(typed)
        assert eventually(lambda: f"\n{end}\n" in self.said()), self.said()[-1000:]
        return self.said().rpartition(f"\n{begin}\n")[2].partition(f"\n{end}\n")[0].split("\n")


@contextmanager
def debian(append: str = "", **devices: Any) -> Iterator[Debian]:
    guest = require("debian")
    lines = [MemoryBackend() for _ in range(4)]
    with Machine(
        kernel=guest.kernel, initrd=guest.initrd, append=f"{DEBIAN_APPEND} {append}", serial=lines, **devices
    ) as machine:
        running = Debian(machine, lines)

        def run() -> None:
            running.outcome = machine.run(timeout=2 * BOOT_S)

        thread = threading.Thread(target=run)
        thread.start()
        try:
            assert eventually(lambda: running.said().endswith("/root # \x1b[6n"), BOOT_S), running.said()[-1000:]
            running.shell("dmesg -n 1")
            yield running
            lines[0].feed(b"reboot -f\r")
            thread.join(ANSWER_S)
            assert isinstance(running.outcome, Reset)
        finally:
            machine.request_stop(StopKind.QUIT)
            thread.join()
    assert trouble(running.said()) == []


def test_four_serial_ports_on_two_lines() -> None:
    with debian() as guest:
        found = guest.shell("dmesg | grep -o 'ttyS. at I/O.*'")
        ports = (("0x3f8", 4), ("0x2f8", 3), ("0x3e8", 4), ("0x2e8", 3))
        assert found == [
            f"ttyS{number} at I/O {port} (irq = {irq}, base_baud = 115200) is a 16550A"
            for number, (port, irq) in enumerate(ports)
        ]
        guest.shell("for i in 1 2 3; do stty -F /dev/ttyS$i raw -echo; done")
        guest.shell("for i in 1 2 3; do (read line </dev/ttyS$i; echo $i: $line >/tmp/$i)& done; sleep 1")
        for number in (1, 2, 3):
            guest.lines[number].feed(f"line {number}\n".encode())
        assert guest.shell("wait; cat /tmp/1 /tmp/2 /tmp/3") == [f"{n}: line {n}" for n in (1, 2, 3)]

        # COM1 and COM3 have one interrupt line; both send at once.
        output = guest.shell("seq 2000 >/dev/ttyS2 & seq 2000; wait")
        numbers = [str(number) for number in range(1, 2001)]
        assert [line for line in output if line.isdecimal()] == numbers
        assert guest.said(2).split() == numbers
        assert (guest.said(1), guest.said(3)) == ("", "")


def test_a_printer() -> None:
    paper = MemoryBackend()
    with debian("hp.modules=parallel", parallel=paper) as guest:
        guest.shell("seq 2000 >/dev/lp0")
        text = "".join(f"{number}\n" for number in range(1, 2001)).encode()
        assert eventually(lambda: paper.output() == text)
        (interrupts,) = guest.shell("grep parport0 /proc/interrupts")
        assert int(interrupts.split()[1]) == len(text), "one for each byte"


def test_the_bell_is_heard() -> None:
    tones: list[float] = []
    with debian("hp.modules=speaker") as guest:
        guest.machine.on_tone(lambda ns, hertz: tones.append(hertz))
        guest.shell(r"printf '\033[10;880]\033[11;100]\a' >/dev/tty0; sleep 1")
    assert [round(hertz, -1) for hertz in tones] == [880, 0]
