# SPDX-License-Identifier: GPL-2.0-or-later
"""Serial lines, cables and the files of observers under faults: what arrives is a prefix, and a loss is told."""

from __future__ import annotations

import contextlib
import io
import os
import socket
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hyperport import FdBackend, HyperportError, NetSpec, PortBus
from hyperport.host.channel import Channel, Events
from hyperport.host.files import write_whole
from hyperport.host.net import Link, open_link
from hyperport.host.pcap import FILE_HEADER, RECORD_HEADER, PcapWriter
from hyperport.lines.attention import Attention
from hyperport.observe.trace import PortTrace
from hyperport.time.clock import VirtualClock
from hyperport.ui.console import open_channel

LINES = [b"line %03d of the guest's console\r\n" % number for number in range(40)]
TEXT = b"".join(LINES)
FRAMES = [bytes([number]) * 60 for number in range(1, 6)]


class Quiet:
    """Takes what notes say, so that a point's lines can be counted."""

    def __init__(self) -> None:
        self.said = io.StringIO()

    def __enter__(self) -> Quiet:
        self._context = contextlib.redirect_stderr(self.said)
        self._context.__enter__()
        return self

    def __exit__(self, *exc: Any) -> None:
        self._context.__exit__(*exc)

    @property
    def lines(self) -> list[str]:
        return self.said.getvalue().splitlines()


class Hand:
    """An Events whose callbacks are called by hand, in turn."""

    def __init__(self) -> None:
        self.callbacks: dict[int, Any] = {}

    def watch(self, fd: int, callback: Any) -> None:
        self.callbacks[fd] = callback

    def unwatch(self, fd: int) -> None:
        self.callbacks.pop(fd, None)

    def turn(self) -> None:
        for callback in list(self.callbacks.values()):
            callback()


class LineScenario:
    """A channel that is opened, written to and closed. spec: of the line, in its folder."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.arrived = b""
        self.failure: object = None
        self.lost = 0
        self.opened = False

    def prepare(self, folder: Path) -> None:
        self.path = folder / "end"
        self.folder = folder

    def act(self) -> None:
        with Quiet(), self.channel() as channel:
            self.opened = True
            backend: Any = channel.backend
            backend.connect(Attention(), VirtualClock())
            hand = Hand()
            channel.start(hand, lambda _: None)
            try:
                with self.peer(channel, hand) as take:
                    for line in LINES:
                        backend.emit(line)
                        self.arrived += take()
                    channel.stop()
                    self.arrived += take()
            finally:
                self.failure, self.lost = backend.failure, backend.lost

    @contextlib.contextmanager
    def channel(self) -> Iterator[Channel]:
        spec = "pty" if self.kind == "pty" else f"{self.kind}:{self.path}"
        with open_channel(spec) as channel:
            yield channel

    @contextlib.contextmanager
    def peer(self, channel: Any, hand: Hand) -> Iterator[Any]:
        if self.kind == "file":
            yield lambda: b""
            return
        if self.kind == "unix":
            end = socket.socket(socket.AF_UNIX)
            taker = end.fileno()
        else:
            taker = os.open(channel.name, os.O_RDWR | os.O_NOCTTY)
        try:
            if self.kind == "unix":
                end.connect(str(self.path))
                end.setblocking(False)
                hand.turn()
                hand.turn()
            else:
                os.set_blocking(taker, False)
            yield lambda: self.take(taker)
        finally:
            with contextlib.suppress(OSError):
                end.close() if self.kind == "unix" else os.close(taker)

    def take(self, fd: int) -> bytes:
        with contextlib.suppress(OSError):
            return os.read(fd, 1 << 16)
        return b""

    def check(self, error: HyperportError | None) -> None:
        if self.kind == "file" and self.opened:
            self.arrived = self.path.read_bytes()
            assert TEXT.startswith(self.arrived), "what arrives is a prefix"
            if self.arrived != TEXT and error is None:
                assert self.failure is not None, "a loss is told"
            assert (self.failure is not None) == (self.lost > 0)
        pieces = self.arrived.splitlines(keepends=True)
        assert all(piece in TEXT for piece in pieces), "no wrong bytes"


class PeerError(HyperportError):
    """The scenario's own end failed, or what every machine needs memory for; not the backend."""


class OwnEnd(LineScenario):
    """A LineScenario whose peer's calls may be the ones that fail."""

    def act(self) -> None:
        try:
            super().act()
        except (OSError, MemoryError) as error:
            raise PeerError(f"peer: {error}") from None


