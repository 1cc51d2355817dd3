# SPDX-License-Identifier: GPL-2.0-or-later
"""What happens where the library gives up: the guest ends, the process lives, and its memory comes back.

No guest is known that gets there, so one is made: the core's raise of #DE is led to what its abort() leads to.
"""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from hyperport.engines.unicorn.library import library_path
from hyperport.machine.machine import Machine
from tests.engines.other_builds import Image
from tests.engines.test_unicorn_hostile import CODE, SECONDS, flat

DIVIDE_BY_ZERO = b"\x31\xc9\xf7\xf1"  # xor ecx, ecx; div ecx
PAGE = 4096
ABORTS, WARM_UP = 300, 200  # so many until the heap has the size that it needs
MIB = 1 << 20


def break_division() -> None:
    """Import slots of the loaded library: #DE gets the target of abort."""
    name = str(library_path().resolve())
    base = min(int(line.split("-")[0], 16) for line in Path("/proc/self/maps").read_text().splitlines() if name in line)
    slots = Image().slots()
    with Path("/proc/self/mem").open("r+b", buffering=0) as memory:
        memory.seek(base + slots["abort"])
        target = memory.read(8)
        memory.seek(base + slots["raise_exception_ra_x86_64"])
        memory.write(target)


def one_abort() -> tuple[str, str, bool]:
    """Kind and text of the outcome; whether a second run says the same."""
    with Machine(memory=2 << 20) as machine:
        machine.memory.write(CODE, DIVIDE_BY_ZERO)
        machine.engine.set_state(flat())
        outcome = machine.run(timeout=SECONDS)
        return outcome.kind, str(outcome), machine.run(timeout=SECONDS) == outcome


class Closer:
    """A device whose access closes another machine."""

    name = "closer"

    def __init__(self, other: Machine) -> None:
        self.other = other

    def read(self, offset: int, size: int) -> int:
        return 0

    def write(self, offset: int, size: int, value: int) -> None:
        self.other.close()


def abort_after_another_was_closed() -> str:
    """The kind of outcome of a guest that aborts once its device has closed a machine."""
    with Machine(memory=2 << 20) as machine, Machine(memory=2 << 20) as other:
        machine.attach(Closer(other), 0x300)
        machine.memory.write(CODE, b"\x66\xba\x00\x03\xee" + DIVIDE_BY_ZERO)  # mov dx, 0x300; out dx, al
        machine.engine.set_state(flat())
        return machine.run(timeout=SECONDS).kind


def held() -> tuple[int, int]:
    """Address space and resident memory of this process in bytes."""
    gc.collect()
    space, resident = Path("/proc/self/statm").read_text().split()[:2]
    return int(space) * PAGE, int(resident) * PAGE


def child() -> None:
    """Print what was seen as JSON."""
    with Machine(memory=2 << 20):
        pass
    break_division()
    seen = [one_abort() for _ in range(WARM_UP)]
    before = held()
    seen += [one_abort() for _ in range(ABORTS)]
    after = held()
    nested = abort_after_another_was_closed()
    print(
        json.dumps(
            {"nested": nested, "seen": sorted(set(seen)), "grown": [b - a for a, b in zip(before, after, strict=True)]}
        )
    )


def test_aborts_give_their_memory_back() -> None:
    command = [sys.executable, "-c", "from tests.engines.test_unicorn_abort import child; child()"]
    root = Path(__file__).parents[2]
    one_arena = os.environ | {"MALLOC_ARENA_MAX": "1"}  # a timer thread's own would be 64 MiB of address space
    result = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120, cwd=root, env=one_arena)
    report: dict[str, Any] = json.loads(result.stdout)
    [[kind, text, the_same]] = report["seen"]
    assert kind == "engine-abort"
    assert "internal check failed" in text
    assert the_same
    assert report["nested"] == kind
    space, resident = report["grown"]
    assert space < 64 * MIB  # stacks of timer threads that are gone; the code buffers of 300 machines would be 9 GiB
    assert resident < 8 * MIB  # the heap has steps; 3 MiB of each machine would be 900
