# SPDX-License-Identifier: GPL-2.0-or-later
"""What a user asks of the host: a disk's image, a network cable, the end of a serial line. Records and their texts."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from hyperport.errors import UsageError
from hyperport.options import ISA_IRQS, PORTS, parse_number

SERIAL_KINDS: Final = ("stdio", "pty", "file", "unix", "tty", "null")
SERIAL_FILES: Final = ("file", "unix", "tty")  # the kinds with :PATH
NET_KINDS: Final = {"user": False, "none": False, "tap": True, "socket": True, "listen": True}  # whether with =TARGET
NET_FILES: Final = ("socket", "listen")  # the kinds whose target is a path
NET_SETTINGS: Final = {  # key -> field of NetSpec
    "mac": "mac",
    "io": "base",
    "irq": "irq",
    "pcap": "pcap",
    "paced": "paced",
    "tcp": "passt",
    "udp": "passt",
}
PASSTHROUGH_SETTINGS: Final = ("irq", "uio", "via", "base")
PARPORT_PLACE: Final = (0x378, 7)  # LPT1's first port and line
PARPORT_SPAN: Final = 3
DISK_SETTINGS: Final = ("ro", "overlay", "snapshot")
DRIVE_5: Final = 2  # kinds of floppy drives, as in CMOS byte 10h: 5.25 inch 1.2 MB
DRIVE_3: Final = 4  # 3.5 inch 1.44 MB
DRIVE_3_ED: Final = 5  # 2.88 MB
FLOPPY_DRIVES: Final = {DRIVE_5: "5.25 inch (1.2 MB)", DRIVE_3: "3.5 inch (1.44 MB)", DRIVE_3_ED: "3.5 inch (2.88 MB)"}
IFNAME_MOST: Final = 15  # IFNAMSIZ - 1


def as_paths(record: Any, *names: str) -> None:
    """Make a Path of each named field of a frozen record that was given as a str."""
    for name in names:
        given = getattr(record, name)
        if given is not None:
            object.__setattr__(record, name, Path(given))


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskSpec:
    """A hard disk: a raw image, read only, with an overlay file for what is written, or with writes thrown away.

    path, overlay: Path or str.
    """

    path: Path
    read_only: bool = False
    overlay: Path | None = None
    snapshot: bool = False

    if TYPE_CHECKING:  # for type checkers: what may be given, and not only what is kept

        def __init__(
            self,
            *,
            path: Path | str,
            read_only: bool = ...,
            overlay: Path | str | None = ...,
            snapshot: bool = ...,
        ) -> None: ...

    def __post_init__(self) -> None:
        as_paths(self, "path", "overlay")

    def beside(self, directory: Path) -> DiskSpec:
        """The same with its file names taken from directory."""
        path = self.path if str(self.path).startswith("nbd:") else directory / self.path
        return replace(self, path=path, overlay=self.overlay and directory / self.overlay)


@dataclass(frozen=True, slots=True, kw_only=True)
class FloppySpec:
    """A floppy: an image or a folder (Path or str), or None for an empty drive.

    drive: its kind, a key of FLOPPY_DRIVES, as in CMOS byte 10h; without one it is what the first medium needs.
    """

    path: Path | None
    read_only: bool = False
    drive: int | None = None

    if TYPE_CHECKING:

        def __init__(self, *, path: Path | str | None, read_only: bool = ..., drive: int | None = ...) -> None: ...

    def __post_init__(self) -> None:
        as_paths(self, "path")
        if self.drive is not None and self.drive not in FLOPPY_DRIVES:
            known = ", ".join(f"{kind} for {name}" for kind, name in FLOPPY_DRIVES.items())
            raise UsageError(f"floppy drive {self.drive!r}: there are {known}")

    def beside(self, directory: Path) -> FloppySpec:
        """The same with its file name taken from directory."""
        return replace(self, path=self.path and directory / self.path)


@dataclass(frozen=True, slots=True, kw_only=True)
class NetSpec:
    """An NE2000 and its cable. kind is a key of NET_KINDS, target an interface's name or a socket's path.

    mac: 6 bytes. base, irq and mac have defaults by the card's number. paced: frames wait until the card has room for
    them. passt: further words of its command line. target and pcap: Path or str.
    """

    kind: str = "none"
    target: str = ""
    mac: bytes | None = None
    base: int | None = None
    irq: int | None = None
    pcap: Path | None = None
    paced: bool = True
    passt: tuple[str, ...] = ()

    if TYPE_CHECKING:

        def __init__(
            self,
            *,
            kind: str = ...,
            target: Path | str = ...,
            mac: bytes | None = ...,
            base: int | None = ...,
            irq: int | None = ...,
            pcap: Path | str | None = ...,
            paced: bool = ...,
            passt: tuple[str, ...] = ...,
        ) -> None: ...

    def __post_init__(self) -> None:
        object.__setattr__(self, "target", str(self.target))
        as_paths(self, "pcap")

    def beside(self, directory: Path) -> NetSpec:
        """The same with its file names taken from directory."""
        target = str(directory / self.target) if self.kind in NET_FILES else self.target
        return replace(self, target=target, pcap=self.pcap and directory / self.pcap)


@dataclass(frozen=True, slots=True)
class SerialSpec:
    """Where a serial line goes on the host; path (Path or str) only for the kinds of SERIAL_FILES."""

    kind: str
    path: Path | None = None

    if TYPE_CHECKING:

        def __init__(self, kind: str, path: Path | str | None = ...) -> None: ...

    def __post_init__(self) -> None:
        as_paths(self, "path")

    def beside(self, directory: Path) -> SerialSpec:
        """The same with its file name taken from directory."""
        return SerialSpec(self.kind, self.path and directory / self.path)


@dataclass(frozen=True, slots=True, kw_only=True)
class PassthroughSpec:
    """Ports first to last of the host, by ioperm or a port file (via); or a parallel port that ppdev calls path.

    irq: the guest's line; uio: the UIO device that tells of the host's interrupts. path, uio, via: Path or str.
    """

    first: int
    last: int
    irq: int | None = None
    uio: Path | None = None
    via: Path | None = None
    path: Path | None = None

    if TYPE_CHECKING:

        def __init__(
            self,
            *,
            first: int,
            last: int,
            irq: int | None = ...,
            uio: Path | str | None = ...,
            via: Path | str | None = ...,
            path: Path | str | None = ...,
        ) -> None: ...

    def __post_init__(self) -> None:
        as_paths(self, "uio", "via", "path")

    @property
    def span(self) -> int:
        """How many ports."""
        return self.last - self.first + 1

    def beside(self, directory: Path) -> PassthroughSpec:
        """The same with its file names taken from directory."""
        named = {name: directory / file for name in ("uio", "via", "path") if (file := getattr(self, name))}
        return replace(self, **named)

    def __str__(self) -> str:
        return f"{self.first:#x}-{self.last:#x}" if self.path is None else str(self.path)


def parse_passthrough(text: str) -> PassthroughSpec:
    """0x378-0x37f[,irq=N,uio=FILE][,via=FILE], or /dev/parport0[,base=PORT][,irq=N]."""
    where, *settings = text.split(",")
    given: dict[str, str] = {}
    for setting in settings:
        key, equals, value = setting.partition("=")
        if key not in PASSTHROUGH_SETTINGS or not equals or not value or key in given:
            raise UsageError(f"passthrough {where}: {setting!r}: write {'=, '.join(PASSTHROUGH_SETTINGS)}=, each once")
        given[key] = value
    irq = parse_number(given["irq"], f"passthrough {where}: irq") if "irq" in given else None
    if irq is not None and irq >= ISA_IRQS:
        raise UsageError(f"passthrough {where}: irq={irq} is outside 0 to {ISA_IRQS - 1}")
    if "/" in where:
        if given.keys() & {"uio", "via"}:
            raise UsageError(f"passthrough {where}: a parallel port takes base= and irq=")
        first = parse_number(given.get("base", str(PARPORT_PLACE[0])), f"passthrough {where}: base")
        if first + PARPORT_SPAN > PORTS:
            raise UsageError(f"passthrough {where}: base={first:#x} is outside the ports 0 to {PORTS - 1:#x}")
        line = PARPORT_PLACE[1] if irq is None else irq
        return PassthroughSpec(first=first, last=first + PARPORT_SPAN - 1, irq=line, path=Path(where))
    low, dash, high = where.partition("-")
    first = parse_number(low, "passthrough: port")
    last = parse_number(high, "passthrough: port") if dash else first
    if not first <= last < PORTS:
        raise UsageError(f"passthrough {where}: write ports like 0x378-0x37f, from 0 to {PORTS - 1:#x}")
    if "base" in given:
        raise UsageError(f"passthrough {where}: ports of the host keep their numbers: leave out base=")
    if ("irq" in given) != ("uio" in given):
        raise UsageError(
            f"passthrough {where}: the host gives interrupts by UIO only: irq=N and uio=/dev/uioN belong together"
        )
    return PassthroughSpec(first=first, last=last, irq=irq, uio=_path(given, "uio"), via=_path(given, "via"))


def _path(given: dict[str, str], key: str) -> Path | None:
    return Path(given[key]) if key in given else None


def parse_disk(text: str) -> DiskSpec:
    """FILE[,ro][,overlay=FILE][,snapshot]; the last three exclude each other."""
    path, *settings = text.split(",")
    if not path:
        raise UsageError(f"disk {text!r}: write FILE, then ,ro or ,overlay=FILE or ,snapshot if wanted")
    if len(settings) > 1:
        raise UsageError(f"disk {path}: {' and '.join(settings)} exclude each other; give one of them")
    setting, equals, overlay = settings[0].partition("=") if settings else ("", "", "")
    if settings and (setting not in DISK_SETTINGS or (setting == "overlay") != bool(overlay)):
        raise UsageError(f"disk {path}: {settings[0]!r} is no setting: write ro, overlay=FILE or snapshot")
    if equals and setting != "overlay":
        raise UsageError(f"disk {path}: {setting} takes no value")
    return DiskSpec(
        path=Path(path),
        read_only=setting == "ro",
        overlay=Path(overlay) if overlay else None,
        snapshot=setting == "snapshot",
    )


def parse_floppy(text: str) -> FloppySpec:
    """FILE[,ro], a folder, or none."""
    path, comma, setting = text.partition(",")
    if not path or (comma and setting != "ro"):
        raise UsageError(f"floppy {text!r}: write FILE, FILE,ro, a folder, or none for an empty drive")
    return FloppySpec(path=None if text == "none" else Path(path), read_only=bool(comma))


def parse_net(text: str) -> NetSpec:
    """user, none, tap=IFNAME, socket=PATH or listen=PATH; then key=value settings, those of NET_SETTINGS."""
    cable, *settings = text.split(",")
    kind, _, target = cable.partition("=")
    if NET_KINDS.get(kind) != bool(target) or (kind == "tap" and len(target) > IFNAME_MOST):
        raise UsageError(f"network {cable!r}: write user, none, tap=INTERFACE, socket=PATH or listen=PATH")
    given: dict[str, Any] = {}
    for setting in settings:
        key, _, value = setting.partition("=")
        field_name = NET_SETTINGS.get(key)
        if field_name is None or not value:
            raise UsageError(f"network {cable}: {setting!r} is no setting: write {', '.join(NET_SETTINGS)} with =VALUE")
        if field_name == "passt":
            if kind != "user":
                raise UsageError(f"network {cable}: {key} is for user only")
            given["passt"] = (*given.get("passt", ()), f"--{key}-ports", value)
            continue
        if field_name in given:
            raise UsageError(f"network {cable}: {key} is given twice")
        given[field_name] = _net_value(key, value, f"network {cable}")
    return NetSpec(kind=kind, target=target, **given)


def _net_value(key: str, value: str, what: str) -> Any:
    if key == "pcap":
        return Path(value)
    if key == "paced":
        if value not in ("yes", "no"):
            raise UsageError(f"{what}: paced={value}: write yes or no")
        return value == "yes"
    if key == "mac":
        if not re.fullmatch(r"[0-9a-f][02468ace](:[0-9a-f]{2}){5}", value.lower()):
            raise UsageError(f"{what}: mac {value!r}: write six bytes like 02:00:00:00:00:01, the first one even")
        return bytes.fromhex(value.replace(":", ""))
    number = parse_number(value, f"{what}: {key}")
    if number >= (PORTS if key == "io" else ISA_IRQS):
        raise UsageError(f"{what}: {key}={value} is outside 0 to {(PORTS if key == 'io' else ISA_IRQS) - 1:#x}")
    return number


def parse_serial(text: str) -> SerialSpec:
    """stdio, pty, null, file:PATH, unix:PATH or tty:PATH."""
    kind, colon, path = text.partition(":")
    takes_path = kind in SERIAL_FILES
    if kind not in SERIAL_KINDS or takes_path != bool(path) or (colon and not takes_path):
        raise UsageError(f"serial line {text!r}: write stdio, pty, null, file:PATH, unix:PATH or tty:PATH")
    return SerialSpec(kind, Path(path) if takes_path else None)
