# SPDX-License-Identifier: GPL-2.0-or-later
"""What machine to build: plain records, and how to read them from the command line and from TOML.

Each parse function takes the text a user wrote and raises UsageError, one line that quotes it.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from hyperport.errors import ConfigError, UsageError

MIB: Final = 1 << 20
UNITS: Final = {"k": 1 << 10, "m": 1 << 20, "g": 1 << 30}
FLAT_MODES: Final = ("real", "protected")
SERIAL_KINDS: Final = ("stdio", "pty", "file", "unix", "null")
ISA_IRQS: Final = 16
PORTS: Final = 0x10000
CONTROL_A: Final = 0x01
NO_ESCAPE: Final = -1
DEFAULT_ABI: Final = ("vmi",)
DISPLAYS: Final = ("none", "term")


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceSpec:
    """A device in plain Python: class class_name of the file at path, at port base, with ISA line irq (or none)."""

    path: Path
    class_name: str
    base: int
    irq: int | None = None
    options: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskSpec:
    """A hard disk: a raw image, read only, with an overlay file for what is written, or with writes thrown away."""

    path: Path
    read_only: bool = False
    overlay: Path | None = None
    snapshot: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineConfig:
    """One machine. memory is in bytes; modules are (file, arguments); flat is (address, "real" | "protected").

    io is the path of port accesses. abi (hypercall conventions) and vmi_calls (what the VMI ROM offers: names, numbers,
    ranges) go with io "hypercall" only. testdev puts the test device at port 0x340.
    disks become hda, hdb, hdc, hdd in order; the first of cdroms is hdc, or takes the next free place as others do.
    With engine kvm: kvm_irqchip takes the kernel's interrupt controllers and timer instead of ours; kvm_coalesce lets
    the kernel queue writes to ports whose devices are postable.
    """

    kernel: Path | None = None
    initrd: Path | None = None
    append: str = ""
    modules: tuple[tuple[Path, str], ...] = ()
    flat: tuple[int, str] | None = None
    memory: int = 128 * MIB
    engine: str = "auto"
    io: str = "exit"
    abi: tuple[str, ...] = DEFAULT_ABI
    vmi_calls: tuple[str, ...] | None = None
    testdev: bool = False
    kvm_irqchip: bool = False
    kvm_coalesce: bool = False
    devices: tuple[DeviceSpec, ...] = ()
    disks: tuple[DiskSpec, ...] = ()
    cdroms: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True)
class SerialSpec:
    """Where a serial line goes on the host; path only for the kinds file and unix."""

    kind: str
    path: Path | None = None


def parse_number(text: str, what: str) -> int:
    """An unsigned number, decimal or with 0x, 0o or 0b."""
    try:
        number = int(text, 0)
    except ValueError:
        number = -1
    if number < 0:
        raise UsageError(f"{what} {text!r} is no number: write it like 768 or 0x300")
    return number


def parse_size(text: str) -> int:
    """Bytes. A plain number counts MiB, as in qemu's -m; K, M and G (and KiB, MiB, GiB) are binary units."""
    match = re.fullmatch(r"(\d+)\s*(?:([kmg])(?:i?b)?)?", text.strip(), re.IGNORECASE | re.ASCII)
    if match is None:
        raise UsageError(f"size {text!r} is not understood: write it like 128, 512K, 128M or 1G")
    return int(match[1]) * UNITS[(match[2] or "m").lower()]


def parse_flat(text: str) -> tuple[int, str]:
    """ADDR,MODE of a raw image: where it is loaded and entered, and in which mode."""
    address, comma, mode = text.partition(",")
    if not comma or mode not in FLAT_MODES:
        raise UsageError(f"flat image {text!r}: write ADDR,MODE with mode {' or '.join(FLAT_MODES)}, as 0x7c00,real")
    return parse_number(address, "flat image: address"), mode


def parse_names(text: str) -> tuple[str, ...]:
    """A list with commas; what the names mean is for whoever takes them."""
    return tuple(name.strip() for name in text.split(","))


