# SPDX-License-Identifier: GPL-2.0-or-later
"""Port calls of the ROM that the engine does without running their code: what they leave is what the code leaves.

A machine whose code is counted runs the code. So each program runs on one of both kinds, and everything that the guest
can look at is compared.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from hyperport import Machine, TripleFault
from hyperport.abi import numbers
from hyperport.abi.numbers import EXITLESS_BASE, Exitless
from hyperport.abi.rom import build_rom
from hyperport.bus.access import PortAccess
from hyperport.cpu.state import CODE_32, DATA_32, CpuState, Segment, Table, protected_flat

MIB = 1 << 20
CODE, RESULTS, STACK, GDT = 0x10_0000, 0x20_0000, 0x30_0000, 0x31_0000
DIRECTORY, TABLE, MAPPED = 0x32_0000, 0x32_1000, 0x40_0000
ROUNDS = 4  # in the first ones the core finds blocks, and pages for its TLB
RING, LEFT = EXITLESS_BASE + Exitless.RING, EXITLESS_BASE + Exitless.LEFT
LAST = RING + 8 * (numbers.EXITLESS_ENTRIES - 1)  # the entry that is used first
# POST code, test device, the UART's THR, SCR, LSR and MSR, PIC mask, IDE, nobody, PCI address, data
PORTS = (0x80, 0x84, 0x5E0, 0x3F8, 0x3FF, 0x3FD, 0x3FE, 0x21, 0x1F2, 0x2C0, 0xCF8, 0xCFC, 0xFFFF)
CALLS = ("INB", "INW", "INL", "OUTB", "OUTW", "OUTL")
END = b"\xfa\xf4"  # cli; hlt
FLAGS = 0x8D5 | 2


def entry(name: str, exitless: bool) -> int:
    """Physical address of a call's code, as get_reloc tells it."""
    rom = build_rom(exitless=exitless)
    (table,) = struct.unpack_from("<H", rom.data, 144)
    (at,) = struct.unpack_from("<H", rom.data, table + 4 * numbers.VMI_BY_NAME[name].number)
    return rom.base + int(at)


def relative(opcode: bytes, target: int, at: int) -> bytes:
    return opcode + struct.pack("<i", target - (at + len(opcode) + 4))


class Side:
    """A machine; plain: it runs the code."""

    def __init__(self, io: str, plain: bool, **config: Any) -> None:
        self.machine = Machine(memory=5 * MIB, engine="unicorn", io=io, testdev=True, **config)
        if plain:
            self.machine.engine.cover()
        self.log: list[tuple[int, int, int]] = []
        self.machine.bus.observe(self.note)
        flat = 0x00CF_9300_0000_FFFF
        self.machine.memory.write(GDT, struct.pack("<3Q", 0, flat | 0x0800 << 32, flat))

    def note(self, access: PortAccess) -> None:
        if access.direction:
            self.log.append((access.port, access.size, access.value))

    def run(self, code: bytes, change: Callable[[CpuState], CpuState] = lambda state: state) -> tuple[CpuState, Any]:
        """Registers at the end, and what else can be seen: memory of the guest's own, and what reached devices."""
        self.machine.memory.write(CODE, code)
        state = protected_flat(eip=CODE)
        state.cs, state.ss = Segment(8, 0, 0xFFFFFFFF, CODE_32), Segment(16, 0, 0xFFFFFFFF, DATA_32)
        state.esp, state.eflags, state.gdtr = STACK, FLAGS, Table(GDT, 23)
        state.ebx, state.ecx, state.ebp, state.esi, state.edi = 0xB0B1, 0xC0C1, 0xBEBF, 0x5152, 0xD1D2
        self.machine.engine.set_state(change(state))
        end = self.machine.run(timeout=30)
        memory = self.machine.memory.read(CODE, 4 * MIB - CODE)
        return replace(self.machine.engine.state(), tsc=0), (memory, self.log, type(end))


def both(io: str, code: bytes, change: Callable[[CpuState], CpuState] = lambda state: state) -> Side:
    """Run it on both sides and compare; returns the one that takes short cuts, which its caller closes."""
    plain, short = Side(io, True), Side(io, False)
    try:
        expected = plain.run(code, change)
        assert short.run(code, change) == expected
    finally:
        plain.machine.close()
    return short


def program(rng: random.Random, io: str) -> bytes:
    """Calls, several times, each with other upper halves of its registers; results are kept."""
    code = b"\xbf" + struct.pack("<I", ROUNDS)  # mov $ROUNDS, %edi
    begin = CODE + len(code)
    for number in range(rng.randint(1, 12)):
        name, port = rng.choice(CALLS), rng.choice(PORTS)
        code += (
            b"\xb8"
            + struct.pack("<I", rng.getrandbits(32))
            + b"\xba"
            + struct.pack("<I", port | rng.getrandbits(16) << 16)
        )
        code += relative(b"\xe8", entry(name, io == "exitless"), CODE + len(code))
        code += b"\xa3" + struct.pack("<I", RESULTS + 4 * number)  # mov %eax, RESULTS
    code += b"\x9c\x8f\x05" + struct.pack("<I", RESULTS - 4)  # pushf; pop RESULTS - 4
    code += b"\x4f" + relative(b"\x0f\x85", begin, CODE + len(code) + 1)  # dec %edi; jnz
    return code + END


@pytest.mark.parametrize("io", ["hypercall", "exitless"])
def test_programs(io: str) -> None:
    for seed in range(60):
        both(io, program(random.Random(f"{io}/{seed}"), io)).machine.close()


