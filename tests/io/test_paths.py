# SPDX-License-Identifier: GPL-2.0-or-later
"""The paths beside each other: the guest must not be able to tell which one it is on."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hyperport import AccessPath, ConfigError, GuestExit, Machine
from hyperport.bus.port_bus import PortBus
from hyperport.cpu.state import REGISTERS, protected_flat
from hyperport.devices.testdev import TestDevice
from hyperport.io import CALLED
from hyperport.lines.attention import StopKind

from ..conftest import ROOT, built_in, run_guest
from ..guest.board import BIN

FAULTS = (ROOT / "tests/guest/data/faults.txt").read_text()
MIB = 1 << 20
CODE, BUFFER, SIZE = 0x10_0000, 0x20_0000, 0x1_0000
PORT = 0x340
HLT = b"\xf4"
RAW = ("trap", "exit")
RUNS = (
    ("trap", "native"),
    ("exit", "native"),
    ("hypercall", "native"),
    ("hypercall", "vmi"),
    ("hypercall", "kvm"),
    ("hypercall", "lguest"),
    ("exitless", "native"),
    ("exitless", "vmi"),
    ("exitless", "kvm"),
    ("exitless", "lguest"),
)
WORKLOADS = {"cmos": "n=500", "pci": "n=50", "delay": "n=2000", "strings": "n=200", "mix": "n=500", "console": "n=3"}


@pytest.mark.parametrize("io", RAW)
def test_faults_are_the_same_on_every_path(io: str) -> None:
    outcome, text = run_guest("faults", io=io)
    assert outcome == GuestExit(0)
    assert text == FAULTS.replace("\r\n", "\n")


@pytest.mark.parametrize("io", ["trap", "hypercall", "exitless"])
def test_interrupts_at_arbitrary_points(io: str) -> None:
    outcome, text = run_guest("stress", "irqs=3000", io=io)
    assert outcome == GuestExit(0)
    assert re.search(r"irqs, 0 errors", text)


@pytest.mark.parametrize(("name", "append"), WORKLOADS.items())
def test_workloads_read_the_same_by_trap_exit_and_call(name: str, append: str) -> None:
    results = {}
    for io, ops in RUNS:
        abi: dict[str, Any] = {"abi": ("vmi", "kvm", "lguest")} if io in CALLED else {}
        for kind in ("", "-inline") if io == "exitless" else ("",):
            kernel = BIN / f"{name}{kind}.elf"
            outcome, text = run_guest(name, f"{append} ops={ops}", kernel=kernel, io=io, testdev=True, **abi)
            found = re.search(r"units (\d+) accesses (\d+) checksum (\w+)", text)
            assert outcome == GuestExit(0), text
            assert found is not None, text
            results[io, ops, kind] = found.groups()
    assert len(set(results.values())) == 1, results


@pytest.mark.parametrize(
    ("append", "machine", "said"),
    [
        ("", {}, "12 port calls taken"),
        ("", {"vmi_calls": ("INB", "OUTB", "58-60")}, "5 port calls taken"),
        ("", {"vmi_calls": ("IRET",)}, "0 port calls taken"),
        ("vmi=disable_io_ops", {}, "0 port calls taken"),
        ("ops=kvm", {"abi": ("vmi", "kvm")}, "ops kvm, 12 taken"),
        ("ops=lguest", {"abi": ("lguest",)}, "ops lguest, 12 taken"),
    ],
)
@pytest.mark.parametrize("io", CALLED)
def test_a_guest_that_knows_vmi(io: str, append: str, machine: dict[str, Any], said: str) -> None:
    outcome, text = run_guest("vmiguest", append, io=io, testdev=True, **machine)
    assert outcome == GuestExit(0), text
    assert said in text


def test_no_rom_is_offered_on_the_other_paths() -> None:
    outcome, text = run_guest("vmiguest", io="exit")
    assert outcome == GuestExit(0)
    assert "port calls taken" not in text


def test_disable_io_ops_makes_no_call() -> None:
    with built_in("vmiguest", "vmi=disable_io_ops", io="hypercall") as machine:
        assert machine.run(timeout=60) == GuestExit(0)
        assert {count.path for count in machine.bus.counts()} == {AccessPath.EXIT}


def test_an_unknown_path_and_an_unknown_call_are_one_line() -> None:
    with pytest.raises(ConfigError, match="has no path teleport; choose from trap, exit, hypercall, exitless"):
        Machine(io="teleport")
    with pytest.raises(ConfigError, match="VMI call 'INX' is not there"):
        Machine(io="hypercall", vmi_calls=("INX",))


class Log:
    """What a device saw, whatever the path."""

    def __init__(self, bus: PortBus) -> None:
        self.elements: list[tuple[int, int, int]] = []
        bus.observe(self.seen)

    def seen(self, access: Any) -> None:
        for at in range(0, len(access.data), access.size):
            value = int.from_bytes(access.data[at : at + access.size], "little")
            self.elements.append((int(access.direction), access.size, value))


def run_string(io: str, code: bytes, registers: dict[str, int], eflags: int) -> tuple[Any, ...]:
    """Run code in flat protected mode on a path; all that the guest and the device can tell of it."""
    with Machine(memory=4 * MIB, io=io) as machine:
        machine.bus.attach(TestDevice(), PORT)
        log = Log(machine.bus)
        machine.memory.write(CODE, code + HLT)
        machine.memory.write(BUFFER, bytes(i * 7 & 0xFF for i in range(SIZE)))
        state = protected_flat(eip=CODE)
        state.eflags |= eflags
        for name, value in registers.items():
            setattr(state, name, value)
        machine.engine.set_state(state)
        stop = machine.engine.run()
        after = machine.engine.state()
        crossings = sum(count.crossings for count in machine.bus.counts())
        seen = {name: getattr(after, name) for name in (*REGISTERS, "eip", "eflags")}
        return (stop.kind, seen, machine.memory.read(BUFFER, SIZE), log.elements), crossings


STRINGS = {
    "insb": b"\x6c",
    "insw": b"\x66\x6d",
    "insl": b"\x6d",
    "outsb": b"\x6e",
    "outsw": b"\x66\x6f",
    "outsl": b"\x6f",
}


@settings(max_examples=60, deadline=None)
@given(
    name=st.sampled_from(sorted(STRINGS)),
    repeat=st.booleans(),
    short=st.booleans(),
    down=st.booleans(),
    count=st.integers(0, 5000),
    offset=st.integers(0x3000, 0xC000),
    flags=st.integers(0, 0xFF).map(lambda bits: bits & 0xD5),
)
def test_strings_are_the_same_on_every_path(
    name: str, repeat: bool, short: bool, down: bool, count: int, offset: int, flags: int
) -> None:
    code = (b"\x67" if short else b"") + (b"\xf3" if repeat else b"") + STRINGS[name]
    index = {"esi": BUFFER + offset, "edi": BUFFER + offset, "ecx": count | 0x50_0000 if short else count}
    registers = {"eax": 0x11223344, "edx": 0xABCD_0000 | PORT, **index}
    if short:  # SI and DI alone count: the string lies in the first 64 KiB
        registers |= {"esi": 0xFFFF_0000 | offset & 0x7FFF, "edi": 0xFFFF_0000 | offset & 0x7FFF}
    results = [run_string(io, code, registers, flags | (1 << 10 if down else 0))[0] for io in RAW]
    assert results[0][0] == StopKind.HALT
    assert results[0] == results[1]
    if repeat:
        assert results[0][1]["ecx"] & (0xFFFF if short else 0xFFFFFFFF) == 0


def test_a_string_is_one_crossing() -> None:
    for io in RAW:
        result, crossings = run_string(io, b"\xf3\x66\x6d", {"edi": BUFFER + 0xF00, "edx": PORT, "ecx": 256}, 0)
        assert len(result[3]) == 256
        assert crossings == 1, io
