# SPDX-License-Identifier: GPL-2.0-or-later
"""The state of a whole machine as one record: what is in it, in which order it is checked, and how it is taken back.

Everything is checked before anything is changed. The record has plain values; the contents of memory, and of disks that
no file of the host's keeps, are streams beside it (state_file.py). docs/tour.md, "The life of a save", follows one.

    format, version     of the record
    machine             the options that the machine was built with, to build its like
    cpu, clock          the vCPU; time since power-on, and of the day
    memory              size, and which pages are not all zeros
    map                 the regions over it: saved_map.py
    devices, parts      each device on the bus by name; what is state and has no ports
    host                the ends of serial lines, printer and keyboard: input that waits, and what was said of a panic
    disks               of each drive: the files, whether they are as they were, and what only this machine had
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Final, Protocol

from hyperport.boot.options import OPTIONS as BOOT
from hyperport.bus.python_device import PythonDevice
from hyperport.cpu.record import cpu_record, cpu_state
from hyperport.errors import ConfigError, EngineError, StateError
from hyperport.host.disk import SECTOR_BYTES
from hyperport.host.specs import DiskSpec, FloppySpec, NetSpec
from hyperport.machine.config import MachineConfig
from hyperport.machine.plugins import DeviceSpec
from hyperport.machine.saved_map import check_map, clear_own, places_now, save_map, saved_contents, saved_places
from hyperport.machine.sections import check_each, fields, placed, run_list
from hyperport.machine.state_file import Stream
from hyperport.time.clock import Clock, RealClock, VirtualClock
from hyperport.time.insn_clock import InsnClock
from hyperport.time.options import ClockSpec

Machine = Any  # of machine.py, which needs this file

FORMAT: Final = "hyperport machine"
VERSION: Final = 2
SECTIONS: Final = (
    "format", "version", "machine", "cpu", "clock", "memory", "map", "devices", "parts", "host", "disks",
)  # fmt: skip
PAGE: Final = 4096
SPECS: Final = {kind.__name__: kind for kind in (DiskSpec, FloppySpec, NetSpec, DeviceSpec, ClockSpec)}
KIND: Final = "is a"  # the key that tells what a dict of the machine's options stands for
CLOCKS: Final[dict[str, Callable[[], Clock]]] = {kind.kind: kind for kind in (RealClock, VirtualClock, InsnClock)}
LOADED: Final = frozenset(row.word for row in BOOT)  # what was loaded at power-on is in memory now
WITHOUT_CALLS: Final = ("exit", "trap")  # paths that a machine may change between


# What is in the record.


def save_state(machine: Machine) -> tuple[dict[str, Any], list[Stream]]:
    """The record and its streams, of a machine that is held. Raises StateError for what cannot be saved."""
    dead = getattr(machine.engine, "dead", None)
    if dead is not None:
        raise StateError(f"the CPU engine cannot go on, so there is nothing to save: {dead}")
    if getattr(machine.engine, "irqchip", False):
        raise StateError("the kernel has the interrupt controllers and the timer: run without --kvm-irqchip to save")
    machine.flush_output()
    runs = machine.memory.pages()
    streams = [Stream("memory", PAGE, runs, lambda page, count: machine.memory.read(page * PAGE, count * PAGE))]
    regions, contents = save_map(machine.memory.map)
    streams += contents
    disks = {}
    for place, image in machine.drives.images.items():
        image.sync()
        own = image.own_runs()
        streams += [Stream(place, SECTOR_BYTES, own, image.read_sectors)] if own else []
        disks[place] = {
            "path": str(Path(machine.drives.paths[place]).absolute()),
            "sectors": image.sectors,
            "stamps": [list(stamp) for stamp in image.stamps()],
            "own": [list(run) for run in own],
        }
    record = {
        "format": FORMAT,
        "version": VERSION,
        "machine": _options(machine),
        "cpu": cpu_record(machine.engine.state()),
        "clock": machine.clock.save(),
        "memory": {"size": machine.memory.size, "pages": [list(run) for run in runs]},
        "map": regions,
        "devices": machine.save_devices(),
        "parts": {name: part.save() for name, part in machine.board.parts.items()},
        "host": {name: end.save() for name, end in _ends(machine).items()},
        "disks": disks,
    }
    return record, streams


def _ends(machine: Machine) -> dict[str, Any]:
    """The host's ends that hold something, by name."""
    return {
        **{f"serial{number}": backend for number, backend in enumerate(machine.host.serials, 1)},
        "debugcon": machine.host.debugcon,
        **({} if machine.host.parallel is None else {"parallel": machine.host.parallel}),
        "keyboard": machine.keys.ring,
    }


