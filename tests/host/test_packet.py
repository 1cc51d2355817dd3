# SPDX-License-Identifier: GPL-2.0-or-later
"""Frames between host and card: the ring, the hub, and streams that come in any pieces."""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hyperport.errors import ConfigError
from hyperport.host.packet import FdPackets, Hub, PacketBackend, StreamPackets, TapPackets
from hyperport.host.pcap import PcapWriter
from hyperport.lines.attention import Attention
from hyperport.time.clock import VirtualClock

FRAME = bytes(range(60))
ROOM = 1024  # frames


def framed(frame: bytes) -> bytes:
    return len(frame).to_bytes(4, "big") + frame


@pytest.fixture
def ends() -> Iterator[tuple[StreamPackets, socket.socket]]:
    ours, theirs = socket.socketpair()
    backend = StreamPackets()
    with ours:
        backend.plug(ours.fileno())
    with theirs:
        yield backend, theirs
    backend.unplug()


def test_a_cable_without_an_end_loses_frames() -> None:
    cable = PacketBackend()
    assert cable.emit(FRAME)
    assert (cable.sent, cable.lost_out) == (0, 1)


def test_delivered_frames_are_taken_in_order_and_wake_the_vcpu() -> None:
    cable, attention = PacketBackend(), Attention()
    cable.connect(attention, VirtualClock())
    assert cable.take() is None
    for number in range(3):
        assert cable.deliver(FRAME + bytes([number]))
    assert attention.pending_flags() == 4
    assert [cable.take() for _ in range(4)] == [FRAME + bytes([number]) for number in range(3)] + [None]


def test_a_full_ring_loses_and_counts() -> None:
    cable = PacketBackend()
    assert cable.room() == ROOM
    assert [cable.deliver(FRAME) for _ in range(ROOM + 1)] == [True] * ROOM + [False]
    assert (cable.room(), cable.received, cable.lost_in) == (0, ROOM, 1)
    cable.take()
    assert cable.deliver(FRAME)


@pytest.mark.parametrize(("size", "arrives"), [(0, False), (13, False), (14, True), (1518, True), (1519, False)])
def test_lengths(size: int, arrives: bool) -> None:
    cable = PacketBackend()
    assert cable.deliver(bytes(size), pad=False) == arrives
    assert cable.lost_in == (not arrives)
    assert cable.take() == (bytes(size) if arrives else None)


def test_short_frames_are_padded() -> None:
    cable = PacketBackend()
    cable.deliver(b"\1" * 42)
    assert cable.take() == b"\1" * 42 + bytes(18)


def test_damage_is_a_small_number() -> None:
    with pytest.raises(ConfigError, match="damage 3"):
        PacketBackend().deliver(FRAME, damage=3)


def test_a_hub_repeats_to_all_others() -> None:
    hub = Hub()
    ports = [hub.port() for _ in range(3)]
    ports[1].emit(FRAME)
    assert [port.take() for port in ports] == [FRAME, None, FRAME]
    assert (ports[1].sent, ports[0].received, ports[1].received) == (1, 1, 0)


class Notes:
    def __init__(self) -> None:
        self.frames: list[tuple[int, bytes]] = []

    def record(self, wall_ns: int, frame: bytes) -> None:
        self.frames.append((wall_ns, frame))


def test_both_directions_are_recorded_with_the_machines_time() -> None:
    hub, notes, clock = Hub(), Notes(), VirtualClock(start_wall_ns=5_000_000_000)
    cable, peer = hub.port(), hub.port()
    cable.connect(Attention(), clock)
    cable.record_to(notes)
    cable.emit(FRAME)
    clock.advance(7)
    peer.emit(FRAME[::-1])
    cable.record_to(None)
    cable.emit(FRAME)
    assert notes.frames == [(5_000_000_000, FRAME), (5_000_000_007, FRAME[::-1])]


def test_pcap(tmp_path: Path) -> None:
    writer = PcapWriter(tmp_path / "a.pcap")
    writer.record(3_000_000_009, FRAME)
    writer.record(4_000_000_000, bytes(9000))
    assert writer.close() is None
    data = (tmp_path / "a.pcap").read_bytes()
    assert struct.unpack("<IHHiIII", data[:24]) == (0xA1B23C4D, 2, 4, 0, 0, 2048, 1)
    assert struct.unpack("<IIII", data[24:40]) == (3, 9, 60, 60)
    assert data[40:100] == FRAME
    assert struct.unpack("<IIII", data[100:116]) == (4, 0, 2048, 9000)
    assert len(data) == 116 + 2048


def test_pcap_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="pcap file"):
        PcapWriter(tmp_path / "nowhere" / "a.pcap")
    failure = PcapWriter("/dev/full").close()  # what is open is told of at the end, and the guest runs on
    assert failure is not None
    assert "No space left" in failure


def test_a_disk_that_fills_ends_the_recording_only(tmp_path: Path) -> None:
    writer = PcapWriter(tmp_path / "a.pcap")
    full = os.open("/dev/full", os.O_WRONLY)
    os.dup2(full, writer.file.fileno())
    os.close(full)
    for _ in range(1000):
        writer.record(0, bytes(1500))
    failure = writer.close()
    assert failure is not None
    assert "No space left" in failure


