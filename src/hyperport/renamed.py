# SPDX-License-Identifier: GPL-2.0-or-later
"""What has moved, old name -> new. The old names work for one release, with a DeprecationWarning.

A row is a module ("a.b"), or a name in a module ("a.b:name", also "a.b:Class.name" of a class in Python). Packages that
are gone need no row of their own. Nobody needs to call anything: importing hyperport puts the finder in place.
Compiled code that cimports must be changed: there are no old .pxd files.
"""

from __future__ import annotations

import sys
import warnings
from importlib import import_module
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

UNTIL: Final = "0.2"

RENAMED: Final[dict[str, str]] = {
    # modules
    "hyperport.abi.calls": "hyperport.io.hypercall",
    "hyperport.backends.char": "hyperport.host.char",
    "hyperport.backends.clock": "hyperport.time.clock",
    "hyperport.backends.console": "hyperport.ui.console",
    "hyperport.backends.disk": "hyperport.host.disk",
    "hyperport.backends.disk_image": "hyperport.host.disk_image",
    "hyperport.backends.display": "hyperport.ui.display",
    "hyperport.backends.escape": "hyperport.ui.escape",
    "hyperport.backends.ethernet": "hyperport.host.ethernet",
    "hyperport.backends.host_events": "hyperport.host.events",
    "hyperport.backends.host_signals": "hyperport.host.signals",
    "hyperport.backends.keyboard": "hyperport.ui.keyboard",
    "hyperport.backends.net": "hyperport.host.net",
    "hyperport.backends.packet": "hyperport.host.packet",
    "hyperport.backends.pcap": "hyperport.host.pcap",
    "hyperport.backends.png": "hyperport.ui.png",
    "hyperport.backends.screen": "hyperport.ui.screen",
    "hyperport.backends.terminal": "hyperport.host.terminal",
    "hyperport.backends.unix_socket": "hyperport.host.unix_socket",
    "hyperport.board": "hyperport.machine.board",
    "hyperport.bus.attention": "hyperport.lines.attention",
    "hyperport.bus.dma": "hyperport.memory.dma",
    "hyperport.bus.interrupt_controller": "hyperport.lines.interrupt_controller",
    "hyperport.bus.irq": "hyperport.lines.irq",
    "hyperport.cli.monitor": "hyperport.debug.monitor",
    "hyperport.cpu.guest_cpu": "hyperport.cpu.vcpu",
    "hyperport.cpu.string_io": "hyperport.io.strings",
    "hyperport.drives": "hyperport.machine.drives",
    "hyperport.engines.look_up": "hyperport.engines.shared.look_up",
    "hyperport.loop": "hyperport.machine.run",
    "hyperport.paths.port_path": "hyperport.io.path",
    "hyperport.paths.trap": "hyperport.io.trap",
    "hyperport.rom.image": "hyperport.abi.rom",
    # names
    "hyperport.boot:Kind": "hyperport.boot.loader:Kind",
    "hyperport.boot:detect": "hyperport.boot.loader:detect",
    "hyperport.boot:load": "hyperport.boot.loader:load",
    "hyperport.boot:load_flat": "hyperport.boot.flat:load_flat",
    "hyperport.boot:load_linux": "hyperport.boot.linux:load_linux",
    "hyperport.boot:load_multiboot": "hyperport.boot.multiboot:load_multiboot",
    "hyperport.config:CONTROL_A": "hyperport.ui.options:CONTROL_A",
    "hyperport.config:DEFAULT_ABI": "hyperport.abi.options:DEFAULT_ABI",
    "hyperport.config:DISPLAYS": "hyperport.ui.options:DISPLAYS",
    "hyperport.config:DeviceSpec": "hyperport.machine.plugins:DeviceSpec",
    "hyperport.config:DiskSpec": "hyperport.host.specs:DiskSpec",
    "hyperport.config:FLAT_MODES": "hyperport.boot.options:FLAT_MODES",
    "hyperport.config:IFNAME_MOST": "hyperport.host.specs:IFNAME_MOST",
    "hyperport.config:ISA_IRQS": "hyperport.options:ISA_IRQS",
    "hyperport.config:MACHINE_FILE_KEYS": "hyperport.cli.machine_file:MACHINE_FILE_KEYS",
    "hyperport.config:MIB": "hyperport.options:MIB",
    "hyperport.config:MachineConfig": "hyperport.machine.config:MachineConfig",
    "hyperport.config:NET_KINDS": "hyperport.host.specs:NET_KINDS",
    "hyperport.config:NET_PLACES": "hyperport.machine.board:NET_PLACES",
    "hyperport.config:NET_SETTINGS": "hyperport.host.specs:NET_SETTINGS",
    "hyperport.config:NO_ESCAPE": "hyperport.ui.options:NO_ESCAPE",
    "hyperport.config:NetSpec": "hyperport.host.specs:NetSpec",
    "hyperport.config:PORTS": "hyperport.options:PORTS",
    "hyperport.config:SERIAL_KINDS": "hyperport.host.specs:SERIAL_KINDS",
    "hyperport.config:SerialSpec": "hyperport.host.specs:SerialSpec",
    "hyperport.config:UNITS": "hyperport.options:UNITS",
    "hyperport.config:load_machine_file": "hyperport.cli.machine_file:load_machine_file",
    "hyperport.config:net_place": "hyperport.machine.board:net_place",
    "hyperport.config:parse_device": "hyperport.machine.plugins:parse_device",
    "hyperport.config:parse_disk": "hyperport.host.specs:parse_disk",
    "hyperport.config:parse_display": "hyperport.ui.options:parse_display",
    "hyperport.config:parse_escape_key": "hyperport.ui.options:parse_escape_key",
    "hyperport.config:parse_flat": "hyperport.boot.options:parse_flat",
    "hyperport.config:parse_module": "hyperport.boot.options:parse_module",
    "hyperport.config:parse_names": "hyperport.options:parse_names",
    "hyperport.config:parse_net": "hyperport.host.specs:parse_net",
    "hyperport.config:parse_number": "hyperport.options:parse_number",
    "hyperport.config:parse_serial": "hyperport.host.specs:parse_serial",
    "hyperport.config:parse_size": "hyperport.options:parse_size",
    "hyperport.config:parse_switch": "hyperport.options:parse_switch",
    "hyperport.machine:Machine": "hyperport:Machine",
    "hyperport.machine:PANIC": "hyperport.host.char:PANIC_TEXT",
    "hyperport.machine:load_device_class": "hyperport.machine.plugins:load_device_class",
    "hyperport.memory:LARGEST": "hyperport.memory.ram:LARGEST",
    "hyperport.memory:SMALLEST": "hyperport.memory.ram:SMALLEST",
    "hyperport.memory:TEXT_ADDRESS": "hyperport.memory.ram:TEXT_ADDRESS",
    "hyperport.memory:TEXT_SIZE": "hyperport.memory.ram:TEXT_SIZE",
    "hyperport.observe.stats:port_rows": "hyperport.machine.statistics:port_rows",
    "hyperport.observe.stats:run_statistics": "hyperport.machine.statistics:run_statistics",
    "hyperport.paths:PATHS": "hyperport.io:PATHS",
    "hyperport.ui.console:UnixChannel": "hyperport.host.unix_channel:UnixChannel",
}


