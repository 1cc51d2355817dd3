# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs a batch of programs: under qemu, and on each of our paths.

Both machines get the same extra ports: four debug consoles with one log, one for the reports, and qemu's firmware
configuration device with one file, which gives a guest a long stream of bytes. Ours is a few lines of Python.
"""

from __future__ import annotations

import shutil
import struct
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from hyperport import GuestExit, Machine, MemoryBackend
from hyperport.abi import CONVENTIONS
from hyperport.bus.access import PortAccess
from hyperport.devices.debugcon import Debugcon
from hyperport.devices.testdev import TestDevice
from hyperport.engines import ENGINES
from hyperport.engines.kvm import host
from hyperport.errors import EngineError
from hyperport.io import CALLED

from ...guest.board import BIN
from .programs import LOG_PORT, TEST_DEVICE_PORT, TF, Program, encode_batch
from .stubs import encode_stubs

QEMU: Final = shutil.which("qemu-system-i386")
PATHS: Final = ("trap", "exit", "hypercall", "exitless")
SHADOWED_BYTE: Final = 1 << 3  # of a port's attributes
MIB: Final = 1 << 20


def _kvm_paths() -> tuple[str, ...]:
    """The paths of KVM, where it is hardware."""
    try:
        return ENGINES["kvm"].paths if host.examine().hardware else ()
    except EngineError:
        return ()


KVM_PATHS: Final = _kvm_paths()
LIMIT_S: Final = 600  # hung, not slow
RESULTS: Final = 0x5F0
FW_CFG: Final = 0x510
FW_DIRECTORY, FW_FILE = 0x19, 0x20
STREAM_NAME: Final = "opt/hyperport/stream"
STREAM_SIZE: Final = 1 << 20
REPORT: Final = struct.Struct("<29I")
FIELDS: Final = (
    *("index", "event", "vector", "error", "cr2", "dr6", "eip", "cs", "eflags", "esp", "ss", "es", "ds", "fs", "gs"),
    *(
        "eax",
        "ecx",
        "edx",
        "ebx",
        "ebp",
        "esi",
        "edi",
        "touched",
        "touched_big",
        "memory",
        "cmos",
        "ports",
        "divisor",
        "stream",
    ),
)
MARK: Final = b"\n#case "
MARK_BYTES: Final = len(MARK) + 8 + 1  # the program's number, a newline
LOG_KEY: Final = (1, LOG_PORT, 1)

Report = tuple[int, ...]


def stream() -> bytes:
    """What the stream gives: Knuth's generator, with bit 6 of every byte set."""
    state, content = 7, bytearray()
    for _ in range(STREAM_SIZE):
        state = state * 1664525 + 1013904223 & 0xFFFFFFFF
        content.append(state >> 24 | 0x40)
    return bytes(content)


STREAM: Final = stream()


