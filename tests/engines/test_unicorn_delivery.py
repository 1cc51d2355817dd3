# SPDX-License-Identifier: GPL-2.0-or-later
"""Faults while an event or a far call enters ring 0: which, and with what error code.

The handlers of #TS, #NP, #SS and #GP lie in a conforming segment: they run in ring 3, on the stack that they find, so a
TSS that is no good does not matter to them. Expected: SDM vol. 2A, CALL and INT n; vol. 3, 6.13.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest

from hyperport.cpu.state import CpuState, Segment, Table, protected_flat
from hyperport.machine.machine import Machine
from hyperport.outcome import GuestExit, Outcome, TripleFault

CODE, HANDLERS, KERNEL = 0x10000, 0x6000, 0x7000
GDT, IDT, TSS, USER_STACK, KERNEL_STACK = 0x5000, 0x4000, 0x8000, 0x9000, 0xA000
VECTOR, ERROR_CODE, FAULT_EIP = 0x3000, 0x3004, 0x3008
KERNEL_CODE, KERNEL_DATA, CONFORMING, USER_CODE, USER_DATA, ABSENT_STACK, CODE_AS_STACK, CALL_GATE, TASK = range(
    8, 80, 8
)
EXT = 1
TS, NP, SS, GP = range(10, 14)
SOFTWARE_VECTOR = 0x40
NO_FAULT = -1
IN_RING_0, IN_HANDLER = 1, 2  # exit values
VALID_TR = Segment(TASK, TSS, 0x67, 0x8B00)


@dataclass(frozen=True)
class Kernel:
    """What ring 0 has prepared."""

    tr: Segment = VALID_TR
    ss0: int = KERNEL_DATA

    def write(self, machine: Machine) -> CpuState:
        """Fill the tables; the state in which ring 3 begins."""
        descriptors = {
            KERNEL_CODE: 0x00CF9B000000FFFF,
            KERNEL_DATA: 0x00CF93000000FFFF,
            CONFORMING: 0x00CF9F000000FFFF,
            USER_CODE: 0x00CFFB000000FFFF,
            USER_DATA: 0x00CFF3000000FFFF,
            ABSENT_STACK: 0x00CF13000000FFFF,
            CODE_AS_STACK: 0x00CF9B000000FFFF,
            CALL_GATE: 0xEC00 << 32 | KERNEL_CODE << 16 | KERNEL,
        }
        for selector, descriptor in descriptors.items():
            machine.memory.write(GDT + selector, struct.pack("<Q", descriptor))
        machine.memory.write(IDT, gate(KERNEL_CODE, KERNEL) * 256)
        for vector in (TS, NP, SS, GP):
            at = HANDLERS + 0x40 * vector
            machine.memory.write(IDT + 8 * vector, gate(CONFORMING, at))
            keep = b"\x8f\x05" + struct.pack("<I", ERROR_CODE) + b"\x8f\x05" + struct.pack("<I", FAULT_EIP)  # pop twice
            which = b"\xc7\x05" + struct.pack("<II", VECTOR, vector)  # mov dword [VECTOR], vector
            machine.memory.write(at, keep + which + leave(IN_HANDLER))
        machine.memory.write(KERNEL, leave(IN_RING_0))
        machine.memory.write(TSS, struct.pack("<III", 0, KERNEL_STACK, self.ss0) + bytes(0x60))
        state = protected_flat(eip=CODE, gdtr=Table(GDT, 79))
        state.idtr, state.tr = Table(IDT, 0x7FF), self.tr
        state.cs = Segment(USER_CODE | 3, 0, 0xFFFFFFFF, 0xCFFB00)
        state.ss = state.ds = state.es = Segment(USER_DATA | 3, 0, 0xFFFFFFFF, 0xCFF300)
        state.esp, state.eflags = USER_STACK, 0x3202  # IF, and IOPL 3: the handlers use a port
        return state


def gate(selector: int, offset: int) -> bytes:
    """An interrupt gate that ring 3 may use."""
    return struct.pack("<HHHH", offset, selector, 0xEE00, 0)


def leave(value: int) -> bytes:
    """MOV AL, value; OUT 0xF4, AL; JMP to itself."""
    return bytes([0xB0, value, 0xE6, 0xF4, 0xEB, 0xFE])


@pytest.fixture
def machine() -> Iterator[Machine]:
    with Machine(memory=2 << 20) as machine:
        yield machine


def run(machine: Machine, kernel: Kernel, code: bytes) -> Outcome:
    state = kernel.write(machine)
    machine.memory.write(CODE, code + leave(0))
    machine.engine.set_state(state)
    return machine.run(timeout=5)


def interrupt_soon(machine: Machine) -> bytes:
    """Vector 20h from the PIT, while the guest loops."""
    ports = [(0x20, 0x11), (0x21, 0x20), (0x21, 4), (0x21, 1), (0x21, 0xFE), (0x43, 0x30), (0x40, 100), (0x40, 0)]
    return b"".join(bytes([0xB0, value, 0xE6, port]) for port, value in ports) + b"\xeb\xfe"


EVENTS = {
    "exception": (b"\x0f\x0b", EXT),
    "INT n": (bytes([0xCD, SOFTWARE_VECTOR]), 0),
    "INT3": (b"\xcc", 0),
    "interrupt": (None, EXT),
    "call gate": (b"\x9a" + struct.pack("<IH", 0, CALL_GATE), 0),
}
KERNELS = {
    "good": (Kernel(), NO_FAULT, 0),
    "TR never loaded": (Kernel(tr=Segment(0, 0, 0, 0)), TS, 0),
    "TSS not present": (Kernel(tr=replace(VALID_TR, attributes=0x0B00)), TS, TASK),
    "TR holds an LDT": (Kernel(tr=replace(VALID_TR, attributes=0x8200)), TS, TASK),
    "TSS too short": (Kernel(tr=replace(VALID_TR, limit=7)), TS, TASK),
    "null SS0": (Kernel(ss0=0), TS, 0),
    "SS0 for ring 3": (Kernel(ss0=USER_DATA | 3), TS, USER_DATA),
    "SS0 is code": (Kernel(ss0=CODE_AS_STACK), TS, CODE_AS_STACK),
    "SS0 beyond the GDT": (Kernel(ss0=0x100), TS, 0x100),
    "SS0 not present": (Kernel(ss0=ABSENT_STACK), SS, ABSENT_STACK),
}


@pytest.mark.parametrize("event", EVENTS)
@pytest.mark.parametrize("kernel", KERNELS)
def test_entering_ring_0(machine: Machine, event: str, kernel: str) -> None:
    code, external = EVENTS[event]
    prepared, fault, selector = KERNELS[kernel]
    outcome = run(machine, prepared, code or interrupt_soon(machine))
    if fault == NO_FAULT:
        assert outcome == GuestExit(IN_RING_0)
        return
    assert outcome == GuestExit(IN_HANDLER)
    vector, error_code, eip = struct.unpack("<III", machine.memory.read(VECTOR, 12))
    assert (vector, error_code) == (fault, selector | external)
    if code is not None:
        assert eip == CODE


def test_fault_after_fault_is_a_double_and_then_a_triple_fault(machine: Machine) -> None:
    state = Kernel(tr=Segment(0, 0, 0, 0)).write(machine)
    machine.memory.write(IDT + 8 * TS, gate(KERNEL_CODE, KERNEL))  # which needs the TSS too
    machine.memory.write(CODE, b"\x0f\x0b")
    machine.engine.set_state(state)
    assert isinstance(machine.run(timeout=5), TripleFault)
    assert dict(machine.engine.counters().exceptions) == {6: 1, TS: 1, 8: 1}


def test_a_gate_that_is_not_there_tells_of_the_event(machine: Machine) -> None:
    state = Kernel().write(machine)
    machine.memory.write(IDT + 8 * 6, bytes(8))
    machine.memory.write(CODE, b"\x0f\x0b")
    machine.engine.set_state(state)
    assert machine.run(timeout=5) == GuestExit(IN_HANDLER)
    in_idt = 2
    assert struct.unpack("<II", machine.memory.read(VECTOR, 8)) == (GP, 6 * 8 | in_idt | EXT)
