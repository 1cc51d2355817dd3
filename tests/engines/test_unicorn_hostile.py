# SPDX-License-Identifier: GPL-2.0-or-later
"""Guests and callers that mean harm: whatever they do ends in guest-visible behaviour or in a typed outcome.

Most of these ended the whole process, or hung it, before they were fixed; so a failure here may be a crash.
"""

from __future__ import annotations

import gc
import random
import struct
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hyperport.cpu.state import CR0_ET, CR0_PE, CpuState, Segment, Table, protected_flat, real_mode
from hyperport.errors import EngineError
from hyperport.lines.attention import StopKind
from hyperport.machine.machine import Machine
from hyperport.outcome import HaltedForever, Outcome, Timeout, TripleFault
from hyperport.time.clock import VirtualClock

CODE = 0x10000
GDT, IDT, HANDLER, STACK = 0x5000, 0x4000, 0x6000, 0x9000
COUNT = 0x3000  # of calls of the handler
PAGE_DIRECTORY, PAGE_TABLE = 0x100000, 0x101000
CR0_PG = 1 << 31
CR4_PSE = 1 << 4
SECONDS = 2.0  # far more than any of these needs
STOP_HERE = b"\xf4"  # hlt, with interrupts off


@pytest.fixture
def machine() -> Iterator[Machine]:
    with Machine(memory=4 << 20) as machine:
        flat_code_and_data = bytes.fromhex("ffff0000009bcf00ffff00000093cf00")
        machine.memory.write(GDT, bytes(16) + flat_code_and_data)
        machine.memory.write(IDT, struct.pack("<HHHH", HANDLER, 0x10, 0x8E00, 0) * 256)
        machine.memory.write(HANDLER, b"\xff\x05" + struct.pack("<I", COUNT) + STOP_HERE)
        yield machine


def flat(eip: int = CODE) -> CpuState:
    """Protected mode with a GDT, and an IDT that sends everything to the handler."""
    state = protected_flat(eip=eip, gdtr=Table(GDT, 31))
    state.idtr = Table(IDT, 0x7FF)
    state.esp = STACK
    return state


def paged(machine: Machine, *, absent: int, eip: int) -> CpuState:
    """The same with the first 4 MiB mapped to themselves, but for one page."""
    table = [page << 12 | 7 if page != absent >> 12 else 0 for page in range(1024)]
    machine.memory.write(PAGE_DIRECTORY, struct.pack("<I", PAGE_TABLE | 7) + bytes(4092))
    machine.memory.write(PAGE_TABLE, struct.pack("<1024I", *table))
    state = flat(eip)
    state.cr3 = PAGE_DIRECTORY
    state.cr0 |= CR0_PG
    return state


def run(machine: Machine, state: CpuState, code: bytes, at: int = CODE) -> Outcome:
    machine.memory.write(at, code)
    machine.engine.set_state(state)
    return machine.run(timeout=SECONDS)


def faults(machine: Machine) -> dict[int, int]:
    return dict(machine.engine.counters().exceptions)


# What guests do.


@pytest.mark.parametrize(
    ("dividend", "divisor", "fault"),
    [
        (-(1 << 63), -1, True),  # the host's own IDIV would trap
        (-(1 << 63), 1, True),
        (1 << 31, 1, True),
        (5, 0, True),
        (-(1 << 31), 1, False),
        (-7, 2, False),
        (7, -2, False),
        (1 << 31, -1, False),
    ],
)
def test_signed_division_faults_or_divides(machine: Machine, dividend: int, divisor: int, fault: bool) -> None:
    state = flat()
    state.eax, state.edx = dividend & 0xFFFFFFFF, dividend >> 32 & 0xFFFFFFFF
    state.ecx = divisor & 0xFFFFFFFF
    assert isinstance(run(machine, state, b"\xf7\xf9" + STOP_HERE), HaltedForever)
    after = machine.engine.state()
    if fault:
        assert faults(machine) == {0: 1}
        assert machine.memory.read(after.esp, 4) == struct.pack("<I", CODE)
        assert (after.eax, after.edx) == (state.eax, state.edx)
    else:
        quotient = abs(dividend) // abs(divisor) * (1 if (dividend < 0) == (divisor < 0) else -1)
        assert faults(machine) == {}
        assert after.eax == quotient & 0xFFFFFFFF
        assert after.edx == (dividend - quotient * divisor) & 0xFFFFFFFF


def test_halt_at_the_end_of_the_mapped_memory(machine: Machine) -> None:
    state = paged(machine, absent=CODE + 0x1000, eip=CODE + 0xFFE)
    assert isinstance(run(machine, state, b"\x90\xf4", at=CODE + 0xFFE), HaltedForever)
    assert machine.engine.state().eip == CODE + 0x1000
    assert isinstance(machine.run(timeout=SECONDS), HaltedForever)


def test_entry_at_a_page_that_is_not_mapped(machine: Machine) -> None:
    assert isinstance(run(machine, paged(machine, absent=CODE, eip=CODE), b""), HaltedForever)
    assert faults(machine) == {14: 1}
    assert machine.engine.state().cr2 == CODE


