# SPDX-License-Identifier: GPL-2.0-or-later
"""LOCK: #UD before what cannot be locked (SDM vol. 2A, LOCK), whatever the core makes of it; else no difference."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from hyperport.machine.machine import Machine
from hyperport.outcome import HaltedForever
from tests.engines.test_unicorn_hostile import CODE, COUNT, GDT, HANDLER, IDT, SECONDS, STACK, STOP_HERE, flat

DATA = 0x20000


@pytest.fixture(scope="module")
def machine() -> Iterator[Machine]:
    with Machine(memory=2 << 20) as machine:
        yield machine


def faults_of(machine: Machine, code: bytes) -> dict[int, int]:
    before = dict(machine.engine.counters().exceptions)
    machine.memory.write(GDT, bytes(16) + bytes.fromhex("ffff0000009bcf00ffff00000093cf00"))
    for vector in range(256):
        machine.memory.write(IDT + 8 * vector, HANDLER.to_bytes(2, "little") + b"\x10\0\0\x8e\0\0")
    machine.memory.write(HANDLER, b"\xff\x05" + COUNT.to_bytes(4, "little") + STOP_HERE)
    machine.memory.write(CODE, code + STOP_HERE * 16)
    machine.memory.write(DATA, bytes(64))
    state = flat()
    state.eax = state.ebx = DATA
    state.esp = STACK
    machine.engine.set_state(state)
    assert isinstance(machine.run(timeout=SECONDS), HaltedForever)
    after = machine.engine.counters().exceptions
    return {vector: count - before.get(vector, 0) for vector, count in after.items() if count != before.get(vector, 0)}


# Opcode, and the values of ModRM.reg with which it can be locked if the operand is in memory.
LOCKABLE = {
    **{f"{8 * row | form:02x}": range(8) for row in range(7) for form in (0, 1)},
    **dict.fromkeys(("80", "81", "83"), range(7)),
    **dict.fromkeys(("86", "87", "0fab", "0fb3", "0fbb", "0fb0", "0fb1", "0fc0", "0fc1"), range(8)),
    **dict.fromkeys(("f6", "f7"), (2, 3)),
    **dict.fromkeys(("fe", "ff"), (0, 1)),
    "0fba": range(5, 8),
    "0fc7": (1,),
}


@pytest.mark.parametrize("opcode", LOCKABLE)
def test_what_can_be_locked_in_memory(machine: Machine, opcode: str) -> None:
    for reg in range(8):
        lockable = reg in LOCKABLE[opcode]
        in_memory = bytes([0xF0]) + bytes.fromhex(opcode) + bytes([reg << 3 | 3])  # [ebx]
        if lockable:
            assert 6 not in faults_of(machine, in_memory)
        else:
            assert faults_of(machine, in_memory) == {6: 1}
        assert faults_of(machine, in_memory[:-1] + bytes([0xC0 | reg << 3 | 3])) == {6: 1}  # ebx


@pytest.mark.parametrize(
    "code", ["90", "0fa3c1", "0fa303", "0fa2", "3803", "8b03", "a4", "c3", "d8c0", "0f58c1", "50", "e9", "f4", "0f00c0"]
)
@pytest.mark.parametrize("more", ["", "66", "f3", "2e2e2e2e"])
def test_what_cannot(machine: Machine, code: str, more: str) -> None:
    assert faults_of(machine, bytes.fromhex(more + "f0" + code)) == {6: 1}
    assert faults_of(machine, bytes.fromhex("f0" + more + code)) == {6: 1}
