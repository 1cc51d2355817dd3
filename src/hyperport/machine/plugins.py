# SPDX-License-Identifier: GPL-2.0-or-later
"""Devices in plain Python from files of the user: what to load, and the class of it. machine.py attaches them."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hyperport.errors import ConfigError, UsageError
from hyperport.host.specs import settle
from hyperport.options import ISA_IRQS, PORTS, parse_number


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceSpec:
    """A device in plain Python: class class_name of the file at path, at port base, with ISA line irq (or none).

    memory: the address of its device memory. A device with memory needs no base.

    path: Path or str. options: given to the class by name, as they are.
    """

    path: Path
    class_name: str
    base: int | None = None
    irq: int | None = None
    memory: int | None = None
    options: dict[str, str] = field(default_factory=dict)

    if TYPE_CHECKING:  # for type checkers: what may be given, and not only what is kept

        def __init__(
            self,
            *,
            path: Path | str,
            class_name: str,
            base: int | None = ...,
            irq: int | None = ...,
            memory: int | None = ...,
            options: dict[str, str] = ...,
        ) -> None: ...

    def __post_init__(self) -> None:
        settle(self, "path")

    def beside(self, directory: Path) -> DeviceSpec:
        """The same with its file name taken from directory."""
        return replace(self, path=directory / self.path)


def parse_device(text: str) -> DeviceSpec:
    """path/to/file.py:Class,base=0x300[,irq=5][,memory=0xd0000][,key=value ...]; other keys go to the class."""
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
    numbers = {
        key: parse_number(options.pop(key), f"device {where}: {key}") if key in options else None
        for key in ("base", "irq", "memory")
    }
    base, irq, memory = numbers["base"], numbers["irq"], numbers["memory"]
    if base is None and memory is None:
        raise UsageError(f"device {where}: its first port is missing: add base=0x300 or another free port")
    if base is not None and base >= PORTS:
        raise UsageError(f"device {where}: base {base:#x} is outside the ports 0 to {PORTS - 1:#x}")
    if irq is not None and irq >= ISA_IRQS:
        raise UsageError(f"device {where}: irq {irq} is outside the lines 0 to {ISA_IRQS - 1}")
    if memory is not None and (memory % 4096 or memory >> 32):
        raise UsageError(f"device {where}: memory {memory:#x} must be a multiple of 4096 below 4 GiB: 0xd0000 is one")
    return DeviceSpec(path=Path(path), class_name=class_name, base=base, irq=irq, memory=memory, options=options)


def load_device_class(path: Path | str, name: str) -> type[Any]:
    """The class called name in the Python file at path. Raises ConfigError."""
    path = Path(path)
    if not path.is_file():
        raise ConfigError(f"device {path}: no such file")
    from importlib.util import module_from_spec, spec_from_file_location

    spec = spec_from_file_location(f"hyperport_device_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise ConfigError(f"device {path}: not a Python file; give FILE.py:Class")
    module = module_from_spec(spec)
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
    except SyntaxError as error:
        raise ConfigError(f"device {path}: line {error.lineno}: {error.msg}") from error
    except Exception as error:
        raise ConfigError(f"device {path}: it cannot be imported: {_told(error)}") from error
    found = getattr(module, name, None)
    if not isinstance(found, type):
        raise ConfigError(f"device {path}: it has no class {name}")
    return found


def class_names(path: Path) -> list[str]:
    """The classes that a Python file defines, without running it; none if it cannot be read."""
    import ast

    try:
        tree = ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return []
    return [node.name for node in tree.body if isinstance(node, ast.ClassDef)]


def make_device(spec: DeviceSpec) -> Any:
    """A device of the class that spec names. Raises ConfigError."""
    device_class = load_device_class(spec.path, spec.class_name)
    try:
        return device_class(**spec.options)
    except Exception as error:
        raise ConfigError(f"device {spec.path}:{spec.class_name} cannot be made: {_told(error)}") from error


def _told(error: Exception) -> str:
    """An exception of somebody else's code in one line."""
    return " ".join(f"{type(error).__name__}: {error}".split())
