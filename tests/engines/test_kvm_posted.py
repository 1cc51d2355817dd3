# SPDX-License-Identifier: GPL-2.0-or-later
"""Writes that KVM keeps in its ring for us: in order, and without a crossing."""

from __future__ import annotations

import pytest

from hyperport import AccessPath, Machine
from hyperport.cpu.state import protected_flat
from hyperport.lines.attention import StopKind

from ..conftest import LIMIT_S, MIB, machine_code
from .board import START

pytestmark = pytest.mark.usefixtures("kvm")


def test_posted_writes_come_in_order_and_cost_no_crossing() -> None:
    with Machine(engine="kvm", kvm_coalesce=True, memory=2 * MIB) as machine:
        seen: list[tuple[int, int, AccessPath]] = []
        machine.bus.observe(lambda access: seen.append((access.port, access.data[0], access.path)))
        machine.memory.write(
            START,
            machine_code("""
                b9 c8 00 00 00  ; mov ecx, 200: more than the ring has room for
                88c8            ; next: mov al, cl
                e6 80           ; out 0x80, al
                e6 e9           ; out 0xe9, al
                49              ; dec ecx
                75 f7           ; jnz next
                e4 61           ; in al, 0x61
                f4
            """),
        )
        machine.engine.set_state(protected_flat(eip=START))
        assert machine.run(timeout=LIMIT_S).kind == "halted"
        expected = [(port, value) for value in range(200, 0, -1) for port in (0x80, 0xE9)]
        assert [(port, value) for port, value, _ in seen[:-1]] == expected
        assert seen[-1][0] == 0x61
        posted = [count for count in machine.bus.counts() if count.path == AccessPath.POSTED]
        assert sum(count.accesses for count in posted) > 300
        assert sum(count.crossings for count in posted) == 0


def test_posted_writes_of_a_guest_that_never_exits_arrive() -> None:
    with Machine(engine="kvm", kvm_coalesce=True, memory=2 * MIB) as machine:
        machine.bus.observe(lambda access: machine.request_stop(StopKind.QUIT))
        machine.memory.write(START, machine_code("e6 80 eb fe ; out 0x80, al; jmp $"))
        machine.engine.set_state(protected_flat(eip=START))
        assert machine.run(timeout=LIMIT_S).kind == "quit"


def test_a_port_that_is_no_longer_postable_is_not_posted() -> None:
    class Latched:
        """Lets offset 0 be posted until offset 1 is written."""

        postable = 1

        span = 2

        def read(self, offset: int, size: int) -> int:
            return 0

        def write(self, offset: int, size: int, value: int) -> None:
            if offset == 1:
                self.postable = 0
                attached.publish_at(0)

        def attributes(self, offset: int) -> int:
            return self.postable if offset == 0 else 0

    with Machine(engine="kvm", kvm_coalesce=True, memory=2 * MIB) as machine:
        attached = machine.bus.attach(Latched(), 0x99)
        seen: list[tuple[int, int, AccessPath]] = []
        machine.bus.observe(lambda access: seen.append((access.port, access.data[0], access.path)))
        machine.memory.write(START, machine_code("b0 01 e6 99 fe c0 e6 99 e6 9a fe c0 e6 99 f4"))
        machine.engine.set_state(protected_flat(eip=START))
        assert machine.run(timeout=LIMIT_S).kind == "halted"
        posted, now = AccessPath.POSTED, AccessPath.EXIT
        assert seen == [(0x99, 1, posted), (0x99, 2, posted), (0x9A, 2, now), (0x99, 3, now)]