@pytest.mark.parametrize("code", [b"\xa1" + struct.pack("<I", 0x800000), b"\xa3" + struct.pack("<I", 0x800000)])
def test_physical_addresses_beyond_36_bits_float(machine: Machine, code: bytes) -> None:
    state = paged(machine, absent=0, eip=CODE)
    beyond = 0x83 | 0xFF << 13  # PSE-36: bits 20 to 13 are bits 39 to 32 of the address
    machine.memory.write(PAGE_DIRECTORY + 8, struct.pack("<I", beyond))
    state.cr4 = CR4_PSE
    assert isinstance(run(machine, state, code + STOP_HERE), HaltedForever)
    assert faults(machine) == {}
    if code[0] == 0xA1:
        assert machine.engine.state().eax == 0xFFFFFFFF


@pytest.mark.parametrize("target", [0xA0000, 0xB7FF0, 0x400000, 0xFEE00000, 0xFFFFFFF0])
def test_execution_where_there_is_no_memory_is_an_invalid_opcode(machine: Machine, target: int) -> None:
    assert isinstance(run(machine, flat(), b"\xb8" + struct.pack("<I", target) + b"\xff\xe0"), HaltedForever)
    assert faults(machine) == {6: 1}
    assert machine.memory.read(machine.engine.state().esp, 4) == struct.pack("<I", target)


@pytest.mark.parametrize("start", [0, 0x7F, 0xFFF])
def test_code_around_the_top_of_the_linear_space(machine: Machine, start: int) -> None:
    # A backward jump from address 0 leaves a block near 4 GiB, with an end that wraps.
    state = flat(start)
    machine.memory.write(0, b"\x90" * 0x1000)
    outcome = run(machine, state, b"\xe9" + struct.pack("<i", -0x20 - start - 5), at=start)
    assert isinstance(outcome, HaltedForever)
    assert faults(machine) == {6: 1}


def ring_3(machine: Machine, tr: Segment) -> CpuState:
    machine.memory.write(GDT + 32, bytes.fromhex("ffff000000fbcf00ffff000000f3cf00"))
    state = flat()
    state.gdtr = Table(GDT, 47)
    state.cs = Segment(0x23, 0, 0xFFFFFFFF, 0xCFFB00)
    state.ss = state.ds = state.es = Segment(0x2B, 0, 0xFFFFFFFF, 0xCFF300)
    state.tr = tr
    return state


def test_a_busy_tss_set_from_outside_serves_interrupts_from_ring_3(machine: Machine) -> None:
    machine.memory.write(0x7000, struct.pack("<III", 0, STACK, 0x18))
    state = ring_3(machine, Segment(0x30, 0x7000, 0x67, 0x8B00))
    machine.engine.set_state(state)
    assert machine.engine.state().tr == state.tr
    assert isinstance(run(machine, state, b"\x0f\x0b"), HaltedForever)
    assert faults(machine) == {6: 1}


INVALID = {
    "vmrun": "0f01d8",
    "vmmcall": "0f01d9",
    "vmload": "0f01da",
    "stgi": "0f01dc",
    "clgi": "0f01dd",
    "vmcall": "0f01c1",
    "monitor": "0f01c8",
    "mwait": "0f01c9",
    "xgetbv": "0f01d0",
    "rsm": "0faa",
    "syscall": "0f05",
    "sysret": "0f07",
}


@pytest.mark.parametrize("code", INVALID.values(), ids=INVALID.keys())
def test_instructions_that_cpuid_does_not_offer_are_invalid(machine: Machine, code: str) -> None:
    assert isinstance(run(machine, flat(), bytes.fromhex(code)), HaltedForever)
    assert faults(machine) == {6: 1}


def test_an_instruction_breakpoint_is_a_debug_exception(machine: Machine) -> None:
    set_breakpoint = b"\xb8" + struct.pack("<I", CODE + 17) + b"\x0f\x23\xc0\xb8\x02\0\0\0\x0f\x23\xf8"
    assert isinstance(run(machine, flat(), set_breakpoint + b"\x90\x90\x90"), HaltedForever)
    assert faults(machine) == {1: 1}
    assert machine.memory.read(machine.engine.state().esp, 4) == struct.pack("<I", CODE + 17)


def test_an_interrupt_storm_neither_starves_the_guest_nor_loses_the_timer(machine: Machine) -> None:
    # The shortest periods that the PIT has, for a guest whose loop never leaves translated code by itself.
    ports = [(0x20, 0x11), (0x21, 0x20), (0x21, 4), (0x21, 1), (0x21, 0xFE), (0x43, 0x34), (0x40, 100), (0x40, 0)]
    setup = b"".join(bytes([0xB0, value, 0xE6, port]) for port, value in ports)
    limit = 2000
    machine.memory.write(
        HANDLER,
        b"\x50\xff\x05" + struct.pack("<I", COUNT) + b"\xb0\x20\xe6\x20\x58"  # count, end of interrupt
        b"\x81\x3d" + struct.pack("<II", COUNT, limit) + b"\x75\x01\xf4\xcf",  # hlt at the limit, else iret
    )
    outcome = run(machine, flat(), setup + b"\xfb\x90\x90\xeb\xfc")
    assert isinstance(outcome, HaltedForever)
    assert machine.engine.counters().interrupts == {0x20: limit}


