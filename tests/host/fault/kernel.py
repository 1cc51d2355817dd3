# SPDX-License-Identifier: GPL-2.0-or-later
"""The ends that the host itself serves, under faults: a terminal, a tap interface, and a real passt that is killed."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import select
import signal
import socket
import struct
import termios
import time
from pathlib import Path
from typing import Any, Final

from hyperport import HyperportError, NetSpec
from hyperport.host.net import TUN_DEVICE, Link, open_link
from hyperport.lines.attention import Attention, StopKind
from hyperport.time.clock import VirtualClock
from hyperport.ui import console

from .streams import FRAMES, LINES, TEXT, Hand, PeerError, Quiet

CLONE_NEWUSER: Final = 0x10000000  # include/uapi/linux/sched.h
CLONE_NEWNET: Final = 0x40000000
SIOCSIFFLAGS: Final = 0x8914  # include/uapi/linux/sockios.h
IFF_UP: Final = 1
ETH_P_ALL: Final = 0x0003
TAP: Final = "fault0"
PATIENCE_S: Final = 5
SETTLED_S: Final = 0.1  # a terminal passes on what was written to it by a thread of the kernel
TYPED: Final = b"typed"

OUR_MAC: Final = bytes.fromhex("020000000001")
ARP_REQUEST: Final = (
    b"\xff" * 6
    + OUR_MAC
    + bytes.fromhex("0806 0001 0800 06 04 0001")
    + OUR_MAC
    + bytes([0, 0, 0, 0, *[0] * 6, 10, 0, 2, 2])
).ljust(60, b"\0")


def connect(backend: Any) -> None:
    """To a machine's clock; what that needs memory for is no part of the backend."""
    try:
        backend.connect(Attention(), VirtualClock())
    except MemoryError as error:
        raise PeerError(f"clock: {error}") from None


class Ready(Hand):
    """Calls only those back whose descriptor has something, as a terminal's read would wait for more."""

    def turn(self) -> None:
        for fd, callback in list(self.callbacks.items()):
            if select.select([fd], [], [], 0)[0]:
                callback()


class TtyScenario:
    """The console on a terminal: its mode, what is typed, the escape key, output."""

    def prepare(self, folder: Path) -> None:
        self.master, self.slave = os.openpty()
        mode = termios.tcgetattr(self.slave)
        mode[1] &= ~termios.OPOST
        mode[3] &= ~termios.ECHO
        termios.tcsetattr(self.slave, termios.TCSANOW, mode)
        self.mode = termios.tcgetattr(self.slave)
        os.write(self.master, TYPED + b"\x01x")
        os.set_blocking(self.master, False)
        self.was = {name: vars(console)[name] for name in ("STDIN", "STDOUT")}
        vars(console).update(STDIN=self.slave, STDOUT=self.slave)
        self.arrived = self.got = b""
        self.stops: list[StopKind] = []
        self.failure: object = None
        self.ran = False

    def act(self) -> None:
        with Quiet(), console.open_channel("stdio") as channel:
            backend: Any = channel.backend
            connect(backend)
            hand = Ready()
            try:
                channel.start(hand, self.stops.append)
                for line in LINES:
                    backend.emit(line)
                    hand.turn()
                self.ran = True
            finally:
                channel.stop()
            while (byte := backend.take()) is not None:
                self.got += bytes([byte])
            self.failure = backend.failure

    def check(self, error: HyperportError | None) -> None:
        while len(self.arrived) < len(TEXT) and select.select([self.master], [], [], SETTLED_S)[0]:
            self.arrived += os.read(self.master, 1 << 16)
        mode = termios.tcgetattr(self.slave)
        os.close(self.master)
        os.close(self.slave)
        vars(console).update(self.was)
        assert mode == self.mode, "the terminal is given back"
        assert TYPED.startswith(self.got)
        assert TEXT.startswith(self.arrived)
        if self.ran:
            assert (self.arrived == TEXT) == (self.failure is None), "a loss is told"
            assert self.stops in ([StopKind.QUIT], [])
            assert self.got or not self.stops


