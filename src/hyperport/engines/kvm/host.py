# SPDX-License-Identifier: GPL-2.0-or-later
"""What /dev/kvm on this host is worth: is it hardware, what can it run. `--engine auto` and `doctor` ask here.

A /dev/kvm may be a software module that emulates guest code instruction by instruction: slower than Unicorn by far, and
unable to run most 32-bit guests. So it is tried, once for each boot of the host: a few small guests are timed in a
child process, which is ended if it hangs. What they showed is kept in the cache directory, as a line of words after
the lines of its key: every start reads it, and a parser of JSON would take longer to import than this to read.
"""

from __future__ import annotations

import contextlib
import functools
import os
import sys
import threading
import time
from pathlib import Path
from typing import Final, NamedTuple, Self

from hyperport.engines.base import Check
from hyperport.errors import EngineError

LIMIT_S: Final = 10.0  # for the child
GUEST_LIMIT_S: Final = 2.0  # for one guest in it
HARDWARE_NS: Final = 20.0  # per instruction; a processor takes less than 1, an emulator hundreds
LOOPS: Final = 10_000
EXITS: Final = 1_000

CODE: Final = 0x1000
GDT: Final = 0x2000
DIRECTORY: Final = 0x3000
STACK: Final = 0x8000
COUNT_DOWN: Final = bytes.fromhex("49 75fd f4")  # dec ecx; jnz; hlt
WRITE_PORTS: Final = bytes.fromhex("e6ed 49 75fb f4")  # out 0xed, al; dec ecx; jnz; hlt
RETURN: Final = bytes.fromhex("9c 0e 68 08100000 cf f4")  # pushf; push cs; push CODE + 8; iret; hlt
HALT: Final = b"\xf4"
FLAT_CODE: Final = 0x00CF9B000000FFFF  # descriptors: 4 GiB, 32-bit, ring 0
FLAT_DATA: Final = 0x00CF93000000FFFF
LARGE_PAGE: Final = 0x83  # present, writable, 4 MiB at 0
CR0_PG: Final = 1 << 31
CR4_PSE: Final = 1 << 4


def _short(number: float) -> str:
    return f"{number:,.0f}" if number >= 10 else f"{number:.2g}"


def _truth(word: str) -> bool:
    if word not in ("True", "False"):
        raise ValueError(word)
    return word == "True"


class Host(NamedTuple):
    """What the guests showed. Times are in ns, the smallest of three runs."""

    instruction_ns: float
    exit_ns: float
    paging: bool
    interrupt_return: bool

    @property
    def hardware(self) -> bool:
        """Whether a processor runs the guest's instructions, and all that a 32-bit kernel needs of it works."""
        return self.instruction_ns < HARDWARE_NS and self.paging and self.interrupt_return

    def words(self) -> str:
        """As from_words() reads it."""
        return " ".join(map(repr, self))

    @classmethod
    def from_words(cls, text: str) -> Self:
        """What words() gave. Raises ValueError for anything else."""
        instruction, exits, paging, interrupt_return = text.split()
        return cls(float(instruction), float(exits), _truth(paging), _truth(interrupt_return))

    def __str__(self) -> str:
        kind = "hardware" if self.instruction_ns < HARDWARE_NS else "a software emulation"
        return f"{kind}: {_short(self.instruction_ns)} ns an instruction, {_short(self.exit_ns / 1000)} us an exit"


def cache_key() -> list[str]:
    """What a measurement belongs to: a boot of a kernel, and this code."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        boot = ""
    return ["3", os.uname().release, boot]


def cache_file() -> Path:
    """kvm.txt in the cache directory."""
    from hyperport.host.cache import cache_directory

    return cache_directory() / "kvm.txt"


@functools.cache
def examine() -> Host:
    """What this host's KVM is worth, measured or from the cache. Raises EngineError where it cannot be had at all."""
    from hyperport.engines.kvm.api import open_device

    os.close(open_device())
    path, key = cache_file(), cache_key()
    with contextlib.suppress(OSError, ValueError):
        *kept, words = path.read_text(encoding="ascii").splitlines()
        if kept == key:
            return Host.from_words(words)
    host = measure_in_child()
    with contextlib.suppress(OSError):  # a cache that cannot be written costs time only
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(f".{os.getpid()}")
        part.write_text("\n".join([*key, host.words()]) + "\n", encoding="ascii")
        part.replace(path)
    return host