class Finder:
    """A meta path finder for the names of a table. It looks only at modules that a row names."""

    def __init__(self, table: dict[str, str]) -> None:
        self.modules = {old: new for old, new in table.items() if ":" not in old}
        self.names: dict[str, dict[str, str]] = {}  # module -> name there -> new place
        for old, new in table.items():
            module, colon, name = old.partition(":")
            if colon:
                self.names.setdefault(module, {})[name] = new
        self.packages = {old.rpartition(".")[0] for old in self.modules} | set(self.names)

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None) -> Any:
        """A spec for a module that has moved, or has lost names; None for any other."""
        if fullname in self.modules:
            return ModuleSpec(fullname, cast("Any", _Moved(self.modules[fullname])))
        if fullname not in self.packages:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        names = self.names.get(fullname, {})
        if spec is None:
            return ModuleSpec(fullname, cast("Any", _Gone(names)), is_package=True)
        if names and spec.loader is not None:
            execute = spec.loader.exec_module

            def execute_and_add(module: ModuleType) -> None:
                execute(module)
                _add(module, names)

            setattr(spec.loader, "exec_module", execute_and_add)  # noqa: B010 - a loader made for this one import
        return spec


class _Moved:
    """Loads the module of the new name instead."""

    def __init__(self, new: str) -> None:
        self.new = new

    def create_module(self, spec: ModuleSpec) -> None:
        """An ordinary one, which is thrown away."""

    def exec_module(self, module: ModuleType) -> None:
        """Put the new module in the old one's place: import takes what stands there afterwards."""
        _warn(module.__name__, self.new, stacklevel=3)
        sys.modules[module.__name__] = import_module(self.new)


class _Gone:
    """Makes a module of which nothing is left but where its names have gone."""

    def __init__(self, names: dict[str, str]) -> None:
        self.names = names

    def create_module(self, spec: ModuleSpec) -> None:
        """An ordinary one."""

    def exec_module(self, module: ModuleType) -> None:
        """Give it the names."""
        _add(module, self.names)


def _add(module: ModuleType, names: dict[str, str]) -> None:
    """Let module find the names that it has lost, and its classes theirs."""
    for name in [name for name in names if "." in name]:
        owner, attribute = name.split(".")
        setattr(getattr(module, owner), attribute, _forward(f"{module.__name__}:{name}", names[name]))
    before: Callable[[str], Any] | None = vars(module).get("__getattr__")

    def look_up(name: str) -> Any:
        if name in names:
            _warn(f"{module.__name__}.{name}", names[name].replace(":", "."), stacklevel=3)
            new, _, attribute = names[name].partition(":")
            return getattr(import_module(new), attribute)
        if before is not None:
            return before(name)
        raise AttributeError(f"module {module.__name__!r} has no attribute {name!r}")

    vars(module)["__getattr__"] = look_up


def _forward(old: str, new: str) -> property:
    """A property that is the attribute of another name of the same object."""
    attribute = new.rpartition(".")[2]

    def read(self: Any) -> Any:
        _warn(old.replace(":", "."), new.replace(":", "."), stacklevel=3)
        return getattr(self, attribute)

    return property(read)


def _warn(old: str, new: str, stacklevel: int) -> None:
    warnings.warn(f"{old} is now {new}; the old name goes with {UNTIL}", DeprecationWarning, stacklevel)


def install(table: dict[str, str] = RENAMED) -> None:
    """Put a finder for table before the others, once."""
    if not any(isinstance(finder, Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, Finder(table))
