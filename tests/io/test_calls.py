# SPDX-License-Identifier: GPL-2.0-or-later
"""Calls by hand, friendly and hostile: each has a defined result in bounded time, and the VMM goes on."""

from __future__ import annotations

import struct
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hyperport import AccessPath, GuestKilled, HaltedForever, Machine, PowerOff, Reset, Timeout, TripleFault
from hyperport.abi.numbers import HYPERPORT_CALL_BASE, ROM_BASE, VMI_BY_NAME, LguestCall
from hyperport.abi.rom import build_rom
from hyperport.cpu.state import CpuState, Segment, Table, protected_flat, real_mode
from hyperport.errors import ConfigError

MIB = 1 << 20
CODE, BUFFER, TABLES, TSS = 0x10_0000, 0x20_0000, 0x30_0000, 0x30_4000
GDT, IDT, HANDLER, STACK = 0x30_5000, 0x30_5800, 0x30_6000, 0x30_8000
GP_VECTOR = 13
TSS_MAP_BASE = 0x66
PORT = 0x340  # the test device
HLT, CLI = b"\xf4", b"\xfa"
VMCALL, VMMCALL, INT_1F = bytes.fromhex("0f01c1"), bytes.fromhex("0f01d9"), b"\xcd\x1f"
PRIVATE = {"kvm": VMCALL, "lguest": INT_1F}
MINUS_ONE = 0xFFFFFFFF
PAGE = 4096
DF = 1 << 10
LARGEST_STRING = 16 * 4096  # elements of one private call
CR0_PG = 1 << 31


def number(name: str) -> int:
    return HYPERPORT_CALL_BASE + VMI_BY_NAME[name].number


def doorbell(name: str) -> int:
    """Linear address of a call's entry in the ROM."""
    wanted = VMI_BY_NAME[name].number
    return ROM_BASE + next(offset for offset, call in build_rom().doorbells.items() if call == wanted)


def call_rom(name: str, at: int = CODE) -> bytes:
    """CALL rel32 to the ROM, from address at."""
    return b"\xe8" + struct.pack("<i", doorbell(name) - (at + 5))


