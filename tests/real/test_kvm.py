# SPDX-License-Identifier: GPL-2.0-or-later
"""Debian on KVM, for hosts that have hardware: `make test-kvm-real`."""

from __future__ import annotations

import pytest

from hyperport.guests.initramfs import READY
from hyperport.guests.registry import DEBIAN_APPEND

from ..conftest import run_command
from .conftest import BOOT_S, Terminal, require, trouble

pytestmark = [pytest.mark.real, pytest.mark.usefixtures("hardware_kvm")]

GUESTS = ("debian", "debian-pae")
OPTIONS = {
    "exit": (),
    "hypercall": ("--io", "hypercall"),
    "coalesced": ("--kvm-coalesce", "on"),
    "in-kernel": ("--kvm-irqchip", "on"),
}


@pytest.mark.parametrize("guest", GUESTS)
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_boot_and_reboot(guest: str, options: tuple[str, ...]) -> None:
    require(guest)
    append = f"{DEBIAN_APPEND} hp.test=reboot"
    done = run_command(
        guest, "--engine", "kvm", *options, "--append", append, "--timeout", str(BOOT_S), limit=2 * BOOT_S
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.endswith("hyperport: the guest reset the machine\n")
    assert READY in done.stdout
    assert trouble(done.stdout) == []


def test_auto_takes_it() -> None:
    done = run_command("demo", "--engine", "auto", "--timeout", str(BOOT_S))
    assert done.returncode == 1
    assert done.stderr.startswith("hyperport: engine kvm: /dev/kvm is hardware")


@pytest.mark.parametrize("guest", GUESTS)
def test_shell(guest: str) -> None:
    require(guest)
    terminal = Terminal(guest, "--engine", "kvm")
    try:
        terminal.wait_for_prompt(BOOT_S)
        assert terminal.shell("uname -s -m") == (0, "Linux i686")
        assert terminal.shell("i=0; while [ $i -lt 50 ]; do i=$((i+1)); (exit 3); done") == (3, "")
        assert "XT-PIC" in terminal.shell("cat /proc/interrupts")[1]
        terminal.child.send("\x01x")
        assert terminal.end() == 0
    finally:
        terminal.close()
