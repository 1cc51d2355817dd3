# SPDX-License-Identifier: GPL-2.0-or-later
"""A whole machine under random port accesses, time, input and restored states: no exception, no hang, no growth."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from hyperport.host.char import CharBackend, MemoryBackend
from hyperport.machine.machine import Machine
from hyperport.time.clock import VirtualClock

OUTPUT_LIMIT = 4096
OWNED = [
    port
    for first, last, _ in Machine(memory=1 << 20, serial=[CharBackend()] * 4, parallel=CharBackend()).bus.map()
    for port in range(max(0, first - 1), last + 2)  # and a neighbour on each side, for wide accesses
]

ports = st.sampled_from(OWNED) | st.integers(0, 0xFFFF)
sizes = st.sampled_from((1, 2, 4))
values = st.sampled_from((0, 1, 2, 0x0B, 0x11, 0x30, 0x34, 0x36, 0x80, 0xD1, 0xFE, 0xFF)) | st.integers(0, 0xFFFFFFFF)
steps = st.one_of(
    st.tuples(st.just("in"), ports, sizes),
    st.tuples(st.just("out"), ports, sizes, values),
    st.tuples(st.just("ins"), ports, sizes, st.integers(0, 300)),
    st.tuples(st.just("outs"), ports, st.binary(max_size=64)),
    st.tuples(st.just("advance"), st.sampled_from((0, 1, 1000, 10**6, 10**7)) | st.integers(0, 10**8)),
    st.tuples(st.just("feed"), st.binary(max_size=64)),
    st.tuples(st.just("type"), st.text("aZ\n\t~", max_size=8)),
    st.tuples(st.just("look")),
    st.tuples(st.just("save")),
    st.tuples(st.just("load")),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(steps, max_size=120))
def test_nothing_upsets_the_board(program: list[tuple[object, ...]]) -> None:
    serial = MemoryBackend(limit=OUTPUT_LIMIT)
    clock = VirtualClock()
    lines = [serial, *(CharBackend() for _ in range(3))]
    with Machine(memory=1 << 20, serial=lines, parallel=CharBackend(), clock=clock) as machine:
        saved = machine.save_devices()
        for step in program:
            match step:
                case ("in", int(port), int(size)):
                    assert 0 <= machine.bus.inp(port, size) < 1 << 8 * size
                case ("out", int(port), int(size), int(value)):
                    machine.bus.outp(port, size, value)
                case ("ins", int(port), int(size), int(count)):
                    assert len(machine.bus.inp_block(port, size, count)) == size * count
                case ("outs", int(port), bytes(data)):
                    machine.bus.outp_block(port, 1, data)
                case ("advance", int(ns)):
                    clock.advance(ns)
                case ("feed", bytes(data)):
                    assert 0 <= serial.feed(data) <= len(data)
                case ("type", str(text)):
                    assert 0 <= machine.type(text) <= len(text)
                case ("look",):
                    assert len(machine.display.text()) <= 1024
                case ("save",):
                    saved = machine.save_devices()
                case ("load",):
                    machine.load_devices(saved)
        assert len(serial.output()) <= OUTPUT_LIMIT