class TapScenario:
    """Frames over a tap interface, both ways, in a network namespace that only this process has."""

    alone = False

    def prepare(self, folder: Path) -> None:
        self.pcap = folder / "pcap"
        self.got: list[bytes] = []
        self.sent: list[bytes] = []
        if not TapScenario.alone:
            user = 0 if os.geteuid() == 0 else CLONE_NEWUSER
            assert ctypes.CDLL(None).unshare(user | CLONE_NEWNET) == 0, "a network namespace"
            TapScenario.alone = True

    def act(self) -> None:
        with Quiet() as quiet:
            try:
                self.use()
            except (OSError, MemoryError) as error:
                if isinstance(error, OSError) and error.filename == TUN_DEVICE:
                    raise
                raise PeerError(f"peer: {error}") from None
        assert len(quiet.lines) <= 2, quiet.lines

    def use(self) -> None:
        with open_link(NetSpec(kind="tap", target=TAP, pcap=self.pcap)) as link, self.peer() as peer:
            connect(link.backend)
            hand = Hand()
            link.start(hand)
            for frame in FRAMES:
                peer.sendto(frame, (TAP, ETH_P_ALL))  # not counted: it is the kernel's side
                link.backend.emit(frame)
                hand.turn()
                self.got += taken(link)
            hand.turn()
            self.got += taken(link)
            link.stop()
            peer.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                while True:
                    self.sent.append(peer.recv(2048))

    @staticmethod
    @contextlib.contextmanager
    def peer() -> Any:
        """The kernel's side of the interface, which is set up."""
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL)) as peer:
            fcntl.ioctl(peer, SIOCSIFFLAGS, struct.pack("16sH14x", TAP.encode(), IFF_UP))
            peer.bind((TAP, ETH_P_ALL))
            yield peer

    def check(self, error: HyperportError | None) -> None:
        for frame in self.got + self.sent:
            if frame[:2] != b"\x33\x33":  # the kernel's own are IPv6 multicasts
                # cut off only by the interposer's short write: a tap takes a frame whole or not at all
                assert any(one.startswith(frame) for one in FRAMES), "no wrong bytes"
        assert all(frame in FRAMES for frame in self.got if frame[:2] != b"\x33\x33")


class PasstScenario:
    """A real passt: it answers, and then it is killed while frames are under way."""

    def prepare(self, folder: Path) -> None:
        os.environ.pop("LD_PRELOAD", None)  # it is passt's host that fails, not passt
        for place in (folder, *folder.parents):  # passt is another user than root
            with contextlib.suppress(OSError):
                if place == folder or (place.name.startswith("tmp") and place != Path("/tmp")):
                    place.chmod(0o777)
        self.pid_file = folder / "pid"
        self.got: list[bytes] = []
        self.said: list[str] = []

    def act(self) -> None:
        with Quiet() as quiet, open_link(NetSpec(kind="user", passt=("--pid", str(self.pid_file)))) as link:
            connect(link.backend)
            hand = Hand()
            link.start(hand)
            link.backend.emit(ARP_REQUEST)
            self.turn(link, hand, lambda: bool(self.got))
            for _ in range(20):
                link.backend.emit(ARP_REQUEST)
            self.kill()
            backend: Any = link.backend
            self.turn(link, hand, lambda: not backend.plugged)
            for _ in range(20):
                link.backend.emit(ARP_REQUEST)
            assert not backend.plugged, "the end is seen"
            link.stop()
        self.said = quiet.lines

    def turn(self, link: Link, hand: Hand, done: Any) -> None:
        end = time.monotonic() + PATIENCE_S
        backend: Any = link.backend
        while not done() and backend.plugged and time.monotonic() < end:
            select.select([backend.fd], [], [], 0.05)
            hand.turn()
            self.got += taken(link)

    def kill(self) -> None:
        for _ in range(3):  # the call that fails may be one of these
            with contextlib.suppress(OSError, ValueError), self.pid_file.open("rb", 0) as file:
                os.kill(int(os.read(file.fileno(), 16)), signal.SIGKILL)
                return

    def check(self, error: HyperportError | None) -> None:
        self.kill()  # a passt whose start we have not waited for
        for frame in self.got:
            assert len(frame) >= 42, "whole frames only"
            assert (frame[:6], frame[12:14]) == (OUR_MAC, b"\x08\x06") or frame[0] & 1, "no wrong bytes"
        assert len(self.said) <= 1, self.said


def taken(link: Link) -> list[bytes]:
    """The frames that have arrived."""
    frames: list[bytes] = []
    while (frame := link.backend.take()) is not None:
        frames.append(frame)
    return frames
