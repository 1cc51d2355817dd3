# SPDX-License-Identifier: GPL-2.0-or-later
"""Linux kernels with CONFIG_VMI (2.6.21 to 2.6.36) on the ROM: they find it, and say what they say on bare hardware.

No distribution ships such a kernel today, so it is built by hand, and HYPERPORT_VMI_KERNEL names it: a bzImage for
i386 with CONFIG_VMI and the 8250's console. With HYPERPORT_VMI_INITRD it gets that initial RAM disk, whose /init
restarts the machine; without, the panic that ends such a boot is the end. The kernel may have the port calls of the
2007 patch or not.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from ..conftest import run_command
from .conftest import BOOT_S, TROUBLE

pytestmark = pytest.mark.real

KERNEL: Final = os.environ.get("HYPERPORT_VMI_KERNEL", "")
INITRD: Final = os.environ.get("HYPERPORT_VMI_INITRD", "")
FOUND: Final = "VMI: Found hyperport"
PATHS: Final = ("hypercall", "exitless")
# What may differ: the lines about VMI, the command line, what was measured, and what comes in another order.
VOLATILE: Final = re.compile(
    r"vmi|TSC|BogoMIPS|Kernel command line|Reserving virtual address|Booting paravirtualized|'hlt' instruction"
    r"|MHz processor|lpj=|loops_per_jiffy|clocksource|Freeing unused|Linux version",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Boot:
    """What a boot said, and its statistics."""

    text: str
    stats: dict[str, Any]

    @property
    def steady(self) -> list[str]:
        """The lines that are the same however ports are reached, sorted: user space and kernel threads race."""
        return sorted(line for line in self.text.splitlines() if line and not VOLATILE.search(line))

    def accesses(self, *paths: str) -> int:
        return sum(row["accesses"] for row in self.stats["ports"] if row["path"] in paths)


def boot(tmp_path: Path, *options: str, append: str = "") -> Boot:
    """Boot the kernel to its restart, or to the panic for want of a root."""
    report = tmp_path / "stats.json"
    initrd = ["--initrd", INITRD] if INITRD else []
    kernel = ["--kernel", KERNEL, *initrd, "--append", f"console=ttyS0 panic=1 {append}"]
    done = run_command(*kernel, *options, "--stats", str(report), "--timeout", str(BOOT_S), limit=2 * BOOT_S)
    text = done.stdout.replace("\r", "")
    assert done.returncode == (0 if INITRD else 82), text[-2000:] + done.stderr
    if INITRD:
        assert not TROUBLE.search(text), text[-2000:]
    return Boot(text, json.loads(report.read_text()))


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Boot:
    """The boot without a ROM."""
    if not KERNEL:
        pytest.skip("HYPERPORT_VMI_KERNEL names no kernel with CONFIG_VMI")
    return boot(tmp_path_factory.mktemp("bare"), "--io", "exit")


def test_without_a_rom_it_runs_on_bare_hardware(bare: Boot) -> None:
    assert FOUND not in bare.text
    assert "on bare hardware" in bare.text


@pytest.mark.parametrize("calls", ["minimal", "full"])
@pytest.mark.parametrize("path", PATHS)
def test_it_runs_on_the_rom_and_says_the_same(bare: Boot, path: str, calls: str, tmp_path: Path) -> None:
    vmi = boot(tmp_path, "--io", path, "--vmi-calls", calls)
    assert FOUND in vmi.text
    assert re.search(r"Booting paravirtualized kernel on vmi", vmi.text)
    assert vmi.steady == bare.steady
    if calls == "full":
        assert "vmi: registering clock event" in vmi.text
        assert vmi.stats["calls"]["vmi"]


@pytest.mark.parametrize("path", PATHS)
def test_without_the_port_calls_nothing_but_the_figures_changes(bare: Boot, path: str, tmp_path: Path) -> None:
    raw = boot(tmp_path, "--io", path, append="vmi=disable_io_ops")
    assert FOUND in raw.text
    assert raw.steady == bare.steady
    assert raw.accesses("hypercall", "posted", "shadow") == 0
    assert raw.accesses("exit") > 0


def test_its_console_posts(bare: Boot, tmp_path: Path) -> None:
    """A console character is a shadowed LSR and a posted THR: neither leaves the guest."""
    vmi = boot(tmp_path, "--io", "exitless")
    if not vmi.accesses("hypercall"):
        pytest.skip("the kernel has not the port calls of the 2007 patch")
    assert vmi.stats["exitless"]["posted"] > len(vmi.text) // 2
    assert vmi.stats["exitless"]["shadowed"] > len(vmi.text) // 2
