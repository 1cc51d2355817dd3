# SPDX-License-Identifier: GPL-2.0-or-later
"""A new convention is one file in abi/: one of each kind, found there, offered, listed, compared, called by guests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hyperport import ConfigError, GuestKilled, HaltedForever, Machine
from hyperport.abi import CONVENTIONS
from hyperport.abi.convention import Convention, Entry, doorbell
from hyperport.abi.numbers import VMI_BY_NAME
from hyperport.cli.list import abis
from hyperport.cpu.state import CpuState, protected_flat
from hyperport.engines import ENGINES
from hyperport.observe.compare import known_ways

from .made import FILES, offered

MIB = 1 << 20
CODE, BUFFER, PORT = 0x10_0000, 0x20_0000, 0x340
HLT = b"\xf4"
IMAGE_AT = 0xD_0000


@pytest.fixture
def added(tmp_path: Path) -> Iterator[dict[str, Convention]]:
    with offered(tmp_path) as conventions:
        yield conventions


def number(name: str, call: str) -> int:
    wanted = VMI_BY_NAME[call].number
    return next(number for number, known in CONVENTIONS[name].ports.items() if known.number == wanted)


def entry(name: str, call: str) -> bytes:
    """The machine code by which a guest at CODE calls."""
    convention = CONVENTIONS[name]
    if convention.kind != Entry.DOORBELL:
        return convention.instructions[0]
    assert convention.image is not None
    offset = next(at for at, known in convention.image(None).doorbells.items() if known == number(name, call))
    return b"\xe8" + (IMAGE_AT + offset - (CODE + 5) & 0xFFFFFFFF).to_bytes(4, "little")


def run(name: str, code: bytes, registers: dict[str, int], engine: str = "unicorn") -> tuple[Any, CpuState, list[Any]]:
    seen: list[Any] = []
    with Machine(memory=4 * MIB, engine=engine, io="hypercall", abi=(name,), testdev=True) as machine:
        machine.bus.observe(lambda access: seen.append((int(access.direction), access.port, access.size, access.data)))
        machine.memory.write(CODE, code + HLT)
        machine.memory.write(BUFFER, bytes(range(1, 65)))
        state = protected_flat(eip=CODE)
        state.esp = BUFFER - 16
        for register, value in registers.items():
            setattr(state, register, value)
        machine.engine.set_state(state)
        return machine.run(timeout=20), machine.engine.state(), seen


def operands(name: str, call: str, value: int) -> dict[str, int]:
    where = CONVENTIONS[name].registers
    return {
        where.port: 0xABCD_0000 | PORT,
        where.value: value,
        CONVENTIONS[name].number if CONVENTIONS[name].kind != Entry.DOORBELL else "ebp": number(name, call),
    }


@pytest.mark.parametrize("name", FILES)
def test_it_is_found_offered_listed_and_compared(name: str, added: dict[str, Convention]) -> None:
    assert list(added).index("vmi") == 0
    assert name in {row["name"] for row in abis()}
    way = known_ways()[f"hypercall-{name}"]
    assert (way.io, way.ops, way.abis) == ("hypercall", name, (name,))
    kinds = {"belled": (True, True), "opcode": (True, False), "vectored": (True, False)}
    assert (ENGINES["unicorn"].offers(name), ENGINES["kvm"].offers(name)) == kinds[name]
    assert not ENGINES["scripted"].offers(name)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("size", [1, 2, 4])
def test_a_guest_calls_by_it(name: str, size: int, added: dict[str, Convention]) -> None:
    letter = {1: "B", 2: "W", 4: "L"}[size]
    outcome, _, seen = run(name, entry(name, f"OUT{letter}"), operands(name, f"OUT{letter}", 0x44332211))
    assert isinstance(outcome, HaltedForever)
    assert seen == [(1, PORT, size, (0x44332211).to_bytes(4, "little")[:size])]
    result = added[name].registers.result
    outcome, state, seen = run(name, entry(name, f"IN{letter}"), operands(name, f"IN{letter}", 0x5566_7788))
    got = int.from_bytes(seen[0][3], "little")
    mask = (1 << 8 * size) - 1
    kept = operands(name, "INB", 0x5566_7788).get(result, 0) & ~mask if added[name].as_native else 0
    assert getattr(state, result) == kept | got


@pytest.mark.parametrize("name", FILES)
def test_its_strings(name: str, added: dict[str, Convention]) -> None:
    convention = added[name]
    given = operands(name, "OUTSW", 5) | {convention.registers.count: 5, convention.registers.source: BUFFER}
    _, state, seen = run(name, entry(name, "OUTSW"), given)
    assert [access[:3] for access in seen] == [(1, PORT, 2)]
    assert seen[0][3] == bytes(range(1, 11))
    if convention.as_native:
        assert (state.ecx, state.esi) == (0, BUFFER + 10)
    else:
        left = {convention.registers.result: 0, convention.registers.count: 5, convention.registers.source: BUFFER}
        assert {register: getattr(state, register) for register in left} == left


def test_numbers_of_32_bits_and_other_answers(added: dict[str, Convention]) -> None:
    assert run("opcode", b"\x0f\x0a", {"ebp": 0x80000000})[1].eax == 0xFFFFFFF9
    assert run("opcode", b"\x0f\x0a", {"ebp": 0x80000001})[1].eax == 0xFFFFFFFF
    assert run("opcode", b"\x0f\x0a", {"ebp": 5})[0] == GuestKilled("call 5 is deadly")
    assert run("vectored", b"\xcd\x2e", {"esi": 0xFFFFFFFF})[0] == GuestKilled("unknown call 0xffffffff")
    for hostile in (7 + 1000 * 4, 255, 256, 1 << 31, 0xFFFFFFFF):
        assert isinstance(run("vectored", b"\xcd\x2e", {"esi": hostile})[0], GuestKilled)


def test_two_that_want_the_same_instruction_are_refused(added: dict[str, Convention]) -> None:
    twin = CONVENTIONS["opcode"].__class__(
        **{field: getattr(CONVENTIONS["opcode"], field) for field in Convention.__slots__} | {"name": "twin"}
    )
    added["twin"] = twin
    try:
        with pytest.raises(ConfigError, match="0f 0a belongs to opcode; offer one of them"):
            Machine(io="hypercall", abi=("opcode", "twin"), memory=4 * MIB)
    finally:
        del added["twin"]


@pytest.mark.usefixtures("kvm")
@pytest.mark.parametrize("name", FILES)
def test_on_kvm(name: str, added: dict[str, Convention]) -> None:
    if added[name].kind != Entry.DOORBELL:
        with pytest.raises(ConfigError, match=f"^engine kvm cannot offer ABI {name}: .*; use --engine unicorn$"):
            run(name, HLT, {}, "kvm")
        return
    _, _, seen = run(name, entry(name, "OUTW"), operands(name, "OUTW", 0x1234), "kvm")
    assert seen == [(1, PORT, 2, b"\x34\x12")]
    given = operands(name, "INSB", 3) | {"ecx": 3, "edi": BUFFER}
    _, state, seen = run(name, entry(name, "INSB"), given, "kvm")
    assert (seen[0][:3], len(seen[0][3]), state.eax, state.ecx, state.edi) == ((0, PORT, 1), 3, 0, 3, BUFFER)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"instructions": ()}, "an instruction has 1 to 15 bytes"),
        ({"instructions": (bytes(16),)}, "an instruction has 1 to 15 bytes"),
        ({"kind": Entry.VECTOR}, "the instruction of a vector is INT n"),
        ({"kind": Entry.DOORBELL}, "a doorbell is `out %al, "),
        ({"ports": {1 << 32: VMI_BY_NAME["INB"]}}, "a call's number has 32 bits"),
    ],
)
def test_a_table_that_is_no_convention_is_one_line(wrong: dict[str, Any], told: str) -> None:
    fields = {field: getattr(CONVENTIONS["kvm"], field) for field in Convention.__slots__}
    with pytest.raises(ConfigError, match=told):
        Convention(**fields | wrong)
    assert doorbell(0x56) == b"\xe6\x56"
