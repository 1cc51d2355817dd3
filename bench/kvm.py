# SPDX-License-Identifier: GPL-2.0-or-later
"""KVM: what our loop adds to an exit, what the kernel's own ways cost, and the workloads by exit and by hypercall.

    python bench/kvm.py [--pairs 7] [--exits 5000] [--units 1.0] [--no-workloads] [--cycles 1000]

The first part runs the same guest (OUT in a loop, to a port whose device remembers one byte) on the bare C loop of
bench/kvm_loop.c and on hyperport, in turn. Figures belong to this host: a KVM without hardware has exits ten times as
dear as a processor's.
"""

from __future__ import annotations

import argparse
import gc
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from hyperport import EngineError, Machine, MemoryBackend
from hyperport.abi.numbers import ROM_BASE, VMI_BY_NAME
from hyperport.abi.rom import build_rom
from hyperport.cpu.state import protected_flat
from hyperport.devices.testdev import TestDevice
from hyperport.engines.kvm import host
from hyperport.engines.kvm.engine import KvmEngine
from hyperport.guests.registry import locate
from hyperport.lines.attention import StopKind
from pairs import alternate

CODE, BUFFER, STACK, PORT = 0x1000, 0x4000, 0x9000, 0x340
ALLOWED_NS, ALLOWED_PART = 1500.0, 0.15
LIMIT_S = 60.0
SECTOR = 512
EXIT = bytes.fromhex("e6f4")  # out 0xf4, al: where the kernel has the chips it keeps a HLT to itself
WORKLOADS = {"console": 500, "cmos": 500, "pci": 20, "delay": 1000, "strings": 10, "mix": 20}


def loop_of(instruction: str) -> bytes:
    """instruction; dec ecx; jnz to it; hlt."""
    body = bytes.fromhex(instruction) + b"\x49"
    return body + b"\x75" + (-len(body) - 2 & 0xFF).to_bytes(1, "little") + b"\xf4"


def timed(code: bytes, count: int, *, prepare: Callable[[KvmEngine], object] | None = None, **machine: object) -> float:
    """ns for each of count rounds of a flat guest on our engine."""
    with Machine(engine="kvm", memory=1 << 20, **machine) as built:  # type: ignore[arg-type]
        assert isinstance(built.engine, KvmEngine)
        built.bus.attach(TestDevice(), PORT)
        built.memory.write(CODE, code)
        state = protected_flat(eip=CODE)
        state.ecx, state.esp, state.esi, state.edx = count, STACK, BUFFER, PORT
        built.engine.set_state(state)
        if prepare is not None:
            prepare(built.engine)
        alarm = threading.Timer(LIMIT_S, built.request_stop, (StopKind.TIMEOUT,))
        alarm.start()
        began = time.perf_counter_ns()
        stop = built.engine.run()
        took = time.perf_counter_ns() - began
        alarm.cancel()
        if stop.kind not in (StopKind.HALT, StopKind.GUEST_EXIT):
            sys.exit(f"the guest came to no end: {stop}")
    return took / count


def bare(program: Path, code: bytes, count: int) -> float:
    """ns for each of count rounds on the C loop."""
    words = [str(program), str(count), *(f"{byte:02x}" for byte in code)]
    output = subprocess.run(words, capture_output=True, text=True, timeout=LIMIT_S, check=True).stdout
    return int(output.split()[1]) / count


def loop_cost(pairs: int, count: int) -> bool:
    """The first part; True if our loop is within its limit."""
    code = loop_of("e6ed")
    with tempfile.TemporaryDirectory() as directory:
        program = Path(directory) / "kvm_loop"
        source = Path(__file__).with_name("kvm_loop.c")
        subprocess.run(["gcc", "-O2", "-Wall", "-Wextra", "-o", program, source], check=True)
        ours, theirs = alternate(pairs, lambda: timed(code, count), lambda: bare(program, code, count))
    added = median(mine - peer for mine, peer in zip(ours, theirs, strict=True))
    limit = max(ALLOWED_NS, ALLOWED_PART * median(theirs))
    print(f"one OUT, ns: hyperport {column(ours)}, bare C loop {column(theirs)}")
    print(
        f"our loop adds {added:.0f} ns (median of pairs), limit {limit:.0f}: {'ok' if added <= limit else 'TOO MUCH'}"
    )
    return added <= limit


def column(values: list[float]) -> str:
    """Median (smallest to largest)."""
    return f"{median(values):.0f} ({min(values):.0f} to {max(values):.0f})"


