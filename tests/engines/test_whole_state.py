# SPDX-License-Identifier: GPL-2.0-or-later
"""Every register of a CpuState comes back from an engine; what waits to be delivered is delivered."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from hyperport import Machine
from hyperport.cpu.state import Event, FpuState, real_mode
from hyperport.engines import ENGINES
from hyperport.engines.kvm import host
from hyperport.errors import EngineError
from hyperport.lines.attention import StopKind

IVT_AT, CODE, HANDLER = 0, 0x1000, 0x2000


def _kvm() -> bool:
    try:
        host.examine()
    except EngineError:
        return False
    return True


ENGINE_NAMES = [name for name in ENGINES if name == "unicorn" or (name == "kvm" and _kvm())]


@pytest.fixture(params=ENGINE_NAMES)
def machine(request: pytest.FixtureRequest) -> Any:
    with Machine(engine=request.param, memory=1 << 20) as made:
        yield made


def test_all_registers_come_back(machine: Machine) -> None:
    state = replace(
        real_mode(cs=0x100, ip=0x20),
        dr0=0x1111,
        dr1=0x2222,
        dr2=0x3333,
        dr3=0x4444,
        dr6=0xFFFF4FF1,
        dr7=0x402,
        pat=0x0106070406010500,
        sysenter_cs=8,
        sysenter_esp=0x7000,
        sysenter_eip=0x8000,
        fpu=FpuState(
            control=0x27F, status=0x3800, in_use=0x80, stack=(bytes(range(10)), *(bytes(10),) * 7), mxcsr=0x1F82
        ),
    )
    machine.engine.set_state(state)
    assert machine.engine.state().differences(state) == []


def test_the_time_stamp_counter_goes_on_where_it_was(machine: Machine) -> None:
    if machine.engine.name == "kvm" and not host.examine().hardware:
        pytest.skip("KVM in software ignores a write of the time-stamp counter")
    machine.engine.set_state(replace(real_mode(cs=0, ip=CODE), tsc=1 << 60))
    found = machine.engine.state().tsc
    assert found is not None
    assert 1 << 60 <= found < (1 << 60) + (1 << 50)
    machine.engine.set_state(real_mode(cs=0, ip=CODE))
    again = machine.engine.state().tsc
    assert again is not None
    assert again >= found


@pytest.mark.parametrize("event", [Event(0x20, interrupt=True), Event(6), Event(0x21, interrupt=True)])
def test_an_event_that_waits_is_delivered(machine: Machine, event: Event) -> None:
    machine.memory.write(CODE, b"\x90\x90\xf4")
    machine.memory.write(HANDLER, b"\xf4")
    machine.memory.write(IVT_AT + 4 * event.vector, HANDLER.to_bytes(2, "little") + b"\0\0")
    start = replace(real_mode(cs=0, ip=CODE, sp=0x800), event=event)
    machine.engine.set_state(start)
    assert machine.engine.state().event == event
    assert machine.engine.run().kind == StopKind.HALT
    after = machine.engine.state()
    assert after.event is None
    assert (after.eip, after.esp) == (HANDLER + 1, 0x800 - 6)
    assert machine.memory.read(after.esp, 4) == CODE.to_bytes(2, "little") + b"\0\0"
