# SPDX-License-Identifier: GPL-2.0-or-later
"""The VMI ROM with its doorbells live: who may call, from where, and that a guest that refuses it makes no call."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Final

import pytest

from hyperport import AccessPath, CpuState, Direction, GuestExit, Machine, MemoryBackend, Outcome, TripleFault
from hyperport.abi.numbers import ROM_BASE
from hyperport.abi.rom import RomImage, build_rom
from hyperport.cpu.state import REGISTERS, Segment, protected_flat

from ..conftest import LIMIT_S, built_in, machine_code

MIB: Final = 1 << 20
CODE, STACK, BUFFER, DIRECTORY, PAGE_TABLE, TSS = 0x10_0000, 0x11_0000, 0x12_0000, 0x13_0000, 0x13_1000, 0x13_2000
ALIAS: Final = 0x30_5000  # neither its page nor its offset in 64 KiB is the ROM's
PRESENT, WRITABLE, USER = 1, 2, 4
CR0_PG, CR0_WP = 1 << 31, 1 << 16
DPL: Final = 13  # place in Segment.attributes
EFLAGS_IF, EFLAGS_ARITHMETIC, IOPL = 1 << 9, 0x8D5, 12
TSS_32: Final = 1 << 15 | 11 << 8
MAP_AT: Final = 0x68
EXIT_PORT: Final = 0xF4
CMOS: Final = 0x70
OUTB, INB, INSB = 56, 50, 53


def ran(program: str, append: str, rom: RomImage | None) -> tuple[str, set[tuple[int, Direction, AccessPath]]]:
    """A built-in guest's console, and the (size, direction, path) of all its accesses."""
    console = MemoryBackend()
    with built_in(program, append, io="hypercall", testdev=True, rom=rom, serial=console) as machine:
        assert machine.run(timeout=LIMIT_S) == GuestExit(0), console.output()
        return console.output().decode(), {(row.size, row.direction, row.path) for row in machine.bus.counts()}


REFUSED: Final[dict[str, tuple[dict[str, Any], str]]] = {
    "licence": ({"licence": "BSD"}, "its licence is not the GPL"),
    "api": ({"api": (4, 0)}, "its API version is not 3"),
    "pci": ({"pci": False}, "it has no PCI header"),
}
ALL_CALLS: Final = {(size, direction) for size in (1, 2, 4) for direction in Direction}


@pytest.mark.parametrize("wrong", REFUSED)
def test_a_guest_that_refuses_the_rom_stays_native(wrong: str) -> None:
    arguments, reason = REFUSED[wrong]
    text, accesses = ran("vmiguest", "", build_rom(**arguments))
    assert f"vmi: refused: {reason}" in text
    assert re.search(r"vmiguest: \d{4,} checks, 0 failures", text)
    assert {path for _, _, path in accesses} == {AccessPath.EXIT}
    assert {(size, direction) for size, direction, _ in accesses} == ALL_CALLS


@pytest.mark.parametrize("wrong", REFUSED)
def test_a_workload_that_refuses_the_rom_stays_native(wrong: str) -> None:
    text, accesses = ran("cmos", "n=200 ops=auto", build_rom(**REFUSED[wrong][0]))
    assert " ops native taken 0 " in text
    assert {path for _, _, path in accesses} == {AccessPath.EXIT}


@pytest.mark.parametrize(
    ("append", "rom", "called"),
    [
        ("", None, ALL_CALLS),
        ("", build_rom(["49-54"]), {(size, Direction.IN) for size in (1, 2, 4)}),
        ("", build_rom(["OUTB", "INSW"]), {(1, Direction.OUT), (2, Direction.IN)}),
        ("", build_rom(["IRET"]), set()),
        ("vmi=disable_io_ops", None, set()),
    ],
)
def test_only_offered_calls_are_made(append: str, rom: RomImage | None, called: set[tuple[int, Direction]]) -> None:
    text, accesses = ran("vmiguest", append, rom)
    assert ", 0 failures" in text
    assert {(size, direction) for size, direction, path in accesses if path == AccessPath.HYPERCALL} == called


