# SPDX-License-Identifier: GPL-2.0-or-later
"""Every call of the full VMI ROM, made by a guest as Linux makes it; and port calls through that ROM."""

from __future__ import annotations

import os
import re
import struct
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from hyperport import GuestExit, Machine, MemoryBackend
from hyperport.abi.numbers import VMI_CALLS, Relocation
from hyperport.abi.rom import FULL, RomImage, build_rom

from ..conftest import LIMIT_S, built_in

ROM: Final = build_rom((FULL,))
RET: Final = b"\xc3"
HUNG_S: Final = 2.0  # of a guest that takes a tenth of a second
UNSEEN: Final = ("WBINVD",)  # nothing in a guest shows that the cache was written back


def answers() -> dict[int, int]:
    """Number -> offset of the code, of all calls that are a CALL."""
    (table,) = struct.unpack_from("<H", ROM.data, 144)
    rows = {number: struct.unpack_from("<HB", ROM.data, table + 4 * number) for number in range(len(VMI_CALLS))}
    return {number: at for number, (at, kind) in rows.items() if kind == Relocation.CALL_REL}


def all_is_well(program: str, append: str, rom: RomImage) -> bool:
    console = MemoryBackend()
    with built_in(program, append, io="hypercall", testdev=True, vmi_calls=(FULL,), rom=rom, serial=console) as machine:
        return machine.run(timeout=HUNG_S) == GuestExit(0) and b", 0 failures" in console.output()


def test_every_call_does_what_its_instruction_does() -> None:
    console = MemoryBackend()
    with built_in("vmicalls", "alarms=5", io="hypercall", vmi_calls=("full",), serial=console) as machine:
        outcome = machine.run(timeout=LIMIT_S)
        text = console.output().decode()
        assert outcome == GuestExit(0), text
        assert re.search(r"vmicalls: 69 checks, 0 failures", text)
        calls = machine.stats(outcome)["calls"]["vmi"]
        assert calls.keys() == {"66", "67", "68", "69", "70"}
        assert calls["68"] == 9


@pytest.mark.parametrize("number", answers(), ids=lambda number: VMI_CALLS[number].name)
def test_a_call_that_does_nothing_is_found(number: int) -> None:
    """So each of them is checked by one of the two programs."""
    data = bytearray(ROM.data)
    if VMI_CALLS[number].name in UNSEEN:
        assert data[answers()[number] :][:3] == b"\x0f\x09" + RET
        return
    data[answers()[number]] = RET[0]
    data[-1] = (data[-1] - sum(data)) & 0xFF
    rom = replace(ROM, data=bytes(data))
    assert not all_is_well("vmicalls", "alarms=2", rom) or not all_is_well("vmiguest", "", rom)


def test_the_programs_are_well_with_the_rom_as_it_is() -> None:
    assert all_is_well("vmicalls", "alarms=2", ROM)
    assert all_is_well("vmiguest", "", ROM)
    assert len(answers()) == 65 - 8 - 2  # eight are NOP, two NONE: docs/abi.md


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


def test_periodic_alarms_are_on_time() -> None:
    """By a clock that the host does not disturb."""
    console = MemoryBackend()
    with built_in(
        "vmicalls", "alarms=50 exact", io="hypercall", vmi_calls=(FULL,), clock="insns", serial=console
    ) as machine:
        assert machine.run(timeout=LIMIT_S) == GuestExit(0), console.output().decode()


def waited_ns() -> int:
    return int(Path("/proc/thread-self/schedstat").read_text().split()[1])


def test_stolen_time_is_what_another_process_had() -> None:
    """Two share one processor for a second."""
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(allowed)})
    other = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        console = MemoryBackend()
        with built_in("vmicalls", "stolen", io="hypercall", vmi_calls=(FULL,), serial=console) as machine:
            before = waited_ns()
            assert machine.run(timeout=LIMIT_S) == GuestExit(0)
            if waited_ns() == before:
                pytest.skip("this host's kernel does not say how long a thread waited (CONFIG_SCHED_INFO)")
        found = re.search(rb"stolen (\d+) of a million", console.output())
        assert found
        assert 10_000 < int(found[1]) < 1_000_000
    finally:
        other.kill()
        other.wait()
        os.sched_setaffinity(0, allowed)