def test_stream_framing(ends: tuple[StreamPackets, socket.socket]) -> None:
    backend, peer = ends
    assert backend.emit(FRAME)
    assert peer.recv(100) == framed(FRAME)
    peer.sendall(framed(FRAME) + framed(FRAME[::-1]))
    assert backend.pump()
    assert (backend.take(), backend.take(), backend.take()) == (FRAME, FRAME[::-1], None)


@settings(deadline=None)
@given(st.lists(st.integers(0, 3000), max_size=12), st.lists(st.integers(1, 700), min_size=1, max_size=20))
def test_a_stream_in_any_pieces(sizes: list[int], cuts: list[int]) -> None:
    """Frames that fit arrive, others are lost and counted, wherever the stream is cut."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        backend = StreamPackets()
        backend.plug(ours.fileno())
        frames = [bytes([number]) * size for number, size in enumerate(sizes)]
        data = b"".join(framed(frame) for frame in frames)
        got, place = [], 0
        while data:
            cut = cuts[place % len(cuts)]
            theirs.sendall(data[:cut])
            data, place = data[cut:], place + 1
            for _ in range(len(sizes) + 1):
                assert backend.pump()
            while (frame := backend.take()) is not None:
                got.append(frame)
        good = [frame for frame in frames if 14 <= len(frame) <= 1518]
        assert got == [frame.ljust(60, b"\0") for frame in good]
        assert backend.lost_in == len(frames) - len(good)
        backend.unplug()


def test_a_stream_is_left_alone_while_the_ring_is_full(ends: tuple[StreamPackets, socket.socket]) -> None:
    backend, peer = ends
    frames = [number.to_bytes(2, "big") * 30 for number in range(ROOM + 50)]
    peer.sendall(b"".join(framed(frame) for frame in frames))
    turns = [backend.pump() for _ in range(ROOM // 64 + 1)]
    assert turns == [True] * (ROOM // 64) + [False]
    assert backend.room() == 0
    got = list(iter(backend.take, None))
    assert got == frames[:ROOM]
    assert backend.pump()
    assert [*got, *iter(backend.take, None)] == frames
    assert backend.lost_in == 0


@pytest.mark.parametrize("garbage", [b"\xff" * 8, (65535 + 15).to_bytes(4, "big")])
def test_a_length_without_sense_ends_the_stream(ends: tuple[StreamPackets, socket.socket], garbage: bytes) -> None:
    backend, peer = ends
    peer.sendall(garbage)
    with pytest.raises(EOFError):
        backend.pump()


@pytest.mark.parametrize(
    ("kind", "total", "sent"), [(0x0800, 40, 54), (0x0800, 46, 60), (0x0800, 0, 60), (0x0806, 40, 60)]
)
def test_padding_can_be_left_out(ends: tuple[StreamPackets, socket.socket], kind: int, total: int, sent: int) -> None:
    backend, peer = ends
    data = bytes(12) + kind.to_bytes(2, "big") + b"\x45\0" + total.to_bytes(2, "big") + bytes(42)
    backend.emit(data)
    backend.trims = True
    backend.emit(data)
    assert peer.recv(1000) == framed(data) + framed(data[:sent])


def test_a_peer_that_goes(ends: tuple[StreamPackets, socket.socket]) -> None:
    backend, peer = ends
    peer.sendall(framed(FRAME) + b"\0\0")
    peer.close()
    with pytest.raises(EOFError):
        backend.pump()
    assert backend.take() == FRAME
    assert backend.emit(FRAME)
    assert (backend.sent, backend.lost_out) == (0, 1)
    backend.unplug()
    assert backend.emit(FRAME)
    assert backend.lost_out == 2


def test_the_next_peer_gets_whole_frames(ends: tuple[StreamPackets, socket.socket]) -> None:
    backend, peer = ends
    peer.sendall(b"\0\0\0")  # a part of a length
    assert backend.pump()
    ours, theirs = socket.socketpair()
    with ours, theirs:
        backend.plug(ours.fileno())
        theirs.sendall(framed(FRAME))
        assert backend.pump()
        assert backend.take() == FRAME


def test_a_socket_that_takes_nothing_is_busy_and_loses_nothing(ends: tuple[StreamPackets, socket.socket]) -> None:
    backend, peer = ends
    sent = 0
    while backend.emit(sent.to_bytes(2, "big") * 700):
        sent += 1
    data = b""
    while len(data) < sent * 1404:
        data += peer.recv(1 << 20)
    assert data == b"".join(framed(number.to_bytes(2, "big") * 700) for number in range(sent))
    assert backend.emit(FRAME)
    assert peer.recv(1 << 20) == framed(FRAME)
    assert backend.lost_out == 0


def test_unplugged_is_no_descriptor_of_anybody() -> None:
    backend = FdPackets()
    assert not backend.plugged
    assert str(Path(f"/proc/self/fd/{backend.fd}").readlink()) == os.devnull


def test_tap_frames_are_reads_and_writes() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)  # datagrams, as a tap has them
    with ours, theirs:
        backend = TapPackets()
        backend.plug(ours.fileno())
        assert backend.emit(FRAME)
        assert theirs.recv(2000) == FRAME
        for size in (10, 60, 1518, 1519, 9000, 64):
            theirs.send(bytes(size))
        assert backend.pump()
        assert [len(frame) for frame in iter(backend.take, None)] == [60, 1518, 64]
        assert backend.lost_in == 3
        backend.unplug()
        assert backend.emit(FRAME)
        assert backend.lost_out == 1
