# SPDX-License-Identifier: GPL-2.0-or-later
"""The same guest on qemu's TCG and on our engine, and a long run under random interrupts."""

from __future__ import annotations

import pytest

from hyperport import GuestExit, MemoryBackend

from ..conftest import LIMIT_S, built_in, run_guest
from ..guest.test_programs import run as run_on_qemu
from .conftest import require_qemu

pytestmark = pytest.mark.real

IRQS = 120_000


def test_faults_are_identical() -> None:
    require_qemu()
    status, theirs = run_on_qemu("faults.elf")
    outcome, ours = run_guest("faults")
    assert ours.splitlines() == theirs.splitlines()
    assert outcome.status == status == 1
    assert len(ours.splitlines()) > 100


@pytest.mark.parametrize("seed", [1, 20_071_118])
def test_interrupts_at_arbitrary_points_change_nothing(seed: int) -> None:
    console = MemoryBackend()
    with built_in("stress", f"irqs={IRQS} seed={seed}", serial=console) as machine:
        assert machine.run(timeout=10 * LIMIT_S) == GuestExit(0), console.output().decode()
        delivered = sum(machine.engine.counters().interrupts.values())
    last = console.output().decode().splitlines()[-1]
    assert last.endswith(" irqs, 0 errors"), last
    assert delivered >= IRQS