@dataclass(slots=True)
class Seen:
    """What one machine showed of each program: its reports, what the log consoles got, and (ours) the devices' log.

    ran: the programs that it was given; None for all. shadowed: ports whose reads of a byte need not reach a device.
    counts: of what made no crossing.
    """

    reports: list[list[Report]] = field(default_factory=list)
    log: list[bytes] = field(default_factory=list)
    accesses: list[list[tuple[int, int, int, bytes]]] = field(default_factory=list)
    ended: str = ""
    ran: frozenset[int] | None = None
    shadowed: frozenset[int] = frozenset()
    counts: dict[str, int] = field(default_factory=dict)

    def take(self, results: bytes, log: bytes, count: int) -> None:
        """Sort reports and log by program."""
        self.reports = [[] for _ in range(count)]
        for report in REPORT.iter_unpack(results[: len(results) // REPORT.size * REPORT.size]):
            if report[0] < count:
                self.reports[report[0]].append(report)
        parts = log.split(MARK)[1:]
        self.log = [part[9:] for part in parts] + [b""] * (count - len(parts))


class FirmwareConfiguration:
    """The device at 510h as qemu documents it (docs/specs/fw_cfg), without DMA: a directory, and one file."""

    name = "fw-cfg"
    span = 2
    widths = (1, 2)

    def __init__(self) -> None:
        entry = struct.pack(">IHH56s", len(STREAM), FW_FILE, 0, STREAM_NAME.encode())
        self.items = {FW_DIRECTORY: struct.pack(">I", 1) + entry, FW_FILE: STREAM}
        self.item, self.at = b"", 0

    def read_block(self, offset: int, size: int, count: int) -> bytes:
        if size != 1:
            return b"\xff" * (size * count)
        self.at += count
        return self.item[self.at - count : self.at].ljust(count, b"\0")

    def read(self, offset: int, size: int) -> int:
        return int.from_bytes(self.read_block(offset, size, 1), "little")

    def write(self, offset: int, size: int, value: int) -> None:
        if offset == 0 and size == 2:
            self.item, self.at = self.items.get(value, b""), 0


class AccessLog:
    """What the devices saw, program by program: runs of elements with one direction, port and size.

    A mark, which the guest writes before each program, may come in one access or in sixteen. A program's last report
    ends its log: what follows prepares the next one. device: to be as new for each program.
    """

    def __init__(self, count: int, device: TestDevice) -> None:
        self.device = device
        self.programs: list[list[tuple[int, int, int, bytes]]] = [[] for _ in range(count)]
        self.current: list[tuple[int, int, int, bytes]] = []
        self.next = 0
        self.end = (0, 0)  # as of the last report: runs, and bytes of the last one
        self.held = b""  # sent to LOG_PORT, and perhaps the beginning of a mark

    def __call__(self, access: PortAccess) -> None:
        if access.port == RESULTS:
            self.end = (len(self.current), len(self.current[-1][3]) if self.current else 0)
            return
        key = (int(access.direction), access.port, access.size)
        if key == LOG_KEY:
            self.held += access.data
            self.look_for_mark()
            return
        if self.held:
            self.note(LOG_KEY, self.held)
            self.held = b""
        self.note(key, access.data)

    def look_for_mark(self) -> None:
        while self.held and not MARK.startswith(self.held[: len(MARK)]):
            end = self.held.find(MARK[:1], 1)
            end = len(self.held) if end < 0 else end
            self.note(LOG_KEY, self.held[:end])
            self.held = self.held[end:]
        if len(self.held) >= MARK_BYTES:
            self.held = self.held[MARK_BYTES:]
            self.cut()
            self.current = self.programs[self.next]
            self.next += 1
            self.device.reset()

    def cut(self) -> None:
        """Forget what came after the last report."""
        runs, length = self.end
        del self.current[runs:]
        if runs:
            self.current[-1] = (*self.current[-1][:3], self.current[-1][3][:length])
        self.end = (0, 0)

    def note(self, key: tuple[int, int, int], data: bytes) -> None:
        if self.current and self.current[-1][:3] == key:
            self.current[-1] = (*key, self.current[-1][3] + data)
        else:
            self.current.append((*key, data))


def run_everywhere(programs: Sequence[Program], directory: Path, *, qemu: bool, clock: str = "real") -> dict[str, Seen]:
    """What each machine shows of these programs, qemu's first if it takes part.

    Unicorn on all its paths, wherever this runs; KVM on its own besides, under "PATH on kvm", where that is hardware.
    And what makes calls, by every other convention that there is, under "hypercall-NAME". clock: of
    Unicorn's machines; KVM takes part with the real one only.
    """
    seen = {"qemu": run_on_qemu(programs, directory)} if qemu else {}
    seen |= {io: run_on_path(programs, io, directory, clock=clock) for io in PATHS}
    for io in KVM_PATHS if clock == "real" else ():
        if io == "exitless":
            seen["exitless on kvm"] = run_by_stubs(programs, "vmi", directory, io=io, engine="kvm")
        else:
            seen[f"{io} on kvm"] = run_on_path(programs, io, directory, engine="kvm")
    for name in CONVENTIONS:
        if name != "vmi":
            seen[f"hypercall-{name}"] = run_by_stubs(programs, name, directory, clock=clock)
    return seen


def run_by_stubs(
    programs: Sequence[Program],
    abi: str,
    directory: Path,
    *,
    io: str = "hypercall",
    engine: str = "unicorn",
    clock: str = "real",
) -> Seen:
    """The programs with calls, by that convention. A stub has more steps than the instruction: no TF, no breakpoint.

    On `exitless`, which is KVM's here, also those without calls, whose accesses are the instructions'. Unicorn's has
    its own steps out of sight (lawguest.c).
    """
    ran = [
        index
        for index, made in enumerate(programs)
        if (not made.eflags & TF and made.breakpoint is None if made.calls else io == "exitless")
    ]
    those = [programs[index] for index in ran]
    some = run_on_path(those, io, directory, engine=engine, abi=abi, clock=clock)
    seen = Seen(
        [[] for _ in programs],
        [b"" for _ in programs],
        [[] for _ in programs],
        some.ended,
        frozenset(ran),
        some.shadowed,
    )
    for place, index in enumerate(ran):
        seen.reports[index] = [(index, *report[1:]) for report in some.reports[place]]
        seen.log[index], seen.accesses[index] = some.log[place], some.accesses[place]
    return seen


def run_on_qemu(programs: Sequence[Program], directory: Path) -> Seen:
    """Under qemu's TCG, which executes LOCK with a port instruction: there UD2 stands in its place."""
    assert QEMU is not None
    batch, source = directory / "batch", directory / "stream"
    log, results, serial = directory / "log", directory / "results", directory / "serial"
    batch.write_bytes(encode_batch(programs, locks=False))
    source.write_bytes(STREAM)
    consoles = [
        part
        for port in range(LOG_PORT, LOG_PORT + 4)
        for part in ("-device", f"isa-debugcon,iobase={port:#x},chardev=log")
    ]
    command = [
        *(QEMU, "-accel", "tcg", "-cpu", "qemu32", "-machine", "pc", "-m", "64", "-nodefaults", "-no-user-config"),
        *("-display", "none", "-vga", "none", "-monitor", "none", "-no-reboot", "-serial", f"file:{serial}"),
        *("-device", "isa-debug-exit,iobase=0xf4,iosize=0x04"),
        *("-chardev", f"file,id=log,mux=on,path={log}", *consoles),
        *("-chardev", f"file,id=results,path={results}"),
        *("-device", f"isa-debugcon,iobase={RESULTS:#x},chardev=results"),
        *("-fw_cfg", f"name={STREAM_NAME},file={source}"),
        *("-kernel", str(BIN / "lawguest.elf"), "-initrd", str(batch)),
    ]
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, timeout=LIMIT_S, check=False, text=True
    )
    seen = Seen(ended=f"{done.returncode} {serial.read_text()} {done.stderr}".strip())
    assert done.returncode == 1, f"qemu: {seen.ended}"
    seen.take(results.read_bytes(), log.read_bytes(), len(programs))
    return seen


def run_on_path(
    programs: Sequence[Program],
    io: str,
    directory: Path,
    *,
    accesses: bool = True,
    engine: str = "unicorn",
    abi: str = "vmi",
    clock: str = "real",
) -> Seen:
    """On one of our paths. Where a guest may call, the programs' calls go by abi, elsewhere to their instructions."""
    batch = directory / f"batch-{io}"
    batch.write_bytes(encode_batch(programs))
    serial, log, results = (MemoryBackend(limit=1 << 31) for _ in range(3))
    test_device = TestDevice()
    observer = AccessLog(len(programs), test_device)
    machine_arguments: dict[str, Any] = {"memory": 64 * MIB, "engine": engine, "io": io, "clock": clock}
    machine_arguments["modules"] = ((batch, ""),)
    append = "vmi" if io in CALLED else ""
    if abi != "vmi":
        append, stubs = "stubs", directory / f"stubs-{abi}"
        stubs.write_bytes(encode_stubs(CONVENTIONS[abi]))
        machine_arguments |= {"abi": (abi,), "modules": ((batch, ""), (stubs, ""))}
    with Machine(kernel=BIN / "lawguest.elf", append=append, serial=serial, **machine_arguments) as machine:
        for port in range(LOG_PORT, LOG_PORT + 4):
            machine.attach(Debugcon(log), port)
        machine.attach(Debugcon(results), RESULTS)
        machine.attach(FirmwareConfiguration(), FW_CFG)
        machine.attach(test_device, TEST_DEVICE_PORT)
        if accesses:
            machine.bus.observe(observer)
        shadowed = [port for port, bits in machine.bus.attributes.held() if io == "exitless" and bits & SHADOWED_BYTE]
        outcome = machine.run(timeout=LIMIT_S)
        counts = {} if machine.exitless is None else machine.exitless.counts()
    observer.cut()
    for backend in (log, results):
        backend.drain()
    ended = f"{outcome} {serial.output().decode(errors='replace')}".strip()
    seen = Seen(accesses=observer.programs, ended=ended, shadowed=frozenset(shadowed), counts=counts)
    assert outcome == GuestExit(0), f"{io}: {seen.ended}"
    seen.take(results.output(), log.output(), len(programs))
    return seen
