# SPDX-License-Identifier: GPL-2.0-or-later
"""A parallel port of the host behind LPT1 of the guest, through the kernel's ppdev driver.

Source: Linux, include/uapi/linux/ppdev.h and Documentation/driver-api/parport-lowlevel.rst; registers: IBM PC AT
Technical Reference (1985), "Serial/Parallel Adapter". ppdev gives and takes registers as the chip has them. Two bits of
control are not handed on as such: direction has a call of its own, and the interrupt's gate is kept here, since the
kernel needs the interrupt for itself.

The port is claimed for as long as the machine lives: a driver of the host that wants it, as lp, waits.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from hyperport.errors import ConfigError, StateError

DATA, STATUS, CONTROL = 0, 1, 2

CONTROL_LINES: Final = 0x0F  # nStrobe, nAutofeed, nInit, nSelectIn
CONTROL_INTERRUPT: Final = 0x10  # nAck reaches the interrupt line
CONTROL_INPUT: Final = 0x20  # the data lines are inputs
CONTROL_FLOATING: Final = 0xC0  # read as ones


def _code(direction: int, number: int, size: int) -> int:
    """An ioctl of ppdev: direction 1 gives to the driver, 2 takes from it, 0 neither (asm-generic/ioctl.h)."""
    return direction << 30 | size << 16 | ord("p") << 8 | number


PPRSTATUS: Final = _code(2, 0x81, 1)
PPRCONTROL: Final = _code(2, 0x83, 1)
PPWCONTROL: Final = _code(1, 0x84, 1)
PPRDATA: Final = _code(2, 0x85, 1)
PPWDATA: Final = _code(1, 0x86, 1)
PPCLAIM: Final = _code(0, 0x8B, 0)
PPRELEASE: Final = _code(0, 0x8C, 0)
PPDATADIR: Final = _code(1, 0x90, 4)
PPCLRIRQ: Final = _code(2, 0x93, 4)

Ioctl = Callable[[int, int, bytearray], Any]


def _ioctl(fd: int, code: int, value: bytearray) -> Any:
    import fcntl

    return fcntl.ioctl(fd, code, value or 0)


class HostParport:
    """The port that ppdev calls path. ioctl: (descriptor, code, value that may be changed), another one for tests."""

    name = "host-parport"
    span = 3
    widths = (1,)

    def __init__(self, path: Path | str, ioctl: Ioctl = _ioctl) -> None:
        self.path, self._ioctl = path, ioctl
        self.gate = False  # the guest wants interrupts
        self._input = False
        self.fd = -1
        try:
            self.fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
            ioctl(self.fd, PPCLAIM, bytearray())
        except OSError as error:
            self.close()
            hint = (
                "load ppdev and name /dev/parportN" if error.errno in (errno.ENOENT, errno.ENOTTY) else "is it in use?"
            )
            raise ConfigError(f"passthrough: {path}: {error.strerror}: {hint}") from error

    def reset(self) -> None:
        """The wires stay as they are: the printer has not been turned off."""
        self.gate = False

    def read(self, offset: int, size: int) -> int:  # noqa: ARG002 - a device's signature
        """IN."""
        if offset == CONTROL:
            kept = (CONTROL_INTERRUPT if self.gate else 0) | (CONTROL_INPUT if self._input else 0)
            return self._get(PPRCONTROL) & CONTROL_LINES | kept | CONTROL_FLOATING
        return self._get(PPRDATA if offset == DATA else PPRSTATUS)

    def write(self, offset: int, size: int, value: int) -> None:  # noqa: ARG002 - a device's signature
        """OUT. The status has nothing to write."""
        if offset == DATA:
            self._ioctl(self.fd, PPWDATA, bytearray((value,)))
        elif offset == CONTROL:
            self.gate = bool(value & CONTROL_INTERRUPT)
            wants_input = bool(value & CONTROL_INPUT)
            if wants_input != self._input:
                self._input = wants_input
                self._ioctl(self.fd, PPDATADIR, bytearray(int(wants_input).to_bytes(4, "little")))
            self._ioctl(self.fd, PPWCONTROL, bytearray((value & CONTROL_LINES,)))

    def _get(self, code: int) -> int:
        value = bytearray(1)
        self._ioctl(self.fd, code, value)
        return value[0]

    def interrupted(self) -> int:
        """How many interrupts there were since the last call that the guest lets through; on any thread."""
        count = bytearray(4)
        self._ioctl(self.fd, PPCLRIRQ, count)
        return int.from_bytes(count, "little") if self.gate else 0

    def save(self) -> dict[str, Any]:
        """Refuse: the hardware keeps its own state."""
        raise StateError("host-parport: a machine with a parallel port of the host cannot be saved")

    def load(self, record: dict[str, Any]) -> None:
        """There is no record."""

    def close(self) -> None:
        """Give the port back to the host. May be called twice."""
        fd, self.fd = self.fd, -1
        if fd >= 0:
            try:
                self._ioctl(fd, PPRELEASE, bytearray())
            except OSError:  # it was not ours
                pass
            finally:
                os.close(fd)
