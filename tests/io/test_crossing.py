# SPDX-License-Identifier: GPL-2.0-or-later
"""Every way from guest code into the VMM passes enter(): a hook there sees each kind, on every engine."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from hyperport import HaltedForever, Machine
from hyperport.abi.numbers import HYPERPORT_CALL_BASE, ROM_BASE, VMI_BY_NAME
from hyperport.abi.rom import build_rom
from hyperport.bus.access import Place
from hyperport.cpu.state import protected_flat
from hyperport.engines.scripted import ScriptedEngine
from hyperport.errors import ConfigError
from hyperport.io.crossing import CallbackHook, Crossing, hook, unhook

from ..conftest import machine_code

MIB = 1 << 20
CODE, BUFFER, PORT, HOLE = 0x10_0000, 0x20_0000, 0x340, 0xA_0000
OUTB = HYPERPORT_CALL_BASE + VMI_BY_NAME["OUTB"].number


def doorbell() -> int:
    wanted = VMI_BY_NAME["OUTB"].number
    return ROM_BASE + next(at for at, number in build_rom().doorbells.items() if number == wanted)


def call(at: int) -> str:
    return "e8 " + (doorbell() - at - 5 & 0xFFFFFFFF).to_bytes(4, "little").hex(" ")


IN_AND_OUT = """
    ec                  ; in al, dx
    ee                  ; out dx, al
    b9 02 00 00 00      ; mov ecx, 2
    f3 6e               ; rep outsb
    a1 00 00 0a 00      ; mov eax, [0xa0000]: nobody is there
"""


def crossings(code: bytes, **config: Any) -> tuple[Counter[Crossing], list[tuple[Crossing, Place]]]:
    """Run code to its HLT with a hook."""
    seen: list[tuple[Crossing, Place]] = []
    watching = CallbackHook(lambda why, place: seen.append((why, place)))
    with Machine(memory=4 * MIB, testdev=True, **config) as machine:
        machine.memory.write(CODE, code)
        state = protected_flat(eip=CODE)
        state.edx, state.esp, state.esi = PORT, BUFFER - 16, BUFFER
        machine.engine.set_state(state)
        hook(machine.engine, watching)
        assert isinstance(machine.run(timeout=20), HaltedForever)
        machine.bus.inp(PORT)
        unhook(machine.engine, watching)
        before = len(seen)
        machine.bus.inp(PORT)
        assert len(seen) == before
    assert watching.failure is None
    return Counter(why for why, _ in seen), seen


def test_all_kinds_on_unicorn() -> None:
    head = machine_code(IN_AND_OUT)
    code = head + bytes.fromhex(call(CODE + len(head)))
    code += b"\xb8" + OUTB.to_bytes(4, "little") + b"\xbb" + PORT.to_bytes(4, "little") + b"\x0f\x01\xc1"  # VMCALL
    code += b"\xb8" + OUTB.to_bytes(4, "little") + b"\xcd\x1f\xfa\xf4"  # INT 1Fh; cli; hlt
    found, seen = crossings(code, engine="unicorn", io="hypercall", abi=("vmi", "kvm", "lguest"))
    once = (*(Crossing.IN, Crossing.OUT, Crossing.STRING, Crossing.DOORBELL, Crossing.INSTRUCTION), Crossing.VECTOR)
    assert {why: found[why] for why in (*once, Crossing.MMIO, Crossing.HLT, Crossing.PYTHON)} == {
        **dict.fromkeys(once, 1),
        **dict.fromkeys((Crossing.MMIO, Crossing.HLT, Crossing.PYTHON), 1),
    }
    assert found[Crossing.DELIVERY] >= 1
    places = {why: place for why, place in seen if why in once}
    assert places[Crossing.IN] == Place(16, CODE, 0, True)
    assert places[Crossing.OUT].eip == CODE + 1
    assert places[Crossing.STRING].eip == CODE + 7
    assert places[Crossing.DOORBELL].eip == doorbell()
    assert places[Crossing.VECTOR].exact


def test_faults_and_traps_on_unicorn() -> None:
    found, seen = crossings(machine_code("ec fa f4"), engine="unicorn", io="trap")
    assert (found[Crossing.IN], found[Crossing.FAULT]) == (1, 1)  # the access, then its #GP
    assert [place.eip for why, place in seen if why == Crossing.FAULT] == [CODE]


@pytest.mark.usefixtures("kvm")
def test_all_kinds_on_kvm() -> None:
    head = machine_code(IN_AND_OUT)
    code = head + bytes.fromhex(call(CODE + len(head))) + b"\xfa\xf4"
    found, _ = crossings(code, engine="kvm", io="hypercall")
    assert found[Crossing.STRING] + found[Crossing.OUT] >= 2  # REP OUTS comes one element at a time
    once = (Crossing.IN, Crossing.DOORBELL, Crossing.MMIO, Crossing.HLT, Crossing.PYTHON)
    assert {why: found[why] for why in once} == dict.fromkeys(once, 1)
    assert found[Crossing.DELIVERY] >= 1


@pytest.mark.usefixtures("kvm")
def test_posted_writes_on_kvm() -> None:
    posted: list[Any] = []
    with Machine(memory=4 * MIB, engine="kvm", kvm_coalesce=True) as machine:
        seen: list[Crossing] = []
        hook(machine.engine, CallbackHook(lambda why, _: seen.append(why)))
        machine.bus.observe(lambda access: posted.append((access.path.name, access.place)), places=True)
        machine.memory.write(CODE, b"\xe6\x80\xfa\xf4")
        machine.engine.set_state(protected_flat(eip=CODE))
        machine.run(timeout=20)
    assert posted == [("POSTED", None)]
    assert Crossing.DRAIN in seen


def test_scripts_cross_too_and_stops_are_told() -> None:
    seen: list[Crossing] = []
    with Machine(memory=4 * MIB, engine="scripted", testdev=True) as machine:
        engine: Any = machine.engine
        assert isinstance(engine, ScriptedEngine)
        hook(engine.vcpu, CallbackHook(lambda why, _: seen.append(why)))
        engine.play([("in", PORT, 1, 0), ("out", PORT, 2, 7)])
        machine.run(timeout=20)
    assert seen == [Crossing.IN, Crossing.OUT]
    with Machine(memory=4 * MIB, engine="unicorn") as machine:
        hook(machine.engine, CallbackHook(lambda why, _: seen.append(why)))
        machine.memory.write(CODE, b"\x90\xeb\xfd")
        machine.engine.set_state(protected_flat(eip=CODE))
        machine.run(timeout=0.05)
        assert seen[-1] == Crossing.STOP


def test_a_hook_that_raises_is_told_and_called_no_more() -> None:
    calls: list[Crossing] = []

    def raises(why: Crossing, _: Place) -> None:
        calls.append(why)
        raise ValueError("no")

    with Machine(memory=4 * MIB, engine="unicorn", testdev=True) as machine:
        bad = CallbackHook(raises)
        hook(machine.engine, bad)
        machine.bus.inp(PORT)
        machine.bus.inp(PORT)
        assert (calls, str(bad.failure)) == ([Crossing.PYTHON], "no")
        for _ in range(31):
            hook(machine.engine, CallbackHook(print))
        with pytest.raises(ConfigError, match="more than 32 hooks"):
            hook(machine.engine, CallbackHook(print))
