# SPDX-License-Identifier: GPL-2.0-or-later
"""The ROM's code run by an engine: from every alias, at the CPLs of kernels, with registers that must survive."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hyperport.abi.numbers import PORT_CALLS, VMI_BY_NAME, Relocation, RomOffset, VmiCall
from hyperport.abi.rom import build_rom
from tests.abi.rom_cpu import ALIASES, END, GENERAL, IF, IOPL_1, SELECTORS, STACK, USER_STACK, Result, RomCpu

ROM = build_rom()
SMALL_ROM = build_rom(["INB"])
OFFSETS = {number: offset for offset, number in ROM.doorbells.items()}
ARITHMETIC = 0x8D5  # OF, SF, ZF, AF, PF, CF
DF = 1 << 10
MARKS = {name: 0x11111111 * (i + 1) for i, name in enumerate(GENERAL)}

word = st.integers(0, 0xFFFFFFFF)
aliases = st.sampled_from(ALIASES)
flags = st.integers(0, 0xFFF).map(lambda bits: bits & (ARITHMETIC | DF | IF) | 2)
registers = st.fixed_dictionaries(dict.fromkeys(GENERAL, word))

cpu = RomCpu(ROM.data)
small_cpu = RomCpu(SMALL_ROM.data)


def ask(machine: RomCpu, alias: int, number: int, given: dict[str, int] | None = None, cpl: int = 0) -> Result:
    return machine.call(alias + RomOffset.GET_RELOC, {**(given or MARKS), "eax": number}, cpl=cpl)


def target(result: Result) -> tuple[int, int]:
    """What get_reloc answered: EDX whole, since its upper bytes are reserved, and EAX."""
    return result.registers["edx"], result.registers["eax"]


def expected(alias: int, number: int) -> tuple[int, int]:
    if number in OFFSETS:
        return Relocation.CALL_REL, alias + OFFSETS[number]
    return (Relocation.NOP, 0) if number == 65 else (Relocation.NONE, 0)


def returned(result: Result) -> bool:
    return (result.eip, result.esp) == (END + 2, STACK)


@pytest.mark.parametrize("alias", ALIASES)
def test_every_number_has_an_answer(alias: int) -> None:
    for number in range(101):
        result = ask(cpu, alias, number)
        assert returned(result)
        if number in (VMI_BY_NAME["IRET"].number, VMI_BY_NAME["SYSEXIT"].number):
            kind, eip = target(result)
            assert kind == Relocation.CALL_REL
            assert alias < eip < alias + len(ROM.data)
        else:
            assert target(result) == expected(alias, number)


@settings(max_examples=300, deadline=None)
@given(number=st.one_of(st.integers(0, 80), word), alias=aliases, values=registers, cpl=st.sampled_from([0, 1]))
def test_any_number_has_an_answer(number: int, alias: int, values: dict[str, int], cpl: int) -> None:
    result = ask(cpu, alias, number, values, cpl)
    assert returned(result)
    assert result.cs == SELECTORS[cpl][0]
    if number not in (33, 34):
        assert target(result) == expected(alias, number)
    for name in ("ebx", "ebp", "esi", "edi"):
        assert result.registers[name] == values[name]


@pytest.mark.parametrize("number", [0x80000000, 0x80000021, 0x40000021, 0x20000032, 0xFFFFFFFF, 74, 0x100 + 33])
def test_numbers_that_would_wrap_in_the_table(number: int) -> None:
    for alias in ALIASES:
        assert target(ask(cpu, alias, number)) == (Relocation.NONE, 0)


def test_get_reloc_leaves_control_flags_alone() -> None:
    for bits in (2, 2 | IF, 2 | DF, 2 | IF | DF):
        result = cpu.call(ALIASES[1] + RomOffset.GET_RELOC, {"eax": 50}, eflags=bits)
        assert result.eflags & (IF | DF) == bits & (IF | DF)


def test_a_restricted_rom_answers_none_for_the_rest() -> None:
    kinds = {number: target(ask(small_cpu, ALIASES[1], number))[0] for number in range(80)}
    assert {number for number, kind in kinds.items() if kind == Relocation.CALL_REL} == {33, 34, 50}
    assert {number for number, kind in kinds.items() if kind != Relocation.NONE} == {33, 34, 50}


@pytest.mark.parametrize("alias", ALIASES)
@pytest.mark.parametrize("cpl", [0, 1])
def test_vmi_init_succeeds(alias: int, cpl: int) -> None:
    result = cpu.call(alias + RomOffset.INIT, MARKS, cpl=cpl)
    assert returned(result)
    assert result.registers["eax"] == 0
    assert {name: result.registers[name] for name in GENERAL[3:]} == {name: MARKS[name] for name in GENERAL[3:]}


@settings(max_examples=200, deadline=None)
@given(call=st.sampled_from(PORT_CALLS), alias=aliases, values=registers, eflags=flags, cpl=st.sampled_from([0, 1]))
def test_a_port_stub_is_one_doorbell_and_changes_nothing(
    call: VmiCall, alias: int, values: dict[str, int], eflags: int, cpl: int
) -> None:
    """Without a VMM that knows the slot, the doorbell is an OUT of AL to the port of its number."""
    result = cpu.call(alias + OFFSETS[call.number], values, cpl=cpl, eflags=eflags | IOPL_1)
    assert returned(result)
    assert result.registers == values
    assert result.eflags == eflags | IOPL_1
    assert result.accesses == [(call.number, values["eax"] & 0xFF)]


@settings(max_examples=60, deadline=None)
@given(alias=aliases, values=registers, eflags=flags)
def test_iret_inside_ring_0(alias: int, values: dict[str, int], eflags: int) -> None:
    kind, stub = target(ask(cpu, alias, 33))
    assert kind == Relocation.CALL_REL
    frame = struct.pack("<3I", END, SELECTORS[0][0], eflags)
    result = cpu.call(stub, values, frame=frame)
    assert (result.registers, result.eflags, result.esp) == (values, eflags, STACK)
    assert (result.eip, result.cs) == (END + 2, SELECTORS[0][0])


@settings(max_examples=60, deadline=None)
@given(alias=aliases, values=registers, eflags=flags)
def test_iret_to_ring_3(alias: int, values: dict[str, int], eflags: int) -> None:
    _, stub = target(ask(cpu, alias, 33))
    code, data = SELECTORS[3]
    frame = struct.pack("<5I", END, code, eflags, USER_STACK, data)
    result = cpu.call(stub, values, frame=frame)
    assert (result.registers, result.eflags) == (values, eflags)
    assert (result.eip, result.cs, result.esp, result.ss) == (END + 2, code, USER_STACK, data)


@settings(max_examples=60, deadline=None)
@given(alias=aliases, values=registers, eflags=flags)
def test_sysexit_to_ring_3(alias: int, values: dict[str, int], eflags: int) -> None:
    kind, stub = target(ask(cpu, alias, 34))
    assert kind == Relocation.CALL_REL
    values = values | {"edx": END, "ecx": USER_STACK}
    result = cpu.call(stub, values, eflags=eflags & ~IF)
    assert result.registers == values
    assert result.eflags == eflags | IF
    assert (result.eip, result.cs, result.esp, result.ss) == (END + 2, SELECTORS[3][0], USER_STACK, SELECTORS[3][1])
