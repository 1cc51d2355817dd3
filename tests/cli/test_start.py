# SPDX-License-Identifier: GPL-2.0-or-later
"""What a start of the command does not do: it is counted here; what it costs stands in bench/startup.py."""

from __future__ import annotations

import gc
import subprocess
import sys
from pathlib import Path

import pytest

from hyperport import cli

WRITE_AND_EXIT = bytes.fromhex("31c0 ba0003 ee e6f4 f4")  # xor ax, ax; mov dx, 0x300; out dx, al; out 0xf4, al; hlt
NOT_NEEDED = (
    "asyncio",
    "hyperport.abi.convention",
    "hyperport.abi.numbers",
    "hyperport.boot.linux",
    "hyperport.boot.multiboot",
    "hyperport.host.disk_image",
    "hyperport.host.fat12",
    "hyperport.host.nbd",
    "hyperport.observe.trace",
    "importlib.metadata",
    "json",
    "msgspec",
    "subprocess",
    "tempfile",
    "typing_extensions",
    "unicorn",
)
PROBE = """\
import sys
sys.argv[0] = "hyperport"
from hyperport.cli.main import main
status = main(sys.argv[1:])
print(status, *sorted(sys.modules))
"""
LOOK = """\
import gc
from hyperport import Device

class Look(Device):
    def write(self, offset, size, value):
        print("collecting", gc.isenabled(), gc.get_freeze_count() > 0)
"""


def run_empty(folder: Path, *more: str) -> list[str]:
    """The words that a run printed in a process of its own; it ended as the guest wanted."""
    image = folder / "image"
    image.write_bytes(WRITE_AND_EXIT)
    command = [sys.executable, "-c", PROBE, "run", "-q", "--serial", "null", "--kernel", str(image)]
    return subprocess.check_output([*command, "--flat", "0x7c00,real", *more], text=True, timeout=120).split()


@pytest.mark.parametrize("engine", ["auto", "unicorn"])
def test_a_run_imports_what_it_needs(tmp_path: Path, engine: str) -> None:
    run_empty(tmp_path, "--engine", engine)  # auto may have to find out first what KVM is worth
    status, *modules = run_empty(tmp_path, "--engine", engine)
    assert status == "1"
    assert "hyperport.machine.machine" in modules
    assert [name for name in NOT_NEEDED if name in modules] == []


def test_cycles_are_collected_while_the_guest_runs(tmp_path: Path) -> None:
    (tmp_path / "look.py").write_text(LOOK)
    words = run_empty(tmp_path, "--engine", "unicorn", "--device", f"{tmp_path / 'look.py'}:Look,base=0x300")
    assert words[:3] == ["collecting", "True", "True"]


def test_who_calls_the_command_line_from_python_keeps_the_collector() -> None:
    assert not cli.OURS
    before = gc.get_freeze_count()
    cli.collect_from_here()
    assert (gc.isenabled(), gc.get_freeze_count()) == (True, before)
