# SPDX-License-Identifier: GPL-2.0-or-later
"""Every call of the full VMI ROM, made by a guest as Linux makes it; and port calls through that ROM."""

from __future__ import annotations

import re

from hyperport import GuestExit, Machine, MemoryBackend

from ..conftest import LIMIT_S, built_in


def test_every_call_does_what_its_instruction_does() -> None:
    console = MemoryBackend()
    with built_in("vmicalls", "alarms=5", io="hypercall", vmi_calls=("full",), serial=console) as machine:
        outcome = machine.run(timeout=LIMIT_S)
        text = console.output().decode()
        assert outcome == GuestExit(0), text
        assert re.search(r"vmicalls: 59 checks, 0 failures", text)
        calls = machine.stats(outcome)["calls"]["vmi"]
        assert calls.keys() == {"66", "67", "68", "69", "70"}
        assert calls["68"] == 9


def test_port_calls_through_the_full_rom() -> None:
    console = MemoryBackend()
    with built_in("vmiguest", "", io="hypercall", testdev=True, vmi_calls=("full",), serial=console) as machine:
        outcome = machine.run(timeout=LIMIT_S)
        assert outcome == GuestExit(0), console.output()
        assert b", 0 failures" in console.output()
        assert machine.stats(outcome)["calls"] == {}


def test_the_minimal_rom_has_no_timer() -> None:
    with Machine(io="hypercall") as machine:
        assert not machine.services


def test_alarms_are_state() -> None:
    with Machine(io="hypercall", vmi_calls=("full",)) as machine:
        records = machine.save_devices()
        assert records["vmi-timer"] == {"armed": [0, 0], "deadlines": [0, 0], "periods": [0, 0], "stolen": 0}
