# SPDX-License-Identifier: GPL-2.0-or-later
"""Observers see the same elements (direction, port, size, data) on every path and engine, and where each was made."""

from __future__ import annotations

import random
from typing import Any

import pytest

from hyperport import HaltedForever, Machine
from hyperport.bus.access import Place
from hyperport.cpu.state import protected_flat

MIB = 1 << 20
CODE, BUFFER, PORT, NOBODY = 0x10_0000, 0x20_0000, 0x340, 0x7000
Element = tuple[int, int, int, bytes]
PLAIN = {("in", 1): b"\xec", ("in", 2): b"\x66\xed", ("in", 4): b"\xed"}
PLAIN |= {("out", size): code[:-1] + bytes([code[-1] | 2]) for (_, size), code in list(PLAIN.items())}
STRING = {("in", 1): b"\x6c", ("in", 2): b"\x66\x6d", ("in", 4): b"\x6d"}
STRING |= {("out", size): code[:-1] + bytes([code[-1] | 2]) for (_, size), code in list(STRING.items())}


def long(number: int) -> bytes:
    return number.to_bytes(4, "little")


def program(seed: int, *, strings: bool = True) -> tuple[bytes, list[tuple[str, int, int, int]]]:
    """Machine code, and the same single accesses as a script."""
    chosen = random.Random(seed)
    code, script = b"", []
    for _ in range(30):
        size, direction = chosen.choice((1, 2, 4)), chosen.choice(("in", "out"))
        port, value = chosen.choice((PORT, PORT + 4, NOBODY)), chosen.getrandbits(8 * size)
        code += b"\xba" + long(port)
        if strings and chosen.random() < 0.5:
            count = chosen.choice((0, 1, 1, 2, 3, 40))
            at = BUFFER + chosen.choice((0, 0xFFD, 0xFFE))
            code += b"\xb9" + long(count) + (b"\xbf" if direction == "in" else b"\xbe") + long(at)
            code += chosen.choice((b"\xfc", b"\xfd")) + b"\xf3" + STRING[direction, size]
        else:
            code += b"\xb8" + long(value) + PLAIN[direction, size]
            script.append((direction, port, size, value))
    return code + b"\xfc\xfa\xf4", script


def watch(machine: Machine) -> list[Element]:
    elements: list[Element] = []

    def seen(access: Any) -> None:
        for at in range(0, len(access.data), access.size):
            elements.append((int(access.direction), access.port, access.size, access.data[at : at + access.size]))

    machine.bus.observe(seen)
    return elements


def run(code: bytes, engine: str, io: str) -> list[Element]:
    with Machine(memory=4 * MIB, engine=engine, io=io, testdev=True) as machine:
        elements = watch(machine)
        machine.memory.write(BUFFER - 0x1000, bytes(range(256)) * 64)
        machine.memory.write(CODE, code)
        machine.engine.set_state(protected_flat(eip=CODE))
        assert isinstance(machine.run(timeout=30), HaltedForever)
    return elements


@pytest.mark.parametrize("seed", range(12))
def test_the_same_elements_on_every_path(seed: int) -> None:
    code, _ = program(seed)
    results = {io: run(code, "unicorn", io) for io in ("exit", "trap", "hypercall")}
    assert len(results["exit"]) > 20
    assert results["trap"] == results["exit"]
    assert results["hypercall"] == results["exit"]


@pytest.mark.usefixtures("kvm")
@pytest.mark.parametrize("seed", range(4))
def test_the_same_elements_on_kvm(seed: int) -> None:
    code, _ = program(seed)
    assert run(code, "kvm", "exit") == run(code, "unicorn", "exit")


@pytest.mark.parametrize("seed", range(6))
def test_the_same_elements_from_a_script(seed: int) -> None:
    code, script = program(seed, strings=False)
    with Machine(memory=4 * MIB, engine="scripted", testdev=True) as machine:
        elements = watch(machine)
        engine: Any = machine.engine
        engine.play(script)
        assert isinstance(machine.run(timeout=30), HaltedForever)
    assert elements == run(code, "unicorn", "exit")


def places(engine: str, io: str) -> list[Place | None]:
    found: list[Place | None] = []
    with Machine(memory=4 * MIB, engine=engine, io=io, testdev=True) as machine:
        machine.bus.observe(lambda access: found.append(access.place), places=True)
        machine.memory.write(CODE, b"\x90\xec\xee\xb9\x03\x00\x00\x00\xf3\x6e\x40\x6e\xfa\xf4")
        state = protected_flat(eip=CODE)
        state.edx, state.esi = PORT, BUFFER
        machine.engine.set_state(state)
        machine.run(timeout=30)
        machine.bus.inp(PORT)
    return found


@pytest.mark.parametrize("io", ["exit", "trap", "hypercall"])
def test_places_are_exact_on_unicorn(io: str) -> None:
    assert places("unicorn", io) == [
        *(Place(16, CODE + offset, 0, True) for offset in (1, 2, 8, 11)),
        None,  # nobody's code: Python
    ]


@pytest.mark.usefixtures("kvm")
def test_places_on_kvm_are_at_the_instruction_or_behind_it() -> None:
    found = places("kvm", "exit")
    assert found.pop() is None
    lengths = {1: 1, 2: 1, 8: 2, 11: 1}
    allowed = {CODE + at + behind for at, length in lengths.items() for behind in (0, length)}
    assert {place.eip for place in found if place} <= allowed
    assert {(place.cs, place.cpl, place.exact) for place in found if place} == {(16, 0, False)}


def test_places_cost_nothing_unless_asked() -> None:
    with Machine(memory=4 * MIB, engine="unicorn", testdev=True) as machine:
        found: list[Any] = []
        machine.bus.observe(lambda access: found.append(access.place))
        machine.memory.write(CODE, b"\xec\xfa\xf4")
        state = protected_flat(eip=CODE)
        state.edx = PORT
        machine.engine.set_state(state)
        machine.run(timeout=30)
    assert found == [None]