class PipeScenario:
    """The console on a pipe."""

    def prepare(self, folder: Path) -> None:
        self.reader, self.writer = os.pipe()
        self.backend = FdBackend(self.writer, where="stdout")
        self.backend.connect(Attention(), VirtualClock())

    def act(self) -> None:
        for line in LINES:
            self.backend.emit(line)
        self.backend.drain()

    def check(self, error: HyperportError | None) -> None:
        os.close(self.writer)
        with os.fdopen(self.reader, "rb") as end:
            arrived = end.read()
        assert TEXT.startswith(arrived)
        assert (arrived == TEXT) == (self.backend.failure is None)
        assert len(TEXT) - len(arrived) == self.backend.lost


class CableScenario:
    """Frames over a Unix socket, both ways. kind: listen or socket."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.got: list[bytes] = []

    def prepare(self, folder: Path) -> None:
        self.path = folder / "net"
        self.listener = None
        if self.kind == "socket":
            self.listener = socket.socket(socket.AF_UNIX)
            self.listener.bind(str(self.path))
            self.listener.listen()
            self.listener.settimeout(2)  # a connect() that was made to fail makes no connection
        self.pcap = folder / "pcap"

    def act(self) -> None:
        with Quiet() as quiet:
            try:
                self.use()
            except OSError as error:
                raise PeerError(f"peer: {error}") from None
        assert len(quiet.lines) <= 2, quiet.lines

    def use(self) -> None:
        with open_link(NetSpec(kind=self.kind, target=str(self.path), pcap=self.pcap)) as link:
            link.backend.connect(Attention(), VirtualClock())
            hand: Events = Hand()
            link.start(hand)
            with self.peer() as peer:
                hand.turn()  # type: ignore[attr-defined]
                for frame in FRAMES:
                    link.backend.emit(frame)
                    peer.sendall(struct.pack(">I", len(frame)) + frame)
                    hand.turn()  # type: ignore[attr-defined]
                    self.take(link)
                hand.turn()  # type: ignore[attr-defined]
                self.take(link)
                link.stop()

    def take(self, link: Link) -> None:
        while (frame := link.backend.take()) is not None:
            self.got.append(frame)

    @contextlib.contextmanager
    def peer(self) -> Iterator[socket.socket]:
        if self.listener is not None:
            peer, _ = self.listener.accept()
        else:
            peer = socket.socket(socket.AF_UNIX)
        with peer:
            if self.listener is None:
                peer.connect(str(self.path))
            peer.settimeout(5)
            yield peer

    def check(self, error: HyperportError | None) -> None:
        if self.listener is not None:
            self.listener.close()
        assert all(frame in FRAMES for frame in self.got), "no wrong bytes"
        if self.pcap.exists():
            check_pcap(self.pcap.read_bytes())


def check_pcap(content: bytes) -> list[bytes]:
    """The frames of a pcap file, of which the last may be cut off."""
    frames = []
    at = FILE_HEADER.size
    while at + RECORD_HEADER.size <= len(content):
        kept = RECORD_HEADER.unpack_from(content, at)[2]
        frame = content[at + RECORD_HEADER.size : at + RECORD_HEADER.size + kept]
        assert any(one.startswith(frame) for one in FRAMES), "no wrong bytes"
        frames.append(frame)
        at += RECORD_HEADER.size + kept
    return frames


class PcapScenario:
    """A pcap file by itself."""

    def prepare(self, folder: Path) -> None:
        self.path = folder / "pcap"
        self.failure: str | None = None
        self.done = False

    def act(self) -> None:
        with Quiet() as quiet:
            writer = PcapWriter(self.path)
            for number, frame in enumerate(FRAMES):
                writer.record(number, frame)
                writer.flush()
            self.failure = writer.close()
            self.done = True
        assert len(quiet.lines) == (self.failure is not None), quiet.lines

    def check(self, error: HyperportError | None) -> None:
        if self.done and self.failure is None:
            assert check_pcap(self.path.read_bytes()) == FRAMES


class TraceScenario:
    """A port trace into a file."""

    def prepare(self, folder: Path) -> None:
        self.path = folder / "trace"
        self.bus = PortBus()
        self.trace = PortTrace(self.bus, self.path)

    def act(self) -> None:
        with Quiet() as quiet:
            for number in range(20):
                self.bus.outp(0x80, 1, number)
            self.trace.close()
        assert len(quiet.lines) == (self.trace.failure is not None), quiet.lines

    def check(self, error: HyperportError | None) -> None:
        if self.trace.failure is None:
            assert self.path.read_text() == "".join(f"out 0080 1 {number:02x}\n" for number in range(20))


class WholeFileScenario:
    """Statistics and screenshots: the old file or the new one, whole."""

    OLD, NEW = b"old\n", b"new\n" * 999

    def prepare(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "stats.json"
        self.path.write_bytes(self.OLD)
        self.told: OSError | None = None

    def act(self) -> None:
        try:
            write_whole(self.path, self.NEW)
        except OSError as error:
            self.told = error

    def check(self, error: HyperportError | None) -> None:
        assert self.path.read_bytes() in ((self.NEW,) if self.told is None else (self.NEW, self.OLD))
