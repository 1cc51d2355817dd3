# SPDX-License-Identifier: GPL-2.0-or-later
"""Wherever the Python API takes a file name, a str and a Path are the same. CALLS has a row for every such place."""

from __future__ import annotations

import importlib
import inspect
import os
import pkgutil
import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, BinaryIO

import pytest

import hyperport
from hyperport import DeviceSpec, DiskSpec, GuestMemory, Machine, MachineConfig, NetSpec
from hyperport.boot import flat, layout, linux, loader, multiboot
from hyperport.boot.firmware import read_firmware
from hyperport.boot.image import recognise
from hyperport.bus.port_bus import PortBus
from hyperport.cli.machine_file import load_machine_file
from hyperport.cli.options import VERBS
from hyperport.devices.host_parport import HostParport
from hyperport.errors import ConfigError, FetchError
from hyperport.guests import toolchain
from hyperport.guests.registry import fetch, locate, read_manifest
from hyperport.host import channel, disk_image, files, nbd, pcap, unix_channel, unix_socket
from hyperport.host.fat12 import image_of
from hyperport.host.floppy_image import open_floppy
from hyperport.host.specs import FloppySpec, PassthroughSpec, SerialSpec
from hyperport.host.tty_channel import TtyChannel
from hyperport.machine.drives import Drives
from hyperport.machine.plugins import load_device_class
from hyperport.observe import stats
from hyperport.observe.audit import read_allow_list
from hyperport.observe.coverage import Coverage
from hyperport.observe.saved_run import load_run
from hyperport.observe.symbols import load_symbols
from hyperport.observe.trace import PortTrace, Trace, TraceSpec
from hyperport.ui.console import open_channel

from .boot.images import bzimage

Name = Callable[[str], Any]  # a file's name -> how it is given: as a Path, or as a str
PROGRAM = "int main(const char *line) { (void)line; return 0; }\n"
DEVICE = "class Latch:\n    def read(self, offset, size):\n        return 1\n"


def config(**fields: Any) -> Any:
    return MachineConfig(**fields)


def closed(thing: Any) -> bool:
    thing.close()
    return True


def written(write: Callable[[], None]) -> bytes:
    write()
    return Path("out").read_bytes()


def put(whole: AbstractContextManager[BinaryIO]) -> None:
    with whole as file:
        file.write(b"x")


def opened(give: Name) -> bytes:
    with layout.open_regular(give("flat"), "image") as file:
        return file.read()


def drives(give: Name) -> list[str]:
    made = Drives([DiskSpec(path=give("disk"), snapshot=True)], [give("disk")])
    made.close()
    return sorted(made.images)


def machine(give: Name) -> Any:
    with Machine(kernel=give("flat"), flat="0x8000,real", disks=[give("disk")], engine="scripted", memory="2M") as made:
        return made.config


def listening(give: Name) -> tuple[int, bool]:
    with unix_socket.listen(give("socket"), "test") as listener:
        found = listener.family, unix_socket.identity(give("socket")) is not None
    os.unlink("socket")  # noqa: PTH108 - either kind of name
    return found


def changed_floppy(give: Name) -> list[str]:
    made = Drives(floppies=[FloppySpec(path=None)])
    made.change_floppy("fda", give("flat"))
    made.close()
    return sorted(made.images)


def covered(give: Name) -> int:
    with Machine(kernel=give("elf"), engine="unicorn") as machine:
        return len(Coverage(machine, [give("elf")]).symbols)


def not_there(call: Callable[[], object]) -> str:
    with pytest.raises(ConfigError) as caught:
        call()
    return str(caught.value)


def refused_disk(call: Callable[[], object]) -> bool:
    with pytest.raises(ConfigError) as caught:
        call()
    return "flat" in str(caught.value)


def refused(call: Callable[[], object]) -> str:
    with pytest.raises(FetchError) as caught:
        call()
    return str(caught.value)


def memory() -> GuestMemory:
    return GuestMemory(16 << 20)


# What is called or made: (its name, a call with the names that give() makes). Results are compared.
def traced(name: Path | str) -> bool:
    with Machine() as machine:
        Trace(machine, name).close()
    return Path("out").read_bytes().startswith(b"hpTB")