def _options(machine: Machine) -> dict[str, Any]:
    options = {
        word: _plain(getattr(machine.config, word)) for word in MachineConfig.__dataclass_fields__ if word not in LOADED
    }
    laid_in = {"cdroms": [*machine.drives.cdroms.values()], "floppies": machine.drives.floppies_now()}
    return options | {word: _plain(media) for word, media in laid_in.items()} | {"engine": machine.engine.name}


def _plain(value: Any) -> Any:
    """An option's value as a file can hold it. File names become absolute."""
    if isinstance(value, ClockSpec):
        return {KIND: "ClockSpec", **value._asdict()}
    if isinstance(value, Path):
        return {KIND: "Path", "name": str(value.absolute())}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        named = {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
        return {KIND: type(value).__name__, **named}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return {key: _plain(item) for key, item in value.items()} if isinstance(value, dict) else value


def _value(plain: Any) -> Any:
    """The other way round. Raises StateError."""
    if isinstance(plain, list):
        return tuple(_value(item) for item in plain)
    if not isinstance(plain, dict):
        return plain
    given = {key: _value(item) for key, item in plain.items() if key != KIND}
    kind = plain.get(KIND)
    if kind is None:
        return given
    try:
        return Path(given["name"]) if kind == "Path" else SPECS[kind](**given)
    except (KeyError, TypeError, ValueError, ConfigError) as error:
        raise StateError(f"machine: an option is no {kind!r} ({type(error).__name__})") from None


def saved_options(record: dict[str, Any]) -> dict[str, Any]:
    """What the machine was built with, by word, to build its like. Raises StateError."""
    _require_sections(record)
    options = record["machine"]
    known = set(MachineConfig.__dataclass_fields__) - LOADED
    if not isinstance(options, dict) or not set(options) <= known:
        raise StateError("machine: the saved machine has options that this hyperport does not know")
    found = {word: _value(plain) for word, plain in options.items()}
    return {word: value for word, value in found.items() if value is not None}


def saved_ends(record: dict[str, Any]) -> tuple[tuple[NetSpec, ...], int]:
    """The network cards of a saved machine, and how many serial lines it has. Raises StateError."""
    net = saved_options(record).get("net", ())
    if not isinstance(net, tuple) or not all(isinstance(spec, NetSpec) for spec in net):
        raise StateError("machine: its network cards are none")
    ends = record["host"] if isinstance(record["host"], dict) else {}
    return net, sum(f"serial{number}" in ends for number in range(1, 5))


def clock_like(record: Any) -> Clock:
    """A clock of the kind that was saved. Raises StateError."""
    kind = record.get("kind") if isinstance(record, dict) else None
    if not isinstance(kind, str) or kind not in CLOCKS:
        raise StateError(f"clock: this hyperport has no clock {kind!r:.30}")
    if kind == InsnClock.kind:
        ns = record.get("ns")
        if not isinstance(ns, int):
            raise StateError("clock: field ns is no number")
        return InsnClock(ns)
    return CLOCKS[kind]()


# Taking it back.


class Contents(Protocol):
    """Where the contents of streams come from: a StateFile, or what a test has in memory."""

    def contents(self, sizes: list[int]) -> list[list[bytes]]:
        """The chunks of streams of these sizes in bytes. Raises StateError."""


def load_state(machine: Machine, record: Any, contents: Contents) -> None:
    """Let the machine, the like of the saved one, go on from there. Raises StateError before any change."""
    check_state(machine, record)
    disks = {place: run_list(disk["own"], place, disk["sectors"]) for place, disk in record["disks"].items()}
    images = machine.drives.images
    streams = [  # as save_state() makes them: runs, bytes of a unit, where a piece goes
        (run_list(record["memory"]["pages"], "memory", machine.memory.size // PAGE), PAGE, machine.memory.write),
        *((pages, PAGE, region.write) for region, pages in saved_contents(machine.memory.map, record["map"])),
        *((disks[place], SECTOR_BYTES, partial(_write_disk, images[place])) for place in images if disks[place]),
    ]
    chunks = contents.contents([sum(count for _, count in runs) * unit for runs, unit, _ in streams])
    _load_what_may_refuse(machine, record)
    machine.memory.clear()
    clear_own(machine.memory.map)
    for place, image in images.items():
        image.replace_own(disks[place])
    for (runs, unit, write), stream in zip(streams, chunks, strict=True):
        for at, data in placed(runs, unit, stream):
            write(at, data)
    for end in _ends(machine).values():  # a chip that is loaded would take what waits there
        end.drop_input()
    controller: Any = getattr(machine.controller, "chip", None)  # last: it has the levels and edges of all lines
    devices = [
        (name, device) for name, device in machine.named_devices().items() if not isinstance(device, PythonDevice)
    ]
    for name, device in sorted(devices, key=lambda item: item[1] is controller):
        device.load(record["devices"][name])
    for name, part in machine.board.parts.items():
        part.load(record["parts"][name])
    for name, end in _ends(machine).items():
        end.load(record["host"][name])
    machine.memory.map.place(saved_places(machine.memory.map, record["map"]))  # whatever devices have done meanwhile


def _write_disk(image: Any, at: int, data: bytes) -> None:
    image.write_sectors(at // SECTOR_BYTES, data)


def _load_what_may_refuse(machine: Machine, record: dict[str, Any]) -> None:
    """An engine may refuse a vCPU's state, a device in Python its record: they come first, and a refusal is undone."""
    regions = machine.memory.map
    undo: list[tuple[Any, Any]] = [
        (regions.place, places_now(regions))
    ]  # last: devices in Python may have moved theirs
    controller: Any = getattr(machine.controller, "chip", None)
    if controller is not None:  # undone last: the lines of devices in Python lead to it
        undo.append((controller.load, controller.save()))
    try:
        undo.append((machine.clock.load, machine.clock.save()))
        machine.clock.load(record["clock"])  # before the vCPU, whose time-stamp counter may be made of it
        undo.append((machine.engine.set_state, machine.engine.state()))
        machine.engine.set_state(cpu_state(record["cpu"]))
        regions.place(saved_places(regions, record["map"]))  # before devices, which so find their windows as they were
        for name, device in machine.named_devices().items():
            if isinstance(device, PythonDevice):
                undo.append((device.load, device.save()))
                device.load(record["devices"][name])
    except (StateError, EngineError) as error:
        for load, kept in (undo[0], *reversed(undo)):
            load(kept)
        raise StateError(f"the machine is as it was: {error}") from error


def check_state(machine: Machine, record: Any) -> None:
    """Raise StateError unless the machine can take this record; change nothing."""
    _require_sections(record)
    if getattr(machine.engine, "irqchip", False):
        raise StateError("the kernel has the interrupt controllers and the timer: run without --kvm-irqchip to restore")
    _check_options(machine, saved_options(record))
    cpu_state(record["cpu"])
    machine.clock.check(record["clock"])
    memory = fields(record["memory"], "memory", {"size", "pages"})
    if memory["size"] != machine.memory.size or isinstance(memory["size"], bool):
        raise StateError(f"memory: the saved machine has {memory['size']!r:.30} bytes, this one {machine.memory.size}")
    run_list(memory["pages"], "memory", machine.memory.size // PAGE)
    check_map(machine.memory.map, record["map"])
    check_each(machine.named_devices(), record["devices"], "devices")
    check_each(machine.board.parts, record["parts"], "parts")
    check_each(_ends(machine), record["host"], "ends of lines")
    _check_disks(machine, record["disks"])


def _require_sections(record: Any) -> None:
    if not isinstance(record, dict) or record.get("format") != FORMAT:
        raise StateError("the record is not one of a whole machine")
    if record.get("version") != VERSION:
        raise StateError(f"the record has version {record.get('version')!r:.20}, and this hyperport takes {VERSION}")
    fields(record, "machine", set(SECTIONS))


def _check_options(machine: Machine, saved: dict[str, Any]) -> None:
    """Whether what the guest was told of its machine still holds."""
    config = machine.config
    if (saved.get("io"), config.io) not in [(a, b) for a in WITHOUT_CALLS for b in WITHOUT_CALLS]:
        for word in ("io", "abi", "vmi_calls"):
            if saved.get(word) != getattr(config, word):
                raise StateError(f"{word}: the saved machine has {saved.get(word)}, this one {getattr(config, word)}")


def _check_disks(machine: Machine, records: Any) -> None:
    if not isinstance(records, dict) or (wrong := set(machine.drives.images) ^ set(records)):
        told = ", ".join(sorted(map(str, wrong))) if isinstance(records, dict) else "none"
        raise StateError(f"the saved machine has other disks ({told}): load it into its like")
    for place, image in machine.drives.images.items():
        disk = fields(records[place], place, {"path", "sectors", "stamps", "own"})
        if disk["sectors"] != image.sectors or isinstance(disk["sectors"], bool):
            raise StateError(
                f"{place}: the saved machine's disk has {disk['sectors']!r:.30} sectors, not {image.sectors}"
            )
        stamps = [list(stamp) for stamp in image.stamps()]
        if disk["stamps"] != stamps:
            raise StateError(
                f"{place}: {disk['path']!r:.200} has changed since the machine was saved, so what the guest knows of "
                "it is wrong now; restore it from a copy"
            )
        if run_list(disk["own"], place, image.sectors) and getattr(image, "durable", True):
            raise StateError(f"{place}: the saved machine threw its writes away (snapshot), and this one does not")