def ways(pairs: int, count: int) -> None:
    """One OUT by each of the ways that there are, and a sector by REP OUTSW."""
    doorbells = {number: offset for offset, number in build_rom(None).doorbells.items()}

    def call(name: str, at: int) -> bytes:
        target = ROM_BASE + doorbells[VMI_BY_NAME[name].number]
        return b"\xe8" + (target - at - 5 & 0xFFFFFFFF).to_bytes(4, "little")

    eventfd = os.eventfd(0, os.EFD_CLOEXEC)
    by_call = loop_of(call("OUTB", CODE).hex())
    # mov ebx, ecx; next: mov ecx, 256; mov esi, BUFFER; mov edi, BUFFER; the string; dec ebx; jnz next; hlt
    start = bytes.fromhex("89cb b900010000 be00400000 bf00400000")

    def sectors(string: bytes) -> bytes:
        return start + string + b"\x4b\x75" + (-len(string) - 18 & 0xFF).to_bytes(1, "little") + b"\xf4"

    few = max(count // 256, 10)
    rows: dict[str, Callable[[], float]] = {
        "OUT, exit": lambda: timed(loop_of("e6ed"), count),
        "OUT, exit, registers shared": lambda: timed(loop_of("e6ed"), count, io="hypercall"),
        "OUT, hypercall": lambda: timed(by_call, count, io="hypercall"),
        "OUT, coalesced": lambda: timed(loop_of("e6ed"), count, kvm_coalesce=True),
        "OUT, ioeventfd": lambda: timed(
            loop_of("e6ed"), count, prepare=lambda engine: engine.signal_on_write(0xED, 1, eventfd)
        ),
        "OUT, chip in the kernel": lambda: timed(loop_of("e643")[:-1] + EXIT, count, kvm_irqchip=True),
        "512 bytes OUTSW, exit": lambda: timed(sectors(bytes.fromhex("f3666f")), few),
        "512 bytes OUTSW, hypercall": lambda: timed(sectors(call("OUTSW", CODE + len(start))), few, io="hypercall"),
        "512 bytes INSW, exit": lambda: timed(sectors(bytes.fromhex("f3666d")), few),
    }
    results: dict[str, list[float]] = {name: [] for name in rows}
    for _ in range(pairs):
        for name, row in rows.items():
            results[name].append(row())
    os.close(eventfd)
    for name, values in results.items():
        print(f"{name:<30} {column(values)} ns")


def workloads(units: float) -> None:
    """Each workload by exit and by hypercall: crossings, and time for each access it asked for."""
    print(
        f"{'workload':<9} {'accesses':>8} {'exit: crossings':>15} {'us each':>8} {'call: crossings':>15} {'us each':>8}"
    )
    for name, count in WORKLOADS.items():
        cells, sums = [], set()
        for io, ops in (("exit", "native"), ("hypercall", "vmi")):
            console = MemoryBackend()
            guest = locate(name)
            append = f"n={max(1, int(count * units))} ops={ops}"
            with Machine(
                engine="kvm", io=io, kernel=guest.kernel, append=append, testdev=True, memory=16 << 20, serial=console
            ) as machine:
                outcome = machine.run(timeout=LIMIT_S)
                text = console.output().decode()
                found = re.search(r"accesses (\d+) checksum (\w+) ns (\d+)", text)
                if found is None:
                    sys.exit(f"{name} by {io}: {outcome}; {text[-200:]}")
                report = sum(c.crossings for c in machine.bus.counts() if c.device == "uart16550" and name != "console")
                crossings = sum(c.crossings for c in machine.bus.counts()) - report
                cells += [crossings, int(found[3]) / int(found[1]) / 1000]
                sums.add((found[1], found[2]))
        if len(sums) != 1:
            sys.exit(f"{name} reads otherwise by exit than by hypercall: {sums}")
        accesses = int(next(iter(sums))[0])
        print(f"{name:<9} {accesses:>8} {cells[0]:>15} {cells[1]:>8.2f} {cells[2]:>15} {cells[3]:>8.2f}")


def cycles(count: int) -> bool:
    """Make, run and close count machines; True if nothing is left of them."""

    def held() -> tuple[int, int, int]:
        gc.collect()
        maps = Path("/proc/self/maps").read_text().count("\n")
        return len(list(Path("/proc/self/fd").iterdir())), len(list(Path("/proc/self/task").iterdir())), maps

    code = loop_of("e6ed")
    for _ in range(10):
        timed(code, 1)
    before = held()
    for _ in range(count):
        timed(code, 1)
    after = held()
    print(f"{count} machines made, run and closed: descriptors, threads, mappings {before} before, {after} after")
    return after[:2] == before[:2] and after[2] <= before[2] + 8


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=7)
    parser.add_argument("--exits", type=int, default=5000)
    parser.add_argument("--units", type=float, default=1.0, help="factor for the workloads' units")
    parser.add_argument("--no-workloads", action="store_true")
    parser.add_argument("--cycles", type=int, default=1000, help="machines to make, run and close")
    options = parser.parse_args()
    try:
        print(f"/dev/kvm is {host.examine()}")
    except EngineError as error:
        sys.exit(str(error))
    good = loop_cost(options.pairs, options.exits)
    ways(options.pairs, options.exits)
    if not options.no_workloads:
        workloads(options.units)
    return 0 if cycles(options.cycles) and good else 1


if __name__ == "__main__":
    sys.exit(main())