@pytest.mark.parametrize("seed", range(40))
def test_random_code_ends_in_an_outcome(seed: int) -> None:
    rng = random.Random(seed)
    with Machine(memory=2 << 20) as machine:
        machine.memory.write(0, rng.randbytes(0x18000))
        if seed % 2:
            state = real_mode(cs=0x1000, ip=rng.randrange(0x10000), data=rng.choice([0, 0x1000, 0xFFFF]), sp=0xFFFE)
        else:
            state = protected_flat(eip=CODE + rng.randrange(0x8000), gdtr=Table(0, 0xFFFF))
            state.idtr = Table(0x8000, 0x7FF)
            state.esp = rng.getrandbits(32)
            state.cr0 = CR0_ET | CR0_PE
        machine.engine.set_state(state)
        outcome = machine.run(timeout=0.02)
        assert 0 <= outcome.status <= 255
        machine.save_devices()


# What callers do.


def test_a_closed_engine_says_so(machine: Machine) -> None:
    run(machine, flat(), STOP_HERE)
    machine.close()
    machine.close()
    engine = machine.engine
    for use in (
        lambda: engine.run(),
        lambda: engine.state(),
        lambda: engine.set_state(flat()),
        lambda: engine.halted,
        lambda: machine.run(timeout=SECONDS),
    ):
        with pytest.raises(EngineError, match="closed"):
            use()
    assert engine.counters().hlts == 1


def test_memory_and_devices_outlive_the_engine(machine: Machine) -> None:
    run(machine, flat(), STOP_HERE)
    machine.close()
    machine.memory.write(CODE, b"\x90")  # a page that held translated code
    machine.memory.clear()
    machine.bus.outp(0x92, 1, 2)  # A20
    machine.bus.outp(0x92, 1, 0)
    machine.request_stop(StopKind.TIMEOUT)
    assert machine.memory.read(CODE, 1) == b"\0"


class Meddler:
    """A device that does to its machine what it must not."""

    name = "meddler"

    def __init__(self) -> None:
        self.actions: dict[int, Callable[[], object]] = {}

    def read(self, offset: int, size: int) -> int:
        return 0

    def write(self, offset: int, size: int, value: int) -> None:
        self.actions[value]()


def test_a_device_cannot_pull_the_engine_from_under_the_guest(machine: Machine) -> None:
    meddler = Meddler()
    with Machine(memory=1 << 20) as other:
        other.engine.set_state(flat())
        meddler.actions = {
            0: machine.close,
            1: machine.run,
            2: lambda: machine.engine.set_state(flat()),
            3: other.run,
        }
        machine.attach(meddler, 0x300)
        for value in meddler.actions:
            with pytest.raises(EngineError):
                run(machine, flat(), bytes([0xB0, value]) + b"\x66\xba\x00\x03\xee" + STOP_HERE)


def test_machines_give_back_descriptors_and_threads() -> None:
    def one() -> None:
        machine = Machine(memory=1 << 20)
        run(machine, flat(), STOP_HERE)

    def held() -> tuple[int, int]:
        gc.collect()
        return len(list(Path("/proc/self/fd").iterdir())), threading.active_count()

    one()
    before = held()
    for _ in range(10):
        one()
    assert held() == before


def test_code_that_the_host_writes_again_and_again(machine: Machine) -> None:
    # The first block of each run is one that the core does not report.
    for value in range(1, 6):
        run(machine, flat(), b"\xb8" + struct.pack("<I", value) + STOP_HERE)
        assert machine.engine.state().eax == value


def test_the_first_block_of_a_run_that_rewrites_code_beside_it(machine: Machine) -> None:
    # Stopped and started again, at a page that was written by the host in between.
    run(machine, flat(), STOP_HERE)
    patch_and_loop = (
        b"\x31\xc9\xbb"
        + struct.pack("<I", CODE + 32)  # xor ecx, ecx; mov ebx, CODE + 32
        + b"\xff\xd3\xfe\x43\x01\x41\x83\xf9\x0a\x75\xf5\xf4"  # call ebx; inc byte [ebx+1]; inc ecx; 10 times; hlt
    )
    add_number = b"\x04\x01\xc3"  # add al, 1; ret
    state = flat()
    run(machine, state, patch_and_loop.ljust(32, b"\x90") + add_number)
    assert machine.engine.state().eax & 0xFF == sum(range(1, 11))


def test_a_triple_fault_is_final(machine: Machine) -> None:
    state = protected_flat(eip=CODE)
    assert isinstance(run(machine, state, b"\x0f\x0b"), TripleFault)


def test_virtual_time_does_not_hide_a_timeout() -> None:
    with Machine(memory=1 << 20, clock=VirtualClock()) as machine:
        machine.memory.write(CODE, b"\xeb\xfe")
        machine.engine.set_state(flat())
        assert isinstance(machine.run(timeout=0.05), Timeout)
