# SPDX-License-Identifier: GPL-2.0-or-later
"""Sites and code pages of the Unicorn engine, seen from a guest that changes its own code."""

from __future__ import annotations

from typing import Any

import pytest

from hyperport import HaltedForever, Machine
from hyperport.cpu.state import protected_flat

MIB = 1 << 20
CODE, BUFFER, PORT = 0x10_0000, 0x20_0000, 0x340


def run(code: bytes, io: str = "exit", **registers: int) -> tuple[Any, list[tuple[int, int, int]]]:
    seen: list[tuple[int, int, int]] = []
    with Machine(memory=4 * MIB, engine="unicorn", io=io, testdev=True) as machine:
        machine.bus.observe(lambda a: seen.extend([(int(a.direction), a.port, a.size)] * a.count))
        machine.memory.write(CODE, code)
        state = protected_flat(eip=CODE)
        state.edx, state.esi, state.edi = PORT, BUFFER, BUFFER + 0x1000
        for name, value in registers.items():
            setattr(state, name, value)
        machine.engine.set_state(state)
        assert isinstance(machine.run(timeout=30), HaltedForever)
        return machine.engine.state(), seen


def loop(patches: bytes, count: int, distance: int) -> bytes:
    """A REP string of count elements in a loop, EBP times; each time its opcode comes from the table at CODE + 800h."""
    at = 15 + distance
    code = b"\x8a\x03\x43"  # mov al, [ebx]; inc ebx
    code += b"\xa2" + (CODE + at + 1).to_bytes(4, "little")  # mov [at + 1], al
    code += b"\xb9" + count.to_bytes(4, "little")  # mov ecx, count
    code += b"\xeb" + bytes([distance]) + b"\x90" * distance  # jmp at: another block of code
    code += b"\xf3\x90\x4d"  # at: rep ...; dec ebp
    code += b"\x0f\x85" + (-(len(code) + 6) & 0xFFFFFFFF).to_bytes(4, "little") + b"\xfa\xf4"  # jnz; cli; hlt
    return code.ljust(0x800, b"\x90") + patches


@pytest.mark.parametrize("count", [1, 2, 5])
@pytest.mark.parametrize("distance", [0, 20])
@pytest.mark.parametrize("io", ["exit", "trap", "hypercall"])
def test_a_string_that_is_rewritten_is_what_it_says_now(io: str, distance: int, count: int) -> None:
    wanted = {0x6C: (0, PORT, 1), 0x6D: (0, PORT, 4), 0x6E: (1, PORT, 1), 0x6F: (1, PORT, 4)}
    patches = bytes((0x6C, 0x6E, 0x6F, 0x6D)) * 40 + bytes((0x6D, 0x6D, 0x6E)) * 30
    state, seen = run(loop(patches, count, distance), io, ebx=CODE + 0x800, ebp=len(patches))
    assert seen == [wanted[patch] for patch in patches for _ in range(count)]
    assert state.ecx == 0


def test_a_string_that_overwrites_itself() -> None:
    # rep insb over its own code and the HLT: what the device gives is 8-bit, what counts is that the VMM goes on.
    _, seen = run(b"\xb9\x01\x00\x00\x00\xf3\x6c\xfa\xf4" + b"\xf4" * 8, edi=CODE + 0x10)
    assert seen == [(0, PORT, 1)]


def test_pages_with_code_are_known_and_forgotten() -> None:
    with Machine(memory=4 * MIB, engine="unicorn") as machine:
        engine: Any = machine.engine
        machine.memory.write(CODE, b"\xfa\xf4")
        engine.set_state(protected_flat(eip=CODE))
        assert not engine.pages.code_at(CODE)
        machine.run(timeout=30)
        assert engine.pages.code_at(CODE)
        assert not engine.pages.code_at(CODE + 0x1000)
        assert not engine.pages.code_at(1 << 40)
        machine.memory.write(CODE, b"\x90\xf4")  # the host writes: translated code is dropped
        assert not engine.pages.code_at(CODE)
