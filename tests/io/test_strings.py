# SPDX-License-Identifier: GPL-2.0-or-later
"""Strings, fetch and the paths' own handler on a vCPU that executes nothing: what io/ does without an engine."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hyperport.abi import CONVENTIONS
from hyperport.abi.numbers import PORT_CALLS
from hyperport.bus.port_bus import PortBus
from hyperport.devices.testdev import TestDevice
from hyperport.engines.shared.scripted_vcpu import GuestFaultError, ScriptedVcpu
from hyperport.io import PATHS
from hyperport.io.hypercall import CallTable
from hyperport.memory.ram import GuestMemory

MIB = 1 << 20
CODE, BUFFER, PORT, PAGE = 0x10_0000, 0x11_0000, 0x340, 4096
DF, TF = 1 << 10, 1 << 8
INSW = next(call.number for call in PORT_CALLS if call.name == "INSW")


class Bench:
    """A scripted vCPU with a test device, and what the bus saw."""

    def __init__(self, io: str = "exit", abis: tuple[str, ...] = ()) -> None:
        self.bus = PortBus()
        self.bus.attach(TestDevice(), PORT)
        self.seen: list[tuple[int, int, int, bytes]] = []
        self.bus.observe(lambda a: self.seen.append((int(a.direction), a.size, a.count, a.data)))
        self.memory = GuestMemory(2 * MIB)
        table = CallTable(self.bus, [CONVENTIONS[name] for name in abis]) if abis else None
        self.vcpu = ScriptedVcpu(PATHS[io](self.bus), self.memory, table)
        self.vcpu.eip = CODE
        self.vcpu["edx"] = PORT

    def run(self, code: bytes) -> bool:
        self.memory.write(self.vcpu.eip, code)
        return self.vcpu.execute()


@pytest.mark.parametrize("io", ["exit", "trap", "hypercall"])
@settings(max_examples=60, deadline=None)
@given(
    size=st.sampled_from([1, 2, 4]),
    down=st.booleans(),
    count=st.integers(0, 60),
    offset=st.integers(0, 2 * PAGE),
)
def test_outs_sends_memory_in_order(io: str, size: int, down: bool, count: int, offset: int) -> None:
    bench = Bench(io)
    content = bytes(i * 7 & 0xFF for i in range(4 * PAGE))
    bench.memory.write(BUFFER - PAGE, content)
    start = BUFFER + offset
    bench.vcpu["esi"], bench.vcpu["ecx"] = start, count
    bench.vcpu.eflags |= DF if down else 0
    assert bench.run({1: b"\xf3\x6e", 2: b"\xf3\x66\x6f", 4: b"\xf3\x6f"}[size])
    step = -size if down else size
    at = [PAGE + offset + step * i for i in range(count)]
    assert b"".join(data for *_, data in bench.seen) == b"".join(content[a : a + size] for a in at)
    assert (bench.vcpu["esi"], bench.vcpu["ecx"]) == (start + step * count, 0)
    assert sum(c.crossings for c in bench.bus.counts()) == (1 if count else 0)


def test_a_fault_in_the_middle_leaves_what_is_done_done() -> None:
    bench = Bench()
    bench.vcpu.absent = {(BUFFER + PAGE) >> 12}
    bench.vcpu["edi"], bench.vcpu["ecx"] = BUFFER + PAGE - 7, 5
    with pytest.raises(GuestFaultError) as fault:
        bench.run(b"\xf3\x66\x6d")  # the fourth word lies on both pages
    assert (fault.value.vector, fault.value.address) == (14, BUFFER + PAGE)
    assert (bench.vcpu["ecx"], bench.vcpu["edi"], bench.vcpu.eip) == (2, BUFFER + PAGE - 1, CODE)
    assert [count for _, _, count, _ in bench.seen] == [3]


@pytest.mark.parametrize("down", [False, True])
def test_a_limit_stops_a_string_before_the_element(down: bool) -> None:
    bench = Bench(abis=("vmi",))
    bench.vcpu.limits = {0: BUFFER + 15}  # ES
    bench.vcpu.eflags |= DF if down else 0
    start = BUFFER + 9 + (4 if down else 0)
    for called in (False, True):
        bench.seen.clear()
        bench.vcpu["edi"], bench.vcpu["ecx"], bench.vcpu.eip = start, 4, CODE
        vector = 0
        try:
            while bench.vcpu["ecx"]:
                bench.vcpu.call(0, INSW) if called else bench.run(b"\xf3\x66\x6d")
        except GuestFaultError as fault:
            vector = fault.vector
        done = 4 if down else 3
        assert (vector, bench.vcpu["ecx"]) == (0 if down else 13, 4 - done)
        assert bench.vcpu["edi"] == (start - 8 if down else start + 6)
        assert [count for _, _, count, _ in bench.seen] == ([4] if down else [1] * done)  # whole where the last fits


def test_a_string_stops_for_its_window_and_for_a_single_step() -> None:
    bench = Bench()
    bench.vcpu["esi"], bench.vcpu["ecx"] = BUFFER, 5000
    assert bench.run(b"\xf3\x6e")
    assert (bench.vcpu["ecx"], bench.vcpu.eip, bench.vcpu.retired) == (5000 - 4096, CODE, 0)
    assert bench.vcpu.execute()
    assert (bench.vcpu["ecx"], bench.vcpu.eip) == (0, CODE + 2)
    stepped = Bench()
    stepped.vcpu.eflags |= TF
    stepped.vcpu["esi"], stepped.vcpu["ecx"] = BUFFER, 2
    assert stepped.run(b"\xf3\x6e")
    assert (stepped.vcpu["ecx"], stepped.vcpu.eip) == (1, CODE)


@pytest.mark.parametrize(
    ("code", "wanted"), [(b"\xec", (1, 0, 0, 1)), (b"\x66\xe5\x40", (3, 0, 0, 2)), (b"\xf3\x6f", (2, 1, 1, 4))]
)
@pytest.mark.parametrize("from_the_end", range(4))
def test_fetch_over_the_end_of_a_page(code: bytes, wanted: tuple[int, int, int, int], from_the_end: int) -> None:
    bench = Bench()
    bench.vcpu.eip = CODE + PAGE - from_the_end
    bench.memory.write(bench.vcpu.eip, code)
    assert bench.vcpu.decode() == wanted
    if 0 < from_the_end < len(code):
        bench.vcpu.absent = {(CODE + PAGE) >> 12}
        with pytest.raises(GuestFaultError) as fault:
            bench.vcpu.decode()
        assert fault.value.address == CODE + PAGE
    bench.vcpu.absent = {(CODE + 2 * PAGE) >> 12}  # nothing is read that the instruction does not have
    assert bench.vcpu.decode() == wanted


def test_fetch_outside_ram_is_no_port_access() -> None:
    bench = Bench()
    bench.vcpu.eip = 0x8000_0000
    assert bench.vcpu.decode()[0] <= 0
    assert not bench.vcpu.execute()


def test_what_is_not_allowed_or_no_access_is_not_done() -> None:
    bench = Bench("trap")
    bench.vcpu.allowed = {PORT}
    assert not bench.run(b"\xed")  # four ports
    assert not bench.run(b"\x90")
    assert bench.run(b"\xec")
    assert len(bench.seen) == 1


# Hypercalls, by register and number.


@pytest.mark.parametrize("number", [0, 12, 48, 255, 256, 1 << 16, 0x4850_0030, 0x4850_003D, 0x7FFFFFFF, 0xFFFFFFFF])
def test_any_number_has_an_answer(number: int) -> None:
    bench = Bench("hypercall", ("vmi", "kvm", "lguest"))
    for convention in range(3):
        bench.vcpu.call(convention, number)
    assert bench.seen == []


@settings(max_examples=300, deadline=None)
@given(number=st.integers(0, 0xFFFFFFFF), cpl=st.integers(0, 3), convention=st.integers(0, 2))
def test_numbers_at_random(number: int, cpl: int, convention: int) -> None:
    bench = Bench("hypercall", ("vmi", "kvm", "lguest"))
    bench.vcpu.cpl = cpl
    bench.vcpu.call(convention, number)


def test_a_counted_string_faults_and_is_answered() -> None:
    bench = Bench("hypercall", ("kvm",))
    bench.vcpu.absent = {(BUFFER + PAGE) >> 12}
    bench.vcpu["ebx"], bench.vcpu["ecx"], bench.vcpu["edx"] = PORT, 10, BUFFER + PAGE - 4
    with pytest.raises(GuestFaultError):
        bench.vcpu.call(0, 0x4850_0000 + 59)  # OUTSB
    bench.vcpu.end_string()
    assert (bench.vcpu["eax"], bench.vcpu["ecx"], bench.vcpu["edx"]) == (6, 10, BUFFER + PAGE - 4)


def test_instructions_are_found_by_their_bytes_and_no_more() -> None:
    bench = Bench("hypercall", ("kvm",))
    bench.vcpu.eip = CODE + PAGE - 3
    bench.memory.write(bench.vcpu.eip, b"\x0f\x01\xd9")
    bench.vcpu.absent = {(CODE + PAGE) >> 12}
    assert bench.vcpu.find() == (0, 3)
    bench.memory.write(bench.vcpu.eip, b"\x0f\x01\xd8")
    assert bench.vcpu.find() == (-1, 0)


def test_the_short_way_of_an_element_counts_and_is_left_for_observers() -> None:
    bus = PortBus()
    vcpu = ScriptedVcpu(PATHS["exit"](bus), GuestMemory(2 * MIB))
    assert vcpu.access(0, PORT, 1) == 0xFF  # nobody is there; from now on the port has been touched
    bus.attach(TestDevice(), PORT)
    stream = [vcpu.access(0, PORT, size) for size in (1, 2, 4, 2)]
    vcpu.access(1, PORT, 2, 0x1BEEF)
    seen: list[tuple[int, int, bytes]] = []
    bus.observe(lambda a: seen.append((int(a.direction), a.size, a.data)))
    stream += [vcpu.access(0, PORT, 2), vcpu.access(0, PORT + 4, 4)]
    vcpu.access(1, PORT, 1, 0x77)
    other, states = PortBus(), TestDevice()
    other.attach(states, PORT)  # from Python no access goes the short way
    expected = [other.inp(PORT, size) for size in (1, 2, 4, 2)]
    other.outp(PORT, 2, 0xBEEF)
    expected += [other.inp(PORT, 2), other.inp(PORT + 4, 4)]
    assert stream == expected
    assert seen == [(0, 2, long(expected[-2])[:2]), (0, 4, long(expected[-1])), (1, 1, b"\x77")]
    counts = {(c.port, int(c.direction), c.size): (c.accesses, c.crossings) for c in bus.counts()}
    assert counts == {
        (PORT, 0, 1): (2, 2),
        (PORT, 0, 2): (3, 3),
        (PORT, 0, 4): (1, 1),
        (PORT, 1, 2): (1, 1),
        (PORT, 1, 1): (1, 1),
        (PORT + 4, 0, 4): (1, 1),
    }


def long(number: int) -> bytes:
    return number.to_bytes(4, "little")