def parse_device(text: str) -> DeviceSpec:
    """path/to/file.py:Class,base=0x300[,irq=5][,key=value ...]; other keys go to the class as they are."""
    where, *settings = text.split(",")
    path, colon, class_name = where.rpartition(":")
    if not colon or not path or not class_name.isidentifier():
        raise UsageError(f"device {text!r}: write FILE.py:Class,base=0x300, then irq=5 or options if it takes them")
    options: dict[str, str] = {}
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals or not key.isidentifier():
            raise UsageError(f"device {where}: {setting!r} is no setting: write key=value")
        if key in options:
            raise UsageError(f"device {where}: {key} is given twice")
        options[key] = value
    if "base" not in options:
        raise UsageError(f"device {where}: its first port is missing: add base=0x300 or another free port")
    base = parse_number(options.pop("base"), f"device {where}: base")
    irq = parse_number(options.pop("irq"), f"device {where}: irq") if "irq" in options else None
    if base >= PORTS:
        raise UsageError(f"device {where}: base {base:#x} is outside the ports 0 to {PORTS - 1:#x}")
    if irq is not None and irq >= ISA_IRQS:
        raise UsageError(f"device {where}: irq {irq} is outside the lines 0 to {ISA_IRQS - 1}")
    return DeviceSpec(path=Path(path), class_name=class_name, base=base, irq=irq, options=options)


def parse_disk(text: str) -> DiskSpec:
    """FILE[,ro][,overlay=FILE][,snapshot]; the last three exclude each other."""
    path, *settings = text.split(",")
    if not path:
        raise UsageError(f"disk {text!r}: write FILE, then ,ro or ,overlay=FILE or ,snapshot if wanted")
    if len(settings) > 1:
        raise UsageError(f"disk {path}: {' and '.join(settings)} exclude each other; give one of them")
    setting, equals, overlay = settings[0].partition("=") if settings else ("", "", "")
    if settings and (setting not in ("ro", "overlay", "snapshot") or (setting == "overlay") != bool(overlay)):
        raise UsageError(f"disk {path}: {settings[0]!r} is no setting: write ro, overlay=FILE or snapshot")
    if equals and setting != "overlay":
        raise UsageError(f"disk {path}: {setting} takes no value")
    return DiskSpec(
        path=Path(path),
        read_only=setting == "ro",
        overlay=Path(overlay) if overlay else None,
        snapshot=setting == "snapshot",
    )


def parse_module(text: str) -> tuple[Path, str]:
    """FILE[,ARGUMENTS] of a multiboot module."""
    path, _, arguments = text.partition(",")
    if not path:
        raise UsageError(f"module {text!r}: write FILE or FILE,ARGUMENTS")
    return Path(path), arguments


def parse_serial(text: str) -> SerialSpec:
    """stdio, pty, null, file:PATH or unix:PATH."""
    kind, colon, path = text.partition(":")
    takes_path = kind in ("file", "unix")
    if kind not in SERIAL_KINDS or takes_path != bool(path) or (colon and not takes_path):
        raise UsageError(f"serial line {text!r}: write stdio, pty, null, file:PATH or unix:PATH")
    return SerialSpec(kind, Path(path) if takes_path else None)


def parse_display(text: str) -> str:
    """none, or term for the user's terminal."""
    if text not in DISPLAYS:
        raise UsageError(f"display {text!r}: write {' or '.join(DISPLAYS)}")
    return text


def parse_escape_key(text: str) -> int:
    """The console's escape key as a byte: a or ^a for Ctrl-a, a number from 1 to 31, or none (NO_ESCAPE)."""
    if text == "none":
        return NO_ESCAPE
    letter = text.removeprefix("^").lower()
    if re.fullmatch(r"[a-z]", letter):
        return ord(letter) & 0x1F
    if re.fullmatch(r"0x[0-9a-f]+|\d+", text, re.ASCII) and 1 <= int(text, 0 if text.startswith("0x") else 10) <= 31:
        return int(text, 0 if text.startswith("0x") else 10)
    raise UsageError(f"escape key {text!r}: write a letter for Ctrl-letter, a code from 1 to 31, or none")


# Machine files: TOML, one table, no key required.


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise UsageError("must be a string")
    return value


