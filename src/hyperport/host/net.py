# SPDX-License-Identifier: GPL-2.0-or-later
"""Where a network card's cable goes on the host: passt, a tap interface, another machine's socket, or nowhere.

A Link owns the host's end (descriptors, the socket's name, the pcap file) and the PacketBackend that the card talks
to. Its life is that of a serial line's Channel (channel.py): open_link() opens, so that a mistake shows before the
machine is built; start() begins to pass frames on; stop() ends that; close() lets go of all.

Frames to the guest are read on the machine's watcher thread, never more than the backend has room for.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
import socket
import struct
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final, Self

from hyperport.errors import ConfigError
from hyperport.host.channel import Events
from hyperport.host.notes import note
from hyperport.host.packet import PacketBackend, StreamPackets, TapPackets
from hyperport.host.pcap import PcapWriter
from hyperport.host.specs import NetSpec
from hyperport.host.unix_socket import identity, listen, remove

PASST: Final = "passt"
PASST_START_S: Final = 10
GUEST_MTU: Final = 1500
TUN_DEVICE: Final = "/dev/net/tun"
TUNSETIFF: Final = 0x400454CA  # _IOW('T', 202, int), include/uapi/linux/if_tun.h
IFF_TAP: Final = 0x0002
IFF_NO_PI: Final = 0x1000  # no header before the frame
IFREQ: Final = struct.Struct("16sH14x")
TAP_HINTS: Final = {
    errno.ENOENT: "the host has no tun driver: modprobe tun",
    errno.EPERM: "make it for you first: ip tuntap add dev {name} mode tap user $USER",
    errno.EACCES: "make it for you first: ip tuntap add dev {name} mode tap user $USER",
    errno.EBUSY: "another process uses it; name another",
    errno.EINVAL: "it is not a tap interface; name another",
}


class Link:
    """A cable with nothing at its end, and base of the others."""

    def __init__(self, spec: NetSpec, backend: PacketBackend | None = None) -> None:
        self.spec = spec
        self.backend = backend if backend is not None else PacketBackend()
        self.backend.paced = spec.paced
        self.events: Events | None = None
        self.incomplete = False  # a file that should have every frame does not
        self.recorder = None if spec.pcap is None else PcapWriter(spec.pcap)
        self.backend.record_to(self.recorder)

    def start(self, events: Events) -> None:
        """Pass frames on from now."""
        self.events = events

    def stop(self) -> None:
        """Pass no more frames on. The machine must not run any more."""
        self.events = None
        if self.recorder is not None:
            self.recorder.flush()
            self.incomplete = self.recorder.failure is not None

    def close(self) -> None:
        """Let go of all that was opened. Nothing may use the backend any more."""
        self.backend.record_to(None)
        if self.recorder is not None and self.recorder.close():
            self.incomplete = True
        self.recorder = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


class FdLink(Link):
    """A cable into a descriptor."""

    backend: StreamPackets | TapPackets

    def start(self, events: Events) -> None:
        """Watch the descriptor."""
        super().start(events)
        if self.backend.plugged:
            events.watch(self.backend.fd, self._readable)

    def stop(self) -> None:
        """Watch it no more."""
        if self.events:
            self.events.unwatch(self.backend.fd)
        super().stop()

    def close(self) -> None:
        """Unplug: who is at the other end sees that."""
        self.backend.unplug()
        super().close()

    def _readable(self) -> bool:
        try:
            return self.backend.pump()
        except EOFError:
            if self.events:
                self.events.unwatch(self.backend.fd)
            self.backend.unplug()
            self._gone()
            return True

    def _gone(self) -> None:
        note(f"network {self.spec.kind}: the other end has gone; the cable is unplugged")


class UserLink(FdLink):
    """The host's own network through passt, without privileges: it speaks TCP, UDP and echo for the guest.

    passt goes into the background by itself when it is ready, and ends when its socket is closed, however we end.
    """

    backend: StreamPackets

    def __init__(self, spec: NetSpec) -> None:
        program = shutil.which(PASST)
        if program is None:
            raise ConfigError("network user: passt is not installed: apt install passt")
        super().__init__(spec, StreamPackets())
        ours, theirs = socket.socketpair()
        with ours, theirs, tempfile.TemporaryFile() as log:
            command = [program, "--quiet", "--mtu", str(GUEST_MTU), "--fd", str(theirs.fileno()), *spec.passt]
            try:
                done = subprocess.run(
                    command,
                    pass_fds=[theirs.fileno()],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    timeout=PASST_START_S,
                    check=False,
                )
            except subprocess.TimeoutExpired:
                raise ConfigError(f"network user: passt was not ready in {PASST_START_S} s; run it by hand") from None
            if done.returncode:
                log.seek(0)
                raise ConfigError(f"network user: passt cannot start: {_reason(log.read())}")
            self.backend.trims = True
            self.backend.plug(ours.fileno())


class TapLink(FdLink):
    """A tap interface of the host. Made and set up by the user, who then needs no privileges here."""

    def __init__(self, spec: NetSpec) -> None:
        super().__init__(spec, TapPackets())
        name = spec.target
        try:
            fd = os.open(TUN_DEVICE, os.O_RDWR | os.O_CLOEXEC)
            try:
                fcntl.ioctl(fd, TUNSETIFF, IFREQ.pack(name.encode(), IFF_TAP | IFF_NO_PI))
                self.backend.plug(fd)
            finally:
                os.close(fd)
        except OSError as error:
            hint = TAP_HINTS.get(error.errno or 0, "name another interface").format(name=name)
            raise ConfigError(f"network tap {name}: {error.strerror}: {hint}") from error


class SocketLink(FdLink):
    """A cable to another machine, which listens."""

    def __init__(self, spec: NetSpec) -> None:
        super().__init__(spec, StreamPackets())
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as peer:
            try:
                peer.connect(spec.target)
            except OSError as error:
                why = error.strerror or error
                raise ConfigError(f"network socket {spec.target}: {why}; start the one with listen= first") from error
            self.backend.plug(peer.fileno())


class ListenLink(FdLink):
    """A cable to another machine, which connects; one at a time, the next one waits in the queue."""

    def __init__(self, spec: NetSpec) -> None:
        self.path = Path(spec.target)
        self.listener = listen(self.path, "network")
        self.identity = identity(self.path)
        super().__init__(spec, StreamPackets())

    def start(self, events: Events) -> None:
        """Wait for the other machine."""
        super().start(events)
        if not self.backend.plugged:
            events.watch(self.listener.fileno(), self._arriving)

    def stop(self) -> None:
        """Wait no more; who is connected stays."""
        if self.events:
            self.events.unwatch(self.listener.fileno())
        super().stop()

    def close(self) -> None:
        """Close the socket and remove its name, if it is still ours."""
        if self.listener.fileno() >= 0:
            remove(self.path, self.identity)
            with contextlib.suppress(OSError):  # it is closed, whatever the answer
                self.listener.close()
        super().close()

    def _arriving(self) -> bool:
        with contextlib.suppress(OSError):  # the peer has left again already
            peer, _ = self.listener.accept()
            with peer:
                self.backend.plug(peer.fileno())
            if self.events:
                self.events.unwatch(self.listener.fileno())
                self.events.watch(self.backend.fd, self._readable)
        return True

    def _gone(self) -> None:
        if self.events:
            self.events.watch(self.listener.fileno(), self._arriving)


LINKS: Final[dict[str, Callable[[NetSpec], Link]]] = {
    "none": Link,
    "user": UserLink,
    "tap": TapLink,
    "socket": SocketLink,
    "listen": ListenLink,
}


def open_link(spec: NetSpec) -> Link:
    """The link that spec asks for, opened. Raises ConfigError if the host does not let us have it."""
    try:
        return LINKS[spec.kind](spec)
    except OSError as error:
        raise ConfigError(f"network {spec.kind}: the host refuses what it needs: {error.strerror}") from error
    except MemoryError as error:
        raise ConfigError(f"network {spec.kind}: no memory for it") from error


def _reason(log: bytes) -> str:
    """What passt said last, without its complaints that there is no system log."""
    lines = [line.strip() for line in log.decode(errors="replace").splitlines()]
    said = [line for line in lines if line and "syslog" not in line]
    return said[-1] if said else "it gave no reason; run it by hand"
