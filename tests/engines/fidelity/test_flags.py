# SPDX-License-Identifier: GPL-2.0-or-later
"""Flags where the core computes them late: what a fault pushes, what CMPXCHG8B and LOOPcc keep (SDM vol. 2)."""

from __future__ import annotations

import pytest

from .guest import PF, CpuGuest

TABLES, ABSENT = 0x100000, 0x90000
PAGING = "b8 00001000 0f22d8 0f20c0 0d 00000080 0f22c0 ; eax to cr3, PG"
# OF, SF, AF and PF of an addition; the same with CF, of a subtraction.
FLAGS = {
    "add": ("b8 ffffff7f 83c001", 0x894),
    "sub": ("b8 00000000 83e801", 0x095),
    "inc": ("f9 b8 ffffff7f 40", 0x895),
}
ALL = 0x8D5
ACCESSES = {
    "rcl 1": "d115 00000900",
    "rcl 3": "c115 00000900 03",
    "rcr cl": "b103 d31d 00000900",
    "rclb": "d015 00000900",
    "rcrw": "66 c11d 00000900 05",
    **{f"set {condition:x}": f"0f9{condition:x}05 00000900" for condition in range(16)},
    "cmpxchg8b": "0fc70d 00000900",
    "lock cmpxchg8b": "f0 0fc70d 00000900",
    "adc": "1105 00000900",
    "pushl": "ff35 00000900",
}


@pytest.mark.parametrize("access", ACCESSES)
@pytest.mark.parametrize("before", FLAGS)
def test_a_page_fault_pushes_the_flags_as_they_were(cpu: CpuGuest, before: str, access: str) -> None:
    """The core notes how it keeps flags at the start of an instruction; some compute them before their access."""
    entries = [page << 12 | 3 for page in range(1024)]
    entries[ABSENT >> 12] = 0
    cpu.memory.write(TABLES, (TABLES + 0x1000 | 3).to_bytes(4, "little"))
    cpu.memory.write(TABLES + 0x1000, b"".join(entry.to_bytes(4, "little") for entry in entries))
    code, flags = FLAGS[before]
    end = cpu.run("\n".join((PAGING, code, ACCESSES[access])))
    assert (end.vector, end.eflags & ALL) == (PF, flags)


@pytest.mark.parametrize("lock", ["", "f0"])
@pytest.mark.parametrize("before", FLAGS)
def test_cmpxchg8b_changes_zf_alone(cpu: CpuGuest, before: str, lock: str) -> None:
    code, flags = FLAGS[before]
    end = cpu.run(f"{code}\n{lock} 0fc70d 00000900 ; cmpxchg8b 0x90000\nf4")
    assert end.state.eflags & ALL == flags
    end = cpu.run(f"{code}\nb8 00000000 ba 00000000 {lock} 0fc70d 00000900 ; equal\nf4")
    assert end.state.eflags & ALL == flags | 0x40


# As SDM vol. 2 has it of each: what they leave, with ZF and without.
LEFT = {**FLAGS, "dec to 0": ("f8 b8 01000000 48", 0x044), "and": ("b8 00000080 85c0", 0x084)}


@pytest.mark.parametrize("width", ["", "67"])
@pytest.mark.parametrize("loop", ["e0", "e1"])
@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("before", LEFT)
def test_loops_change_no_flags(cpu: CpuGuest, before: str, count: int, loop: str, width: str) -> None:
    """Also where the count ends them, which the core sees before it looks at the flags."""
    code, flags = LEFT[before]
    other = "b8 00000000 83e801 ; another block, and another way to keep flags"
    end = cpu.run(f"{other} eb00\nb9 {count:02x}000000 {code} {width} {loop} 00 ; loopcc to the next instruction\nf4")
    assert end.state.eflags & ALL == flags
    assert end.state.ecx == count - 1