def test_it_posts_and_reads_without_a_crossing() -> None:
    code = b"\xbf\xe8\x03\x00\x00"  # mov $1000, %edi
    begin = CODE + len(code)
    for name, port in (("INB", 0x3FD), ("OUTB", 0x80)):
        code += b"\xba" + struct.pack("<I", port) + relative(b"\xe8", entry(name, True), CODE + len(code) + 5)
    code += b"\x4f" + relative(b"\x0f\x85", begin, CODE + len(code) + 1) + END
    short = both("exitless", code)
    with short.machine as machine:
        assert machine.exitless is not None
        counts = machine.exitless.counts()
        assert counts["shadowed"] == 1000
        assert counts["posted"] > 950


@pytest.mark.parametrize("io", ["hypercall", "exitless"])
def test_calls_that_return_into_each_other(io: str) -> None:
    """The stack is full of their addresses, and there is no other code between."""
    chain = [entry("OUTB", io == "exitless"), entry("INB", io == "exitless")] * 400

    def pushed(state: CpuState) -> CpuState:
        return replace(state, esp=RESULTS, edx=0x80)

    code = b"\xc3" + END
    stack = struct.pack(f"<{len(chain) + 1}I", *chain, CODE + 1)
    sides = [Side(io, plain) for plain in (True, False)]
    for side in sides:
        side.machine.memory.write(RESULTS, stack)
    first, second = (side.run(code, pushed) for side in sides)
    for side in sides:
        side.machine.close()
    assert first == second
    assert first[0].esp == RESULTS + len(stack)
    assert len(first[1][1]) == 400


@pytest.mark.parametrize(
    "esp", [LAST + 8, LAST + 12, LAST + 20, LEFT + 8, EXITLESS_BASE + Exitless.END, STACK + 8, STACK + 0x1000 - 4]
)
def test_wherever_the_stack_is(esp: int) -> None:
    """In the ring that the call writes to; where it begins in one page and ends in the next one."""
    code = b"\xbf" + struct.pack("<I", ROUNDS)
    begin = CODE + len(code)
    for value in range(3):
        code += b"\xb8" + struct.pack("<I", 0x1000 + value) + b"\xba" + struct.pack("<I", 0x80)
        code += relative(b"\xe8", entry("OUTB", True), CODE + len(code))
    code += b"\x4f" + relative(b"\x0f\x85", begin, CODE + len(code) + 1) + END
    both("exitless", code, lambda state: replace(state, esp=esp)).machine.close()


def paged(side: Side) -> Callable[[CpuState], CpuState]:
    """Identity for 4 MiB, and the ROM and its tables once more at MAPPED."""
    memory = side.machine.memory
    memory.write(DIRECTORY, struct.pack("<2I", TABLE | 7, TABLE + 0x1000 | 7))
    memory.write(TABLE, struct.pack("<1024I", *(0x1000 * page | 7 for page in range(1024))))
    pages = [numbers.ROM_BASE + 0x1000 * page | 7 for page in range(32)]
    memory.write(TABLE + 0x1000, struct.pack("<32I", *pages))
    return lambda state: replace(state, cr3=DIRECTORY, cr0=state.cr0 | 1 << 31)


def test_tables_that_are_moved_under_it() -> None:
    """The page of LEFT is mapped to one in which nothing is free, and back; the guest tells of it by INVLPG."""
    page = (LEFT - numbers.ROM_BASE) >> 12
    entry_at = TABLE + 0x1000 + 4 * page
    call = MAPPED + entry("OUTB", True) - numbers.ROM_BASE
    other = 0x34_0000
    code = b""
    for place in (LEFT & ~0xFFF, LEFT & ~0xFFF, other, LEFT & ~0xFFF, other):
        code += b"\xc7\x05" + struct.pack("<2I", entry_at, place | 7)  # movl $place | 7, entry_at
        code += b"\x0f\x01\x3d" + struct.pack("<I", MAPPED + 0x1000 * page)  # invlpg
        code += b"\xbf" + struct.pack("<I", ROUNDS)
        begin = CODE + len(code)
        code += b"\xb8\x11\x22\x33\x44\xba\x80\x00\x00\x00" + relative(b"\xe8", call, CODE + len(code) + 10)
        code += b"\x4f" + relative(b"\x0f\x85", begin, CODE + len(code) + 1)
    code += END
    sides = [Side("exitless", plain) for plain in (True, False)]
    results = [side.run(code, paged(side)) for side in sides]
    paths = [[(row.path, row.accesses) for row in side.machine.bus.counts() if row.port == 0x80] for side in sides]
    for side in sides:
        side.machine.close()
    assert results[0] == results[1]
    assert paths[0] == paths[1]
    assert len(results[0][1][1]) == 5 * ROUNDS


@pytest.mark.parametrize("io", ["hypercall", "exitless"])
def test_a_stack_that_cannot_be_stored_to_faults_as_the_code_does(io: str) -> None:
    """ESP is in a page that is not there: the run ends by a triple fault on both sides."""
    call = entry("OUTB", io == "exitless")
    code = b"\xba\x80\x00\x00\x00" + relative(b"\xe8", call, CODE + 5) + END
    ends = []
    for plain in (True, False):
        side = Side(io, plain)
        shown = paged(side)
        ends.append(side.run(code, lambda state, shown=shown: replace(shown(state), esp=MAPPED + 0x20_0000)))  # type: ignore[misc]
        side.machine.close()
    assert ends[0] == ends[1]
    assert ends[0][1][2] is TripleFault