def measure_in_child() -> Host:
    """measure() in a process of its own, LIMIT_S at most. Raises EngineError."""
    import subprocess

    command = [sys.executable, "-m", "hyperport.engines.kvm.host"]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    try:
        done = subprocess.run(
            command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, timeout=LIMIT_S, check=False
        )
        return Host.from_words(done.stdout.decode("ascii"))
    except subprocess.TimeoutExpired:
        raise EngineError(
            f"kvm: a guest of three instructions hangs it for {LIMIT_S:g} s; use --engine unicorn"
        ) from None
    except ValueError:
        last = (done.stderr.decode(errors="replace").strip().splitlines() or ["no message"])[-1]
        raise EngineError(f"kvm: a first guest fails: {last}; use --engine unicorn") from None


def measure() -> Host:
    """Run the guests, here. Raises EngineError."""
    loops = min(_time(COUNT_DOWN, LOOPS) for _ in range(3)) / (2 * LOOPS)
    exits = min(_time(WRITE_PORTS, EXITS) for _ in range(3)) / EXITS - 2 * loops
    return Host(loops, exits, paging=_time(HALT, paging=True) >= 0, interrupt_return=_time(RETURN) >= 0)


def _time(code: bytes, count: int = 0, *, paging: bool = False) -> float:
    """ns that this code takes to its HLT with count in ECX; -1 where it does not come there."""
    from hyperport.bus.port_bus import PortBus
    from hyperport.cpu.state import Table, protected_flat
    from hyperport.engines.kvm.engine import KvmEngine
    from hyperport.io.exit import ExitPath
    from hyperport.lines.attention import Attention, StopKind
    from hyperport.lines.interrupt_controller import InterruptController
    from hyperport.memory.ram import GuestMemory
    from hyperport.time.clock import RealClock

    memory, attention = GuestMemory(1 << 20), Attention()
    memory.write(CODE, code)
    memory.write(GDT + 0x10, FLAT_CODE.to_bytes(8, "little") + FLAT_DATA.to_bytes(8, "little"))
    memory.write(DIRECTORY, LARGE_PAGE.to_bytes(4, "little"))
    engine = KvmEngine(memory, ExitPath(PortBus()), InterruptController(), attention, RealClock())
    state = protected_flat(eip=CODE, gdtr=Table(GDT, 0x1F))
    state.esp, state.ecx = STACK, count
    if paging:
        state.cr0, state.cr3, state.cr4 = state.cr0 | CR0_PG, DIRECTORY, CR4_PSE
    alarm = threading.Timer(GUEST_LIMIT_S, attention.stop, (StopKind.TIMEOUT,))
    alarm.daemon = True
    try:
        engine.set_state(state)
        alarm.start()
        began = time.perf_counter_ns()
        stop = engine.run()
        took = time.perf_counter_ns() - began
    except EngineError:
        return -1.0
    finally:
        alarm.cancel()
        engine.close()
    return float(took) if stop.kind == StopKind.HALT else -1.0


def checks() -> list[Check]:
    """The findings for `hyperport doctor`."""
    try:
        host = examine()
    except EngineError as error:
        return [Check("device", False, str(error).removeprefix("kvm: "))]
    return [
        Check("device", True, "/dev/kvm can be used"),
        Check("processor", host.instruction_ns < HARDWARE_NS, str(host)),
        Check("paging", host.paging, "32-bit paging works" if host.paging else "32-bit paging does not work here"),
        Check(
            "interrupt return",
            host.interrupt_return,
            f"IRET in protected mode {'works' if host.interrupt_return else 'does not work here'}",
        ),
    ]


if __name__ == "__main__":
    print(measure().words())
