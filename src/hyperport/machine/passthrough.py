# SPDX-License-Identifier: GPL-2.0-or-later
"""Ports of the host for a machine (--passthrough): opens them, attaches them, and brings their interrupts to the guest.

An interrupt of the host is a descriptor: UIO's gives a number for each, ppdev's becomes readable. The watcher's thread
reads it and leaves a byte in a backend; the vCPU's thread makes an edge of it (devices/host_ports.pyx).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final, Protocol

from hyperport.devices.host_parport import HostParport, Ioctl
from hyperport.devices.host_ports import HostInterrupt, HostPorts, may_use
from hyperport.engines.base import Engine
from hyperport.errors import ConfigError
from hyperport.host.char import CharBackend
from hyperport.host.events import HostEvents
from hyperport.host.specs import PassthroughSpec
from hyperport.lines.attention import Attention
from hyperport.lines.irq import IrqLine
from hyperport.time.clock import Clock

PORT_FILE: Final = Path("/dev/port")
ENABLE: Final = (1).to_bytes(4, "little")  # written to UIO: the interrupt may come again
UIO_BYTES: Final = 4


class Host(Protocol):
    """What is needed of a Machine."""

    attention: Attention
    clock: Clock
    engine: Engine
    events: HostEvents

    def attach(self, device: Any, base: int | None = None) -> Any:
        """Put a device at port base."""

    def irq_line(self, number: int, owner: str) -> IrqLine:
        """A new wire to interrupt request number."""


class RealPorts:
    """All that a machine has of the host's ports. close() gives it back."""

    def __init__(self, machine: Host) -> None:
        self.machine = machine
        self._closing = ExitStack()

    def add(self, spec: PassthroughSpec, ioctl: Ioctl | None = None) -> None:
        """Open what spec names and attach it. ioctl: of a parallel port, another one for tests. Raises ConfigError."""
        with ExitStack() as undo:
            if spec.path is not None:
                self._add_parport(spec, undo, ioctl)
            else:
                self._add_ports(spec, undo)
            self._closing.push(undo.pop_all())

    def close(self) -> None:
        """Let go of all; once is enough."""
        self._closing.close()

    def _add_ports(self, spec: PassthroughSpec, undo: ExitStack) -> None:
        fd, where = _open_ports(spec, undo)
        ports = HostPorts(spec.first, spec.span, self.machine.attention, fd, where)
        uio = -1
        if spec.uio is not None:
            uio = _opened(spec.uio, spec, undo)

        def enable() -> None:
            os.write(uio, ENABLE)

        def count() -> int:
            os.read(uio, UIO_BYTES)
            return 1

        if spec.irq is not None and uio >= 0:
            self._listen(spec, "host-ports", uio, count, enable, undo)
        self.machine.attach(ports, spec.first)
        if uio >= 0:
            enable()

    def _add_parport(self, spec: PassthroughSpec, undo: ExitStack, ioctl: Ioctl | None) -> None:
        assert spec.path is not None
        port = HostParport(spec.path) if ioctl is None else HostParport(spec.path, ioctl)
        undo.callback(port.close)
        if spec.irq is not None:
            self._listen(spec, port.name, port.fd, port.interrupted, None, undo)
        self.machine.attach(port, spec.first)

    def _listen(
        self,
        spec: PassthroughSpec,
        owner: str,
        fd: int,
        count: Callable[[], int],
        answered: Callable[[], object] | None,
        undo: ExitStack,
    ) -> None:
        """Make edges of the guest's line of what comes at fd. count: takes it, and says whether there is any."""
        machine = self.machine
        assert spec.irq is not None
        backend = CharBackend()
        backend.connect(machine.attention, machine.clock)
        machine.engine.listen(HostInterrupt(machine.irq_line(spec.irq, owner), backend, answered))

        def readable() -> bool:
            if count():
                backend.feed(b"\0")  # several that nobody has answered are one, as on the wire
            return True

        machine.events.watch(fd, readable)
        undo.callback(machine.events.unwatch, fd)


def _open_ports(spec: PassthroughSpec, undo: ExitStack) -> tuple[int, str]:
    """A descriptor of a port file, or -1 for ioperm(2), and what it is for messages."""
    if spec.via is not None:
        return _opened(spec.via, spec, undo), str(spec.via)
    refused = may_use(spec.first, spec.span)
    if not refused:
        return -1, "ioperm"
    try:
        fd = os.open(PORT_FILE, os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        raise ConfigError(
            f"passthrough {spec}: this process may not use the host's ports: ioperm: {os.strerror(refused)}, "
            f"{PORT_FILE}: {error.strerror}; it takes root (CAP_SYS_RAWIO) and a kernel that is not locked down"
        ) from error
    undo.callback(os.close, fd)
    return fd, str(PORT_FILE)


def _opened(path: Path, spec: PassthroughSpec, undo: ExitStack) -> int:
    try:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        raise ConfigError(f"passthrough {spec}: {path}: {error.strerror}; it must be readable and writable") from error
    undo.callback(os.close, fd)
    return fd