# A few instructions at a chosen privilege level. They call INB, then leave by OUTB to the debug-exit port: a raw OUT
# there would need the permission that they have not.


def stub(number: int) -> int:
    """Where call number stands in the ROM."""
    return next(offset for offset, call in build_rom().doorbells.items() if call == number)


def call(number: int, at: int, base: int) -> bytes:
    """CALL rel32 to a stub, from address at, through the mapping of the ROM at base."""
    return b"\xe8" + (base + stub(number) - at - 5 & 0xFFFFFFFF).to_bytes(4, "little")


def program(base: int) -> bytes:
    """INB from EDX as given; OUTB of what it read to the debug-exit port."""
    code = call(INB, CODE, base) + machine_code(
        """
        9c              ; pushf
        8f 05 00 00 12 00 ; pop BUFFER
        ba f4 00 12 00  ; mov $EXIT_PORT + junk, %edx
        """
    )
    return code + call(OUTB, CODE + len(code), base)


def at_level(level: int, eflags: int) -> CpuState:
    """Flat segments of that level, a TSS without I/O map. There is no IDT: a fault is a triple fault."""
    state = protected_flat(eip=CODE)
    state.cs = replace(state.cs, selector=state.cs.selector | level, attributes=state.cs.attributes | level << DPL)
    data = replace(state.ss, selector=state.ss.selector | level, attributes=state.ss.attributes | level << DPL)
    state.ds = state.es = state.ss = state.fs = state.gs = data
    state.tr = Segment(0x28, TSS, MAP_AT - 1, TSS_32)
    state.eflags |= eflags
    state.esp = STACK
    for number, name in enumerate(("eax", "ebx", "ecx", "esi", "edi", "ebp")):
        setattr(state, name, 0x11111111 * (number + 1))
    state.edx = 0xABCD_0000 | CMOS + 1
    return state


@pytest.fixture
def machine() -> Iterator[Machine]:
    with Machine(memory=4 * MIB, io="hypercall") as built:
        built.bus.outp(CMOS, 1, 0x50)
        built.bus.outp(CMOS + 1, 1, 0x2A)
        built.memory.write(TSS + 0x66, MAP_AT.to_bytes(2, "little"))
        yield built


def run_at(machine: Machine, state: CpuState, code: bytes) -> Outcome:
    machine.memory.write(CODE, code)
    machine.engine.set_state(state)
    return machine.run(timeout=LIMIT_S)


def paged(machine: Machine, state: CpuState) -> None:
    """Identity, and the ROM's page at ALIAS, read-only there, even for the kernel."""
    entries = [page << 12 | PRESENT | WRITABLE | USER for page in range(1024)]
    entries[ALIAS >> 12] = ROM_BASE | PRESENT | USER
    machine.memory.write(PAGE_TABLE, b"".join(entry.to_bytes(4, "little") for entry in entries))
    machine.memory.write(DIRECTORY, (PAGE_TABLE | PRESENT | WRITABLE | USER).to_bytes(4, "little"))
    state.cr3 = DIRECTORY
    state.cr0 |= CR0_PG | CR0_WP


def calls_of(machine: Machine) -> list[tuple[int, Direction]]:
    return [(row.port, row.direction) for row in machine.bus.counts() if row.path == AccessPath.HYPERCALL]