class Hand:
    """A machine with code at CODE, a buffer and a stack, that stops at HLT."""

    def __init__(
        self, code: bytes, *, abi: tuple[str, ...] = ("vmi", "kvm", "lguest"), engine: str = "unicorn", **registers: Any
    ) -> None:
        self.machine = Machine(memory=4 * MIB, engine=engine, io="hypercall", abi=abi, testdev=True)
        self.length = len(code)
        self.machine.memory.write(CODE, code + HLT)
        self.machine.memory.write(BUFFER, bytes(range(256)) * 32)
        self.seen: list[tuple[int, int, int, bytes]] = []
        self.machine.bus.observe(lambda a: self.seen.append((int(a.direction), a.port, a.size, a.data)))
        self.start = protected_flat(eip=CODE)
        self.start.esp = BUFFER - 16
        for name, value in registers.items():
            setattr(self.start, name, value)

    def __enter__(self) -> Hand:
        return self

    def __exit__(self, *exception: object) -> None:
        self.machine.close()

    def paged(self, *absent: int, read_only: tuple[int, ...] = ()) -> None:
        """Identity page tables for 4 MiB without these pages."""
        entries = [page | 7 for page in range(0, 4 * MIB, PAGE)]
        for page in absent:
            entries[page // PAGE] = 0
        for page in read_only:
            entries[page // PAGE] = page | 5
        self.machine.memory.write(TABLES, struct.pack("<I", TABLES + PAGE | 7))
        self.machine.memory.write(TABLES + PAGE, struct.pack("<1024I", *entries))
        self.start.cr3 = TABLES
        self.start.cr0 |= CR0_PG | 1 << 16  # WP

    def ring(self, level: int) -> None:
        """Start at this CPL, with a TSS that has no I/O map."""
        self.machine.memory.write(TSS + TSS_MAP_BASE, b"\xff\xff")
        self.start.tr = replace(self.start.tr, base=TSS, limit=0x67)
        for name in ("cs", "ss", "ds", "es", "fs", "gs"):
            old: Segment = getattr(self.start, name)
            setattr(
                self.start, name, replace(old, selector=old.selector | level, attributes=old.attributes | level << 13)
            )

    def catch(self, vector: int) -> None:
        """Halt at HANDLER, in ring 0, where this exception comes."""
        for selector, access in ((0x08, 0x9B), (0x20, 0x93)):
            self.machine.memory.write(GDT + selector, struct.pack("<HHBBBB", 0xFFFF, 0, 0, access, 0xCF, 0))
        self.machine.memory.write(TSS + 4, struct.pack("<2I", STACK, 0x20))  # ESP0, SS0
        self.machine.memory.write(IDT + 8 * vector, struct.pack("<HHHH", HANDLER & 0xFFFF, 0x08, 0x8E00, HANDLER >> 16))
        self.machine.memory.write(HANDLER, HLT)
        self.start.gdtr, self.start.idtr = Table(GDT, 0x27), Table(IDT, 0xFF)

    def run(self, timeout: float = 20) -> tuple[Any, CpuState]:
        self.machine.engine.set_state(self.start)
        outcome = self.machine.run(timeout=timeout)
        return outcome, self.machine.engine.state()

    def halts(self) -> CpuState:
        outcome, state = self.run()
        assert isinstance(outcome, HaltedForever), outcome
        return state

    def paths(self) -> set[AccessPath]:
        return {count.path for count in self.machine.bus.counts()}


def changed(before: CpuState, after: CpuState) -> set[str]:
    return set(before.differences(after)) - {"eip", "halted"}


# The answers of the conventions.


@pytest.mark.parametrize("instruction", [VMCALL, VMMCALL, INT_1F])
def test_in_and_out_change_eax_alone(instruction: bytes) -> None:
    with Hand(instruction, eax=number("INB"), ebx=0xABCD0000 | PORT, ecx=7, edx=9, esi=5, edi=6, eflags=0x8D7) as hand:
        state = hand.halts()
        assert hand.seen[0][:3] == (0, PORT, 1)
        assert state.eax == hand.seen[0][3][0]
        assert changed(hand.start, state) <= {"eax"}
        assert hand.paths() == {AccessPath.HYPERCALL}
    with Hand(instruction, eax=number("OUTW"), ebx=PORT, ecx=0x12345678, eflags=0x402) as hand:
        state = hand.halts()
        assert hand.seen == [(1, PORT, 2, b"\x78\x56")]
        assert (state.eax, changed(hand.start, state)) == (0, {"eax"})


@pytest.mark.parametrize("convention", PRIVATE)
@pytest.mark.parametrize("down", [False, True])
def test_strings_change_eax_and_memory(convention: str, down: bool) -> None:
    flags = 0x402 if down else 2
    with Hand(PRIVATE[convention], eax=number("OUTSW"), ebx=PORT, ecx=3, edx=BUFFER + 8, eflags=flags) as hand:
        state = hand.halts()
        words = [8, 6, 4] if down else [8, 10, 12]
        assert hand.seen[0][3] == b"".join(bytes((at, at + 1)) for at in words)
        assert (state.eax, changed(hand.start, state)) == (0, {"eax"})
        assert sum(count.crossings for count in hand.machine.bus.counts()) == 1


@pytest.mark.parametrize("count", [LARGEST_STRING, LARGEST_STRING + 1, 0x8000_0000, MINUS_ONE])
@pytest.mark.parametrize("convention", PRIVATE)
def test_a_huge_count_is_left_in_part(convention: str, count: int) -> None:
    with Hand(PRIVATE[convention], eax=number("OUTSB"), ebx=0x80, ecx=count, edx=0xFFFF_FFF0) as hand:
        state = hand.halts()
        assert state.eax == count - LARGEST_STRING
        assert changed(hand.start, state) <= {"eax"}


@pytest.mark.parametrize("name", ["INSB", "INSW", "INSL", "OUTSB", "OUTSW", "OUTSL"])
@pytest.mark.parametrize("convention", PRIVATE)
def test_a_page_fault_in_a_string_is_an_answer(convention: str, name: str) -> None:
    hole, (direction, size) = BUFFER + PAGE, (name[:-2], {"B": 1, "W": 2, "L": 4}[name[-1]])
    with Hand(PRIVATE[convention], eax=number(name), ebx=PORT, ecx=40, edx=hole - 10 * size, cr2=0x1234) as hand:
        hand.paged(hole)
        state = hand.halts()
        assert state.eax == 30
        assert changed(hand.start, state) == {"eax"}
        assert sum(len(data) for *_, data in hand.seen) == 10 * size
        assert {seen[0] for seen in hand.seen} == {0 if direction == "IN" else 1}


@pytest.mark.parametrize("convention", PRIVATE)
def test_ins_into_a_read_only_page_moves_nothing(convention: str) -> None:
    with Hand(PRIVATE[convention], eax=number("INSL"), ebx=PORT, ecx=4, edx=BUFFER) as hand:
        hand.paged(read_only=(BUFFER,))
        assert hand.halts().eax == 4
        assert hand.seen == []
        assert hand.machine.memory.read(BUFFER, 16) == bytes(range(16))


@settings(max_examples=60, deadline=None)
@given(
    eax=st.one_of(
        st.integers(0, 80), st.integers(0, MINUS_ONE), st.integers(-300, 300).map(lambda n: n + number("INL"))
    )
)
def test_every_number_of_kvm_is_answered(eax: int) -> None:
    registers: dict[str, Any] = {"eax": eax & MINUS_ONE, "ebx": PORT, "ecx": 1, "edx": BUFFER}
    with Hand(VMCALL, **registers) as hand:
        state = hand.halts()
        known = {1: 0, 5: 0, 9: -95 & MINUS_ONE, 11: 0}
        if number("INL") <= registers["eax"] <= number("OUTSW"):
            assert len(hand.seen) == 1
        else:
            assert state.eax == known.get(registers["eax"], -1000 & MINUS_ONE)
            assert hand.seen == []
        assert changed(hand.start, state) <= {"eax"}


@settings(max_examples=40, deadline=None)
@given(eax=st.one_of(st.integers(0, 80), st.integers(0, MINUS_ONE)))
def test_every_number_of_lguest_is_answered_or_ends_the_guest(eax: int) -> None:
    with Hand(INT_1F, eax=eax) as hand:
        outcome, state = hand.run()
        if eax in (LguestCall.SHUTDOWN,):
            assert outcome == PowerOff()
        elif eax in (
            LguestCall.FLUSH_ASYNC,
            LguestCall.FLUSH_TLB,
            LguestCall.SEND_INTERRUPTS,
            LguestCall.HALT,
            LguestCall.TS,
        ):
            assert isinstance(outcome, HaltedForever)
            assert state.eax == eax
        else:
            assert isinstance(outcome, GuestKilled)
            assert outcome.status == 86
            assert "lguest call" in outcome.reason


def test_lguest_calls_that_do_something() -> None:
    with Hand(INT_1F, eax=LguestCall.SHUTDOWN, ecx=2) as hand:
        assert hand.run()[0] == Reset()
    with Hand(INT_1F, eax=LguestCall.TS, ebx=1) as hand:
        assert hand.halts().cr0 & 8
    with Hand(INT_1F, eax=LguestCall.TS, ebx=0) as hand:
        hand.start.cr0 |= 8
        assert not hand.halts().cr0 & 8
    with Hand(INT_1F + b"\x43", eax=LguestCall.HALT) as hand:  # inc ebx is not reached
        state = hand.halts()
        assert (state.ebx, state.eip) == (0, CODE + 2)
    with Hand(INT_1F, eax=LguestCall.NEW_PGTABLE) as hand:
        outcome = hand.run()[0]
        assert str(outcome) == "the guest was killed: lguest call 4 (NEW_PGTABLE) is not offered"


def test_flush_tlb_flushes() -> None:
    read = b"\xa1" + struct.pack("<I", BUFFER)  # mov eax, [BUFFER]
    unmap = b"\xc7\x05" + struct.pack("<II", TABLES + PAGE + 4 * (BUFFER // PAGE), CODE | 7)  # the page is CODE's now
    call = b"\xb8" + struct.pack("<I", LguestCall.FLUSH_TLB) + INT_1F
    with Hand(read + unmap + call + read) as hand:
        hand.paged()
        assert hand.halts().eax == int.from_bytes(read[:4], "little")


def test_cpuid_shows_what_is_offered() -> None:
    cpuid = b"\x0f\xa2"
    for abi, present in (("vmi",), False), (("vmi", "kvm"), True), (("lguest",), False):
        with Hand(cpuid, abi=abi, eax=0x4000_0000) as hand:
            assert (hand.halts().ebx == int.from_bytes(b"KVMK", "little")) == present
        with Hand(cpuid, abi=abi, eax=1) as hand:
            assert bool(hand.halts().ecx >> 31) == present


# Who may call.


def test_kvm_refuses_rings_1_to_3() -> None:
    for level in (1, 2, 3):
        with Hand(VMCALL + HLT, eax=number("OUTB"), ebx=PORT, ecx=1) as hand:
            hand.ring(level)
            outcome, state = hand.run()
            assert isinstance(outcome, TripleFault)  # at the HLT behind it: there is no IDT
            assert (state.eip, state.eax) == (CODE + 3, MINUS_ONE)
            assert hand.seen == []


@pytest.mark.parametrize(("level", "served"), [(0, True), (1, True), (2, False), (3, False)])
def test_lguest_serves_rings_0_and_1(level: int, served: bool) -> None:
    with Hand(INT_1F, eax=number("OUTB"), ebx=PORT, ecx=1) as hand:
        hand.ring(level)
        _, state = hand.run()
        assert len(hand.seen) == served
        assert state.eip == (CODE + 2 + (level == 0) if served else CODE)  # HLT at CPL 1 is #GP, too


@pytest.mark.parametrize(
    ("level", "iopl", "path"),
    [
        (1, 0, AccessPath.HYPERCALL),
        (3, 0, None),
        (3, 3, AccessPath.EXIT),
    ],
)
def test_vmi_serves_rings_0_and_1(level: int, iopl: int, path: AccessPath | None) -> None:
    with Hand(call_rom("OUTB"), edx=PORT, eax=0x77, eflags=2 | iopl << 12) as hand:
        hand.ring(level)
        outcome, state = hand.run()
        assert isinstance(outcome, TripleFault)
        assert hand.paths() == (set() if path is None else {path})
        if path is None:
            assert state.eip == doorbell("OUTB")  # #GP at the OUT
        elif path == AccessPath.EXIT:
            assert hand.seen == [(1, VMI_BY_NAME["OUTB"].number, 1, b"\x77")]  # the instruction as it stands there
        else:
            assert hand.seen == [(1, PORT, 1, b"\x77")]


def test_real_mode_keeps_its_int_1f() -> None:
    with Hand(b"") as hand:
        hand.machine.memory.write(0x1000, INT_1F + HLT)
        hand.machine.memory.write(0x2000, b"\x43" + HLT)  # inc bx
        hand.machine.memory.write(4 * 0x1F, struct.pack("<HH", 0x2000, 0))
        hand.start = real_mode(cs=0, ip=0x1000, sp=0x900)
        hand.start.eax = LguestCall.FLUSH_ASYNC
        assert hand.halts().ebx == 1


def test_what_is_not_offered_is_what_it_natively_is() -> None:
    for code, abi in ((VMCALL, ("vmi", "lguest")), (INT_1F, ("vmi", "kvm")), (b"\xf3" + VMCALL, ("kvm",))):
        with Hand(code, abi=abi, eax=number("INB"), ebx=PORT) as hand:
            outcome, state = hand.run()
            assert isinstance(outcome, TripleFault)
            assert (state.eip, hand.seen) == (CODE, [])
    with Hand(b"\xe6\x32", abi=("kvm",), eax=1) as hand:
        hand.halts()
        assert hand.paths() == {AccessPath.EXIT}
        assert hand.machine.memory.read(ROM_BASE, 2) == b"\0\0"  # no ROM without VMI


# Hostile to VMI.


def test_the_same_instruction_elsewhere_is_an_ordinary_out() -> None:
    with Hand(b"\xe6" + bytes((VMI_BY_NAME["OUTB"].number,)), eax=5, edx=PORT) as hand:
        hand.halts()
        assert hand.seen == [(1, VMI_BY_NAME["OUTB"].number, 1, b"\x05")]


def test_ports_above_65535_are_masked() -> None:
    strings: dict[str, Any] = {"ecx": 1, "esi": BUFFER}
    for name, registers in (("OUTL", {}), ("OUTSL", strings)):
        with Hand(call_rom(name), edx=0xFFFF_0000 | PORT, eax=0x03020100, **registers) as hand:
            hand.halts()
            assert hand.seen == [(1, PORT, 4, bytes(range(4)))]


def test_a_rom_that_the_guest_has_overwritten() -> None:
    slot = doorbell("OUTB")
    with Hand(call_rom("OUTB"), edx=PORT, eax=5) as hand:  # another number in that slot: an ordinary OUT
        hand.machine.memory.write(slot + 1, bytes((VMI_BY_NAME["INB"].number,)))
        state = hand.halts()
        assert hand.seen == [(1, VMI_BY_NAME["INB"].number, 1, b"\x05")]
        assert state.eax == 5
    patch = b"\xc7\x05" + struct.pack("<I", slot) + b"\x90\x90\xc3\xcc"  # by the guest, after the slot was used
    code = call_rom("OUTB") + patch
    with Hand(code + call_rom("OUTB", CODE + len(code)), edx=PORT, eax=5) as hand:  # it is ROM: the store vanishes
        hand.halts()
        assert hand.seen == [(1, PORT, 1, b"\x05")] * 2


def test_ins_over_the_rom_and_over_its_own_stub() -> None:
    with Hand(call_rom("INSL"), edx=PORT, edi=ROM_BASE, ecx=0x800) as hand:
        before = hand.machine.memory.read(ROM_BASE, 0x800)
        _, state = hand.run(timeout=5)
        assert sum(len(data) for *_, data in hand.seen) == 4 * 0x800
        assert hand.machine.memory.read(ROM_BASE, 0x800) == before  # it is ROM
        assert state.ecx == 0


def test_the_longest_string_is_restartable_and_can_be_ended() -> None:
    with Hand(call_rom("OUTSB"), edx=0x80, esi=0, ecx=MINUS_ONE) as hand:
        outcome, state = hand.run(timeout=0.2)
        assert isinstance(outcome, Timeout)
        assert state.eip == doorbell("OUTSB")
        assert 0 < state.esi < MINUS_ONE
        assert state.esi + state.ecx == MINUS_ONE
        assert isinstance(hand.machine.run(timeout=0.2), Timeout)
        later = hand.machine.engine.state()
        assert later.esi > state.esi
        assert later.esi + later.ecx == MINUS_ONE


def test_a_page_fault_in_a_vmi_string_is_the_guests() -> None:
    hole = BUFFER + PAGE
    with Hand(call_rom("INSW"), edx=PORT, edi=hole - 20, ecx=40) as hand:
        hand.paged(hole)
        outcome, state = hand.run()
        assert isinstance(outcome, TripleFault)  # there is no IDT
        assert (state.cr2, state.ecx, state.edi, state.eip) == (hole, 30, hole, doorbell("INSW"))
        assert len(hand.seen[0][3]) == 20


WRITABLE, READ_ONLY, EXPAND_DOWN, NULL = 0x409300, 0x409100, 0x409700, 0
STRINGS = {  # call: the instruction with REP, its size, and whether it writes memory
    "INSB": (b"\xf3\x6c", 1, True),
    "INSW": (b"\xf3\x66\x6d", 2, True),
    "INSL": (b"\xf3\x6d", 4, True),
    "OUTSB": (b"\xf3\x6e", 1, False),
    "OUTSW": (b"\xf3\x66\x6f", 2, False),
    "OUTSL": (b"\xf3\x6f", 4, False),
}


def in_segment(offset: int, size: int, limit: int, attributes: int, into: bool) -> bool:
    """Whether the SDM (vol. 3, 5.3 to 5.5) allows this element."""
    if attributes == NULL or (attributes == READ_ONLY and into):
        return False
    if attributes == EXPAND_DOWN:
        return limit < offset and offset + size - 1 <= MINUS_ONE
    return offset + size - 1 <= limit


IN_SEGMENTS = pytest.mark.parametrize(
    ("attributes", "start", "step"),
    [
        *((WRITABLE, 0, 1), (WRITABLE, 5, -1), (WRITABLE, 12, -1), (WRITABLE, MINUS_ONE, 1)),
        *((READ_ONLY, 0, 1), (EXPAND_DOWN, 0, 1), (EXPAND_DOWN, 12, -1), (EXPAND_DOWN, 12, 1), (NULL, 0, 1)),
    ],
)
Shown = tuple[bytes, bytes]


def string_in_a_segment(hand: Hand, name: str, attributes: int, start: int, step: int, ring: int, at: int) -> Shown:
    """Ten elements from element number start of a segment of eight; what the device and the memory saw.

    at: where the string's instruction or doorbell is, and a #GP is to be reported.
    """
    _, size, into = STRINGS[name]
    index, segment = ("edi", "es") if into else ("esi", "ds")
    limit = 8 * size - 1
    first = start * size & MINUS_ONE
    done = 0
    while done < 10 and in_segment(first + done * step * size & MINUS_ONE, size, limit, attributes, into):
        done += 1
    hand.ring(ring)
    hand.catch(GP_VECTOR)
    setattr(hand.start, index, first)
    flat: Segment = getattr(hand.start, segment)
    used = Segment(flat.selector, BUFFER + PAGE, limit, attributes and attributes | ring << 13)
    setattr(hand.start, segment, used)
    hand.start.eflags |= 3 << 12 | (DF if step < 0 else 0)
    state = hand.halts()
    if done < 10 or ring:  # HLT is #GP, too
        error, eip = struct.unpack("<2I", hand.machine.memory.read(state.esp, 8))
        assert (state.eip, error) == (HANDLER + 1, 0)
        assert eip == (at if done < 10 else CODE + hand.length)
    assert (state.ecx, getattr(state, index)) == (10 - done, first + done * step * size & MINUS_ONE)
    elements = b"".join(data for *_, data in hand.seen)
    assert len(elements) == done * size
    return elements, hand.machine.memory.read(BUFFER + PAGE - 64, 256)


@IN_SEGMENTS
@pytest.mark.parametrize("name", STRINGS)
@pytest.mark.parametrize("ring", [0, 1])
def test_a_vmi_string_stays_in_its_segment(name: str, ring: int, attributes: int, start: int, step: int) -> None:
    instruction = STRINGS[name][0]
    seen = []
    for code, at in ((call_rom(name), doorbell(name)), (instruction, CODE)):
        with Hand(code, edx=PORT, ecx=10) as hand:
            seen.append(string_in_a_segment(hand, name, attributes, start, step, ring, at))
    assert seen[0] == seen[1]


@IN_SEGMENTS
@pytest.mark.usefixtures("kvm")
@pytest.mark.parametrize("name", STRINGS)
def test_a_vmi_string_stays_in_its_segment_on_kvm(name: str, attributes: int, start: int, step: int) -> None:
    with Hand(call_rom(name), abi=("vmi",), engine="kvm", edx=PORT, ecx=10) as hand:
        string_in_a_segment(hand, name, attributes, start, step, 0, doorbell(name))


def test_a_device_that_calls_back_into_the_machine() -> None:
    class Reentrant:
        span = 1

        def read(self, offset: int, size: int) -> int:
            return 0

        def write(self, offset: int, size: int, value: int) -> None:
            machine.run(timeout=1)

    with Hand(VMCALL, eax=number("OUTB"), ebx=0x300, ecx=1) as hand:
        machine = hand.machine
        machine.attach(Reentrant(), 0x300)
        machine.engine.set_state(hand.start)
        with pytest.raises(Exception, match="while the guest runs"):
            machine.run(timeout=5)


@settings(max_examples=150, deadline=None)
@given(
    convention=st.sampled_from(["kvm", "lguest"]),
    call=st.sampled_from(
        ["INB", "INW", "INL", "OUTB", "OUTW", "OUTL", "INSB", "INSW", "INSL", "OUTSB", "OUTSW", "OUTSL"]
    ),
    port=st.integers(0, MINUS_ONE),
    count=st.one_of(st.integers(0, 70_000), st.integers(0, MINUS_ONE)),
    buffer=st.one_of(st.integers(0, MINUS_ONE), st.integers(BUFFER, BUFFER + 3 * PAGE)),
    down=st.booleans(),
    paged=st.booleans(),
)
def test_any_arguments(convention: str, call: str, port: int, count: int, buffer: int, down: bool, paged: bool) -> None:
    exits = port & 0xFFFF in (0x64, 0x92, 0xCF9, 0xF4, 0x501, 0x604, 0x60) or count > 0x8000_0000
    code_is_safe = not call.startswith("INS") or BUFFER <= buffer < BUFFER + PAGE
    registers: dict[str, Any] = {
        "eax": number(call),
        "ebx": port,
        "ecx": count,
        "edx": buffer,
        "eflags": 0x402 if down else 2,
    }
    with Hand(PRIVATE[convention], **registers) as hand:
        if paged:
            hand.paged(BUFFER + 2 * PAGE)
        outcome, state = hand.run()
        assert not isinstance(outcome, Timeout)
        if isinstance(outcome, HaltedForever) and code_is_safe and not exits:
            assert changed(hand.start, state) <= {"eax"}
            if "S" in call:
                assert state.eax <= count


def test_the_offered_set_is_checked() -> None:
    with pytest.raises(ConfigError, match=r"'xen' is not known; choose from vmi, kvm, lguest"):
        Machine(io="hypercall", abi=("xen",))
    with pytest.raises(ConfigError, match="hypercalls are chosen, but the path is exit"):
        Machine(io="exit", abi=("kvm",))
    with pytest.raises(ConfigError, match="hypercalls are chosen, but the path is trap"):
        Machine(io="trap", vmi_calls=("INB",))