CALLS: dict[str, Callable[[Name], Any]] = {
    "MachineConfig.kernel": lambda give: config(kernel=give("flat")),
    "MachineConfig.initrd": lambda give: config(initrd=give("flat")),
    "MachineConfig.modules": lambda give: config(modules=[(give("flat"), "a b")]),
    "MachineConfig.disks": lambda give: config(disks=[give("disk")]),
    "MachineConfig.cdroms": lambda give: config(cdroms=[give("disk")]),
    "MachineConfig, one alone": lambda give: config(cdroms=give("disk"), disks=give("disk")),
    "MachineConfig.floppies": lambda give: config(floppies=[give("flat")]),
    "FloppySpec.path": lambda give: FloppySpec(path=give("flat")),
    "open_floppy": lambda give: closed(open_floppy(FloppySpec(path=give("flat")))[0]),
    "change_floppy": changed_floppy,
    "image_of": lambda give: image_of(give("guest")),
    "load_symbols": lambda give: len(load_symbols([give("map")], give("elf")).told(0x100)),  # type: ignore[union-attr]
    "TraceSpec": lambda give: Path(TraceSpec(give("out")).path),
    "PortTrace": lambda give: written(lambda: PortTrace(PortBus(), give("out")).close()),
    "Trace": lambda give: traced(give("out")),
    "is_nbd": lambda give: nbd.is_nbd(give("flat")),
    "open_qcow2": lambda give: refused_disk(lambda: nbd.open_qcow2(give("flat"), read_only=True)),
    "Machine": machine,
    "DiskSpec.path, overlay": lambda give: DiskSpec(path=give("disk"), overlay=give("over")),
    "DeviceSpec.path": lambda give: DeviceSpec(path=give("device.py"), class_name="Latch", base=1),
    "NetSpec.pcap, target": lambda give: NetSpec(kind="listen", target=give("socket"), pcap=give("pcap")),
    "SerialSpec.path": lambda give: SerialSpec("file", give("out")),
    "PassthroughSpec": lambda give: PassthroughSpec(
        first=1, last=1, uio=give("flat"), via=give("flat"), path=give("flat")
    ),
    "HostParport": lambda give: not_there(lambda: HostParport(give("flat"))),
    "TtyChannel": lambda give: not_there(lambda: TtyChannel(give("flat"))),
    "recognise": lambda give: recognise(give("bzimage")),
    "read_firmware": lambda give: read_firmware(give("bios"), give("vgabios")),
    "load_run": lambda give: load_run(give("stats")),
    "read_allow_list": lambda give: read_allow_list(give("allowed")),
    "Coverage": covered,
    "Drives": drives,
    "load_device_class": lambda give: load_device_class(give("device.py"), "Latch").__name__,
    "load_machine_file": lambda give: load_machine_file(give("machine.toml")),
    "load": lambda give: loader.load(memory(), give("flat"), flat=(0x8000, "real")),
    "load, with an initrd": lambda give: loader.load(memory(), give("bzimage"), initrd=give("flat")),
    "load_flat": lambda give: flat.load_flat(memory(), give("flat"), address=0x8000, mode="real"),
    "load_linux": lambda give: linux.load_linux(memory(), give("bzimage"), initrd=give("flat")),
    "load_multiboot": lambda give: multiboot.load_multiboot(memory(), give("elf"), modules=[(give("flat"), "")]),
    "put_initrd": lambda give: linux.load_linux(memory(), give("bzimage"), initrd=give("flat")),
    "put_modules": lambda give: multiboot.load_multiboot(memory(), give("elf"), modules=[(give("flat"), "x")]),
    "open_regular": opened,
    "command_line": lambda give: multiboot.command_line(give("folder/a b"), "c"),
    "read_file": lambda give: layout.read_file(give("flat"), "image", 1 << 20),
    "open_cdrom": lambda give: closed(disk_image.open_cdrom(give("disk"))),
    "open_disk": lambda give: closed(disk_image.open_disk(DiskSpec(path=give("disk"), read_only=True))),
    "open_channel": lambda give: closed(open_channel(SerialSpec("file", give("out")))),
    "FileChannel": lambda give: closed(channel.FileChannel(give("out"))),
    "UnixChannel": lambda give: closed(unix_channel.UnixChannel(give("socket"))),
    "listen": listening,
    "identity": lambda give: unix_socket.identity(give("flat")) is not None,
    "PcapWriter": lambda give: (pcap.PcapWriter(give("pcap")).close(), Path("pcap").read_bytes()[:4]),
    "write_whole": lambda give: written(lambda: files.write_whole(give("out"), b"x")),
    "whole_file": lambda give: written(lambda: put(files.whole_file(give("out")))),
    "open_to_read": lambda give: closed(files.open_to_read(give("flat"))),
    "write_statistics": lambda give: written(lambda: stats.write_statistics(give("out"), {"a": 1})),
    "check_destination": lambda give: files.check_destination(give("out")),
    "fetch": lambda give: refused(lambda: fetch("memtest", debs=give("guest"))),
    "read_manifest": lambda give: read_manifest(give("guest")),
    "link_program": lambda give: toolchain.link_program([give("main.c")], give("out.elf"), include=[give(".")]).name,
}
# Not for users: an option's own callbacks, which always get a Path, and what a fetched guest is told as.
INTERNAL = {"grub_multiboot", "write_iso"}  # recipes of the gallery
INTERNAL |= {"first_bytes", "write_folder"}  # of what open_disk(), open_floppy() and open_cdrom() were given
INTERNAL |= {"beside", "class_names", "FetchedGuest", "Option", "remove"}
INTERNAL |= {
    "SavedMachine",
    "StateFile",
    "write_state",
    "Request",
    "busy_machine",
    "fuzz_files",
    "fuzz_restores",
}  # of Machine.save()


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("flat").write_bytes(b"\xf4" * 512)
    Path("disk").write_bytes(bytes(4096))
    Path("device.py").write_text(DEVICE)
    Path("machine.toml").write_text('kernel = "flat"\n')
    Path("guest").mkdir()
    Path("guest/manifest.json").write_text('{"name": "a", "versions": {}}')
    Path("main.c").write_text(PROGRAM)
    Path("bzimage").write_bytes(bzimage())
    Path("bios").write_bytes(bytes(1 << 16))
    Path("vgabios").write_bytes(b"\x55\xaa" + bytes(510))
    Path("stats").write_text('{"engine": "unicorn", "io": "exit", "cpu_s": 1, "ports": []}')
    Path("allowed").write_text("# hyperport allow-list 1\n")
    Path("map").write_text("00000100 T start\n")
    Path("elf").write_bytes(locate("echo").kernel.read_bytes())
    return tmp_path