@pytest.mark.parametrize("base", [ROM_BASE, ALIAS], ids=["identity", "alias"])
@pytest.mark.parametrize("eflags", [0, EFLAGS_IF, EFLAGS_IF | EFLAGS_ARITHMETIC], ids=["cli", "sti", "flags"])
@pytest.mark.parametrize("level", [0, 1])
def test_a_kernel_calls_without_port_permission(machine: Machine, level: int, eflags: int, base: int) -> None:
    state = at_level(level, eflags)
    paged(machine, state)
    assert run_at(machine, state, program(base)) == GuestExit(0x2A)
    after = machine.engine.state()
    changed = {name for name in REGISTERS if getattr(after, name) != getattr(state, name)}
    assert changed - {"esp"} == {"eax", "edx"}  # ESP: the debug exit may end the run before the last RET
    assert after.eax == 0x11111100 | 0x2A  # AL alone
    assert int.from_bytes(machine.memory.read(BUFFER, 4), "little") & (EFLAGS_IF | EFLAGS_ARITHMETIC) == eflags
    assert calls_of(machine) == [(CMOS + 1, Direction.IN), (EXIT_PORT, Direction.OUT)]


@pytest.mark.parametrize("level", [2, 3])
@pytest.mark.parametrize("base", [ROM_BASE, ALIAS], ids=["identity", "alias"])
def test_others_need_the_permission_of_the_instruction(machine: Machine, level: int, base: int) -> None:
    state = at_level(level, 0)
    paged(machine, state)
    assert isinstance(run_at(machine, state, program(base)), TripleFault)
    assert machine.engine.state().eip == base + stub(INB)  # #GP at the OUT of the stub
    assert calls_of(machine) == []
    assert {INB, OUTB, EXIT_PORT}.isdisjoint(row.port for row in machine.bus.counts())


def test_at_ring_3_with_permission_it_is_the_out_that_stands_there(machine: Machine) -> None:
    state = at_level(3, 3 << IOPL)
    leave = b"\xba\xf4\x00\x00\x00\xb0\x07\xee"  # mov $0xf4, %edx; mov $7, %al; out %al, %dx
    assert run_at(machine, state, call(INB, CODE, ROM_BASE) + leave) == GuestExit(7)
    assert calls_of(machine) == []
    assert [row.accesses for row in machine.bus.counts() if row.port == INB and row.direction == Direction.OUT] == [1]
    assert machine.engine.state().eax == 0x11111107  # nothing was read


@pytest.mark.parametrize("allowed", [True, False])
def test_the_io_map_decides_for_ring_3(machine: Machine, allowed: bool) -> None:
    state = at_level(3, 0)
    ports = bytearray(b"\xff" * 0x101)
    for port in (EXIT_PORT, *([INB] if allowed else [])):
        ports[port >> 3] &= ~(1 << (port & 7))
    machine.memory.write(TSS + MAP_AT, bytes(ports))
    state.tr = Segment(0x28, TSS, MAP_AT + len(ports) - 1, TSS_32)
    outcome = run_at(machine, state, call(INB, CODE, ROM_BASE) + b"\xba\xf4\x00\x00\x00\xb0\x07\xee")
    assert outcome == GuestExit(7) if allowed else isinstance(outcome, TripleFault)
    assert calls_of(machine) == []


@pytest.mark.parametrize("level", [0, 1])
def test_string_calls_of_a_kernel(machine: Machine, level: int) -> None:
    state = at_level(level, EFLAGS_IF)
    state.edi, state.ecx, state.edx = BUFFER + 0xFF0, 0x40, CMOS + 1
    code = call(INSB, CODE, ROM_BASE)
    code += b"\xba\xf4\x00\x00\x00\xb0\x01"
    assert run_at(machine, state, code + call(OUTB, CODE + len(code), ROM_BASE)) == GuestExit(1)
    after = machine.engine.state()
    assert (after.edi, after.ecx) == (BUFFER + 0xFF0 + 0x40, 0)
    assert machine.memory.read(BUFFER + 0xFF0, 0x41) == b"\x2a" * 0x40 + b"\0"
    assert [
        row.crossings for row in machine.bus.counts() if row.port == CMOS + 1 and row.path == AccessPath.HYPERCALL
    ] == [1]
