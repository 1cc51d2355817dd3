# SPDX-License-Identifier: GPL-2.0-or-later
"""Debian's unmodified kernels with a shell on the serial line."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator

import pytest

from hyperport.guests.initramfs import READY
from hyperport.guests.registry import DEBIAN_APPEND

from ..conftest import run_command
from .conftest import BOOT_S, Terminal, require, trouble

pytestmark = pytest.mark.real

BOOTS = int(os.environ.get("HYPERPORT_BOOTS", "3"))
LINES = "".join(f"{number:05d} the quick brown fox jumps over the lazy dog\n" for number in range(150))


@pytest.fixture(params=["debian", "debian-pae"])
def guest(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    require(name)
    return name


@pytest.fixture
def terminal(guest: str) -> Iterator[Terminal]:
    made = Terminal(guest)
    yield made
    made.close()


def md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def test_interactive_shell(guest: str, terminal: Terminal) -> None:
    boot = terminal.wait_for_prompt(BOOT_S)
    assert READY in boot
    assert terminal.shell("dmesg -n 1") == (0, "")  # what the kernel has to say later must not get in between

    assert terminal.shell("uname -s -m") == (0, "Linux i686")
    assert terminal.shell("echo $((6*7))") == (0, "42")
    assert terminal.shell("false") == (1, "")
    assert terminal.shell("grep -c ^processor /proc/cpuinfo") == (0, "1")
    assert terminal.shell("grep '^model name' /proc/cpuinfo")[1].endswith(": hyperport virtual i386 CPU")
    flags = terminal.shell("grep ^flags /proc/cpuinfo")[1].split()
    assert {"fpu", "tsc", "cx8", "sep", "cmov", "sse2", "nx"} <= set(flags)
    assert "apic" not in flags
    assert ("NX (Execute Disable) protection: active" in boot) == (guest == "debian-pae")

    assert terminal.shell("dd if=/dev/zero bs=1k count=4096 2>/dev/null | md5sum")[1].split()[0] == md5(bytes(4 << 20))
    numbers = "".join(f"{number}\n" for number in range(1, 20_001)).encode()
    assert terminal.shell("seq 20000 | md5sum")[1].split()[0] == md5(numbers)
    assert terminal.shell("seq 20000 | gzip | gunzip | md5sum")[1].split()[0] == md5(numbers)
    assert terminal.shell("sleep 1 && echo slept") == (0, "slept")
    assert terminal.shell("i=0; while [ $i -lt 50 ]; do i=$((i+1)); (exit 3); done") == (3, "")
    interrupts = terminal.shell("cat /proc/interrupts")[1]
    assert "XT-PIC" in interrupts
    assert "timer" in interrupts
    assert "ttyS0" in interrupts

    # What is typed fast arrives whole, line by line.
    terminal.start("cat >/tmp/typed")
    terminal.child.send(LINES.replace("\n", "\r"))
    terminal.child.send("\x04")
    terminal.wait_for_prompt()
    assert terminal.shell("md5sum </tmp/typed")[1].split()[0] == md5(LINES.encode())

    # The guest's own Ctrl-C.
    terminal.start("cat")
    terminal.child.send("ping\r")
    terminal.child.expect("ping\r+\nping\r")  # the echo, then cat itself
    terminal.child.send("\x03")
    terminal.wait_for_prompt()
    assert terminal.shell("echo again") == (0, "again")

    terminal.child.send("reboot -f\r")
    assert terminal.end() == 0
    assert "hyperport: the guest reset the machine" in terminal.log
    assert trouble(terminal.log) == []


def test_leaving_the_shell_reboots(terminal: Terminal) -> None:
    terminal.wait_for_prompt(BOOT_S)
    terminal.child.send("exit\r")
    assert terminal.end() == 0
    assert trouble(terminal.log) == []


def test_escape_key_leaves_a_running_guest(terminal: Terminal) -> None:
    terminal.wait_for_prompt(BOOT_S)
    terminal.child.send("\x01x")
    assert terminal.end() == 0
    assert "hyperport: left by the user" in terminal.log


@pytest.mark.parametrize("number", range(BOOTS))
def test_boot_and_reboot(guest: str, number: int) -> None:
    done = run_command(guest, "--append", f"{DEBIAN_APPEND} hp.test=reboot", "--timeout", str(BOOT_S), limit=2 * BOOT_S)
    assert done.returncode == 0, done.stdout[-2000:]
    assert done.stderr.endswith("hyperport: the guest reset the machine\n")
    assert READY in done.stdout
    assert trouble(done.stdout) == []


def test_panic_is_an_outcome(guest: str) -> None:
    done = run_command(
        guest, "--append", f"{DEBIAN_APPEND} rdinit=/nowhere root=/dev/none", "--timeout", str(BOOT_S), limit=2 * BOOT_S
    )
    assert done.returncode == 82
    assert "hyperport: the guest panicked: " in done.stderr
    assert "Kernel panic - not syncing" in done.stdout


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--io", "trap"), ""),
        (("--io", "hypercall"), ""),
        (("--io", "hypercall", "--abi", "vmi,kvm"), "Hypervisor detected: KVM"),
        (("--io", "hypercall", "--abi", "lguest"), ""),
    ],
    ids=["trap", "vmi", "kvm", "lguest"],
)
def test_boot_on_every_path_and_with_every_convention(guest: str, options: tuple[str, ...], said: str) -> None:
    """A kernel that knows nothing of port calls must not be disturbed by what is offered."""
    append = ("--append", f"{DEBIAN_APPEND} hp.test=reboot")
    done = run_command(guest, *append, *options, "--timeout", str(BOOT_S), limit=2 * BOOT_S)
    assert done.returncode == 0, done.stdout[-2000:]
    *before, last = done.stderr.splitlines()
    assert last == "hyperport: the guest reset the machine"
    assert ["hardware_subarch 1" in line for line in before] == ([True] if "lguest" in options else [])
    assert READY in done.stdout
    assert said in done.stdout
    assert trouble(done.stdout) == []