def _memory(value: Any) -> int:
    return value * MIB if isinstance(value, int) and not isinstance(value, bool) else parse_size(_text(value))


def _seconds(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise UsageError("must be a number of seconds")
    return float(value)


def _serial(value: Any) -> SerialSpec:
    return parse_serial(_text(value))


def _serials(value: Any) -> tuple[SerialSpec, ...]:
    return tuple(parse_serial(text) for text in ([value] if isinstance(value, str) else _texts(value)))


def _texts(value: Any) -> list[str]:
    if not isinstance(value, list):
        raise UsageError("must be a list of strings")
    return [_text(item) for item in value]


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise UsageError("must be true or false")
    return value


def parse_switch(text: str) -> bool:
    """on or off."""
    if text not in ("on", "off"):
        raise UsageError(f"{text!r} is no switch: write on or off")
    return text == "on"


def _devices(value: Any) -> tuple[DeviceSpec, ...]:
    return tuple(parse_device(text) for text in _texts(value))


def _disks(value: Any) -> tuple[DiskSpec, ...]:
    return tuple(parse_disk(text) for text in _texts(value))


def _paths(value: Any) -> tuple[Path, ...]:
    return tuple(Path(text) for text in _texts(value))


def _modules(value: Any) -> tuple[tuple[Path, str], ...]:
    return tuple(parse_module(text) for text in _texts(value))


MACHINE_FILE_KEYS: Final[Mapping[str, Callable[[Any], Any]]] = {
    "guest": _text,
    "kernel": lambda value: Path(_text(value)),
    "initrd": lambda value: Path(_text(value)),
    "append": _text,
    "modules": _modules,
    "flat": lambda value: parse_flat(_text(value)),
    "memory": _memory,
    "engine": _text,
    "io": _text,
    "abi": lambda value: parse_names(_text(value)),
    "vmi_calls": lambda value: parse_names(_text(value)),
    "devices": _devices,
    "kvm_irqchip": _flag,
    "kvm_coalesce": _flag,
    "serial": _serials,
    "disks": _disks,
    "cdroms": _paths,
    "debugcon": _serial,
    "parallel": _serial,
    "display": lambda value: parse_display(_text(value)),
    "echr": lambda value: parse_escape_key(_text(value)),
    "timeout": _seconds,
}


def load_machine_file(path: Path) -> dict[str, Any]:
    """A TOML machine file as parsed values by key: the fields of MachineConfig, and what `hyperport run` takes.

    The keys are those of MACHINE_FILE_KEYS, each optional, with the syntax of the option of the same name; file
    names are relative to the file's own directory. Raises ConfigError for a file that cannot be read, is no TOML,
    or has an unknown key or a bad value.
    """
    try:
        with path.open("rb") as file:
            table = tomllib.load(file)
    except OSError as error:
        raise ConfigError(f"machine file {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"machine file {path} is no TOML: {error}") from error
    unknown = sorted(set(table) - set(MACHINE_FILE_KEYS))
    if unknown:
        raise ConfigError(f"machine file {path}: unknown key {unknown[0]}; known: {', '.join(MACHINE_FILE_KEYS)}")
    values: dict[str, Any] = {}
    for key, value in table.items():
        try:
            values[key] = _relative_to(path.parent, MACHINE_FILE_KEYS[key](value))
        except UsageError as error:
            raise ConfigError(f"machine file {path}: {key}: {error}") from error
    return values


def _relative_to(directory: Path, value: Any) -> Any:
    """The same value with every file name in it taken from directory."""
    match value:
        case Path():
            return directory / value
        case DeviceSpec(path=path, class_name=name, base=base, irq=irq, options=options):
            return DeviceSpec(path=directory / path, class_name=name, base=base, irq=irq, options=options)
        case DiskSpec(path=path, read_only=read_only, overlay=overlay, snapshot=snapshot):
            beside = None if overlay is None else directory / overlay
            return DiskSpec(path=directory / path, read_only=read_only, overlay=beside, snapshot=snapshot)
        case tuple():
            return tuple(_relative_to(directory, item) for item in value)
        case SerialSpec(kind=kind, path=Path() as path):
            return SerialSpec(kind, directory / path)
    return value