@pytest.mark.parametrize("name", CALLS)
def test_a_str_and_a_path_are_the_same(name: str) -> None:
    as_path, as_text = (CALLS[name](kind) for kind in (Path, str))
    assert as_path == as_text


FETCHING = (
    "__main__",
    "cli.fetch",
    "guests.apt",
    "guests.deb_folder",
    "guests.recipes",
    "guests.initramfs",
)  # these have no API


def functions() -> Iterator[tuple[str, inspect.Parameter]]:
    """Every public function and class of the package in Python, with each parameter that is a file name."""
    for found in pkgutil.walk_packages(hyperport.__path__, "hyperport."):
        if found.name.endswith(FETCHING):
            continue
        module = importlib.import_module(found.name)
        if not str(module.__file__).endswith(".py"):
            continue
        for name, thing in vars(module).items():
            if getattr(thing, "__module__", None) != found.name or name.startswith("_"):
                continue
            error = isinstance(thing, type) and issubclass(thing, BaseException)
            if not callable(thing) or error or name in INTERNAL:
                continue
            for parameter in inspect.signature(thing).parameters.values():
                if re.search(r"\bPath\b", str(parameter.annotation)):
                    yield name, parameter


def test_every_public_place_for_a_file_name_has_its_row() -> None:
    told = " ".join(CALLS)
    found = {(name, parameter.name): str(parameter.annotation) for name, parameter in functions()}
    assert ("load_linux", "kernel") in found
    assert [place for place in found if place[0] not in told] == []
    records = [place for place, kind in found.items() if "str" not in kind]  # these make a Path of what they are given
    specs = {"DeviceSpec", "DiskSpec", "FloppySpec", "NetSpec", "PassthroughSpec", "SerialSpec"}
    assert {name for name, _ in records} <= specs


def test_every_option_with_a_file_takes_both() -> None:
    for row in VERBS["run"].rows():
        if row.of_machine and row.metavar.startswith("FILE") and row.word != "devices":
            names = ["a.bin", Path("a.bin")]
            values = [row.from_python([name] if row.many else name) for name in names]
            assert values[0] == values[1], row.name
