# SPDX-License-Identifier: GPL-2.0-or-later
"""Serial backends: nothing is lost, output comes in lines, a panic is seen."""

from __future__ import annotations

import os

from hypothesis import given
from hypothesis import strategies as st

from hyperport.devices.debugcon import Debugcon
from hyperport.host.char import CharBackend, FdBackend, MemoryBackend
from hyperport.lines.attention import Attention, StopKind
from hyperport.time.clock import VirtualClock

RING = 65536


def connected(backend: CharBackend) -> tuple[Attention, VirtualClock]:
    attention, clock = Attention(), VirtualClock()
    backend.connect(attention, clock)
    return attention, clock


@given(st.lists(st.one_of(st.binary(max_size=300), st.integers(0, 300)), max_size=40))
def test_input_arrives_whole_and_in_order(steps: list[bytes | int]) -> None:
    backend = MemoryBackend()
    sent, received = bytearray(), bytearray()
    for step in steps:
        if isinstance(step, bytes):
            accepted = backend.feed(step)
            sent += step[:accepted]
        else:
            for _ in range(step):
                byte = backend.take()
                if byte is None:
                    break
                received.append(byte)
    while (byte := backend.take()) is not None:
        received.append(byte)
    assert received == sent


def test_a_full_ring_takes_no_more_until_it_is_read() -> None:
    backend = CharBackend()
    assert backend.feed(bytes(RING + 10)) == RING
    assert backend.room() == 0
    assert backend.feed(b"x") == 0
    backend.take()
    assert backend.feed(b"xy") == 1


def test_feeding_wakes_the_vcpu() -> None:
    backend = MemoryBackend()
    attention, _ = connected(backend)
    assert attention.pending_flags() == 0
    backend.feed(b"")
    assert attention.pending_flags() == 0
    backend.feed(b"a")
    assert attention.pending_flags() != 0


def test_output_goes_at_a_newline_when_full_and_after_two_milliseconds() -> None:
    backend = MemoryBackend()
    _, clock = connected(backend)
    backend.emit(b"half")
    assert backend.output() == b""
    clock.advance(2_000_000)
    assert backend.output() == b"half"
    backend.emit(b" line\n")
    assert backend.output() == b"half line\n"
    backend.clear()
    backend.emit(bytes(4096))
    assert len(backend.output()) == 4096


PIECES = st.sampled_from(
    [b"x" * 4095, b"y" * 511 + b"\n", b"\n", b"Kernel panic - not syncing: ", b"end Kernel panic\n"]
)


@given(st.lists(st.tuples(PIECES | st.binary(max_size=600), st.sampled_from([0, 1_999_999, 2 * 10**6])), max_size=12))
def test_a_block_goes_out_as_its_bytes_would(steps: list[tuple[bytes, int]]) -> None:
    singles, blocks = MemoryBackend(), MemoryBackend()
    (told, clock), (told_of_blocks, other) = connected(singles), connected(blocks)
    port = Debugcon(blocks)
    for data, ns in steps:
        singles.emit(data)
        port.write_block(0, 1, data)
        assert blocks.output() == singles.output()
        clock.advance(ns)
        other.advance(ns)
        assert blocks.output() == singles.output()
        assert (blocks.panicked, blocks.panic_line) == (singles.panicked, singles.panic_line)
        assert told_of_blocks.pending_flags() == told.pending_flags()


def test_a_memory_backend_does_not_grow_without_bound() -> None:
    backend = MemoryBackend(limit=1000)
    backend.emit(b"0123456789\n" * 1000)
    backend.drain()
    assert len(backend.output()) <= 1000
    assert backend.dropped + len(backend.output()) == 11000
    assert backend.output().endswith(b"0123456789\n")


def test_a_panic_is_seen_and_its_end_asks_for_a_stop() -> None:
    backend = MemoryBackend()
    attention, _ = connected(backend)
    backend.emit(b"[    1.0] Kernel panic - not syncing: no init\r\n")
    assert backend.panicked
    assert backend.panic_line == "[    1.0] Kernel panic - not syncing: no init"
    assert not attention.stop_pending()
    backend.emit(b"[    1.1] ---[ end Kernel panic - not syncing: no init ]---\r\n")
    assert attention.take_stop()[0] == StopKind.PANIC


def test_very_long_lines_are_watched_in_part_and_sent_whole() -> None:
    backend = MemoryBackend()
    backend.emit(b"x" * 100_000 + b"\n")
    assert len(backend.output()) == 100_001
    assert not backend.panicked


def test_a_reader_that_went_away_does_not_stop_the_guest() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    backend = FdBackend(writer)
    connected(backend)
    backend.emit(b"lost\n")
    assert backend.broken
    backend.emit(b"lost too\n")
    os.close(writer)


def test_a_stuck_reader_does_not_hold_a_stop() -> None:
    reader, writer = os.pipe2(os.O_NONBLOCK)
    backend = FdBackend(writer)
    attention, _ = connected(backend)
    attention.stop(StopKind.QUIT)
    backend.emit(b"x" * 200_000 + b"\n")
    assert len(os.read(reader, 300_000)) < 200_000
    os.close(reader)
    os.close(writer)


def test_a_listener_hears_each_piece_and_may_fail_the_run() -> None:
    heard: list[bytes] = []

    def listen(data: bytes) -> None:
        heard.append(data)
        assert data != b"bad\n"

    backend = MemoryBackend(listener=listen)
    attention, _ = connected(backend)
    backend.emit(b"one\ntwo")
    backend.drain()
    assert heard == [b"one\n", b"two"]
    assert not attention.stop_pending()
    backend.emit(b"bad\n")
    kind, _, failure, _ = attention.take_stop()
    assert kind == StopKind.DEVICE_ERROR
    assert isinstance(failure, AssertionError)
    assert backend.output() == b"one\ntwobad\n"
