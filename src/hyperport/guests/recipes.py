# SPDX-License-Identifier: GPL-2.0-or-later
"""How the known guests are put together from Debian's packages: each recipe fills an empty directory."""

from __future__ import annotations

import hashlib
import re
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Final

from hyperport.errors import FetchError
from hyperport.guests import initramfs
from hyperport.guests.apt import Packages, Progress, dependency_names, members, read_member
from hyperport.guests.names import BIOS, INITRAMFS, KERNEL, MEMTEST, STAMP, VGA_BIOS

FORMAT: Final = "2"  # raise it when a recipe puts other files together from the same packages

# Kernel modules that the guest can load, by a word for hp.modules= on the kernel's command line, or for `load` in its
# shell. A module is written as for modprobe: its name and parameters. What it needs comes along and is loaded first.
MODULE_SETS: Final[Mapping[str, tuple[str, ...]]] = {
    "disk": (
        "sd_mod",
        "sr_mod",
        "isofs",
        "crc32c_generic",  # of ext4's checksums, which asks for it by modprobe only
        "ext4",
        "pata_legacy all=1 probe_mask=3",  # all: PCI or not; the mask: the two channels of a PC
    ),
    "floppy": ("floppy", "vfat", "nls_cp437", "nls_ascii"),  # the last two: vfat asks for them by modprobe only
    "mouse": ("psmouse", "mousedev", "evdev"),
    "parallel": ("parport_pc io=0x378 irq=7", "lp"),
    "speaker": ("pcspkr",),
    "net": ("ne io=0x300 irq=9",),
}


@dataclass(frozen=True, slots=True)
class Tool:
    """A file of a package for the guest. path is a pattern; place is where it goes, a folder if it ends in "/".

    A shared library is stored under its soname. In Debian 13 packages have a suffix of t64, and paths begin with usr/.
    """

    package: str
    path: str
    place: str


# Programs besides busybox, and their libraries. mkfs.ext4 is mke2fs(8) by another name: busybox has a mke2fs too.
TOOLS: Final[tuple[Tool, ...]] = (
    Tool("e2fsprogs", "sbin/mke2fs", "bin/mkfs.ext4"),
    Tool("e2fsprogs", "etc/mke2fs.conf", "etc/"),
    Tool("libext2fs2", "lib/*/libext2fs.so.*", "lib/"),
    Tool("libext2fs2", "lib/*/libe2p.so.*", "lib/"),
    Tool("libcom-err2", "lib/*/libcom_err.so.*", "lib/"),
    Tool("libblkid1", "lib/*/libblkid.so.*", "lib/"),
    Tool("libuuid1", "lib/*/libuuid.so.*", "lib/"),
    Tool("libc6", "lib/*/libc.so.*", "lib/"),
    Tool("libc6", "lib/*/ld-linux.so.*", "lib/"),
)


@dataclass(frozen=True, slots=True)
class Plan:
    """What a recipe would fetch now. versions: package -> version; whatever changes the result is among them."""

    versions: dict[str, str]
    make: Callable[[Path, Progress], None]


Recipe = Callable[[Packages], Plan]


def stamp(sets: Mapping[str, Sequence[str]] = MODULE_SETS, tools: Sequence[Tool] = TOOLS) -> str:
    """What a Debian guest is made of besides its packages, as a short checksum."""
    contents = "\n".join((FORMAT, initramfs.INIT, initramfs.LOAD, initramfs.LEASE, repr(dict(sets)), repr(tools)))
    return hashlib.sha256(contents.encode()).hexdigest()[:16]


def debian(flavour: str, sets: Mapping[str, Sequence[str]] = MODULE_SETS, tools: Sequence[Tool] = TOOLS) -> Recipe:
    """Debian's kernel of a flavour (686, 686-pae) with busybox, its modules and a few programs in an initramfs."""

    def plan(apt: Packages) -> Plan:
        image = real_image(apt.dependencies(f"linux-image-{flavour}"), flavour)
        names = (image, "busybox-static", *tool_packages(apt, tools))
        versions = {name: apt.show(name)["version"] for name in names}
        versions[STAMP] = stamp(sets, tools)

        def make(directory: Path, progress: Progress) -> None:
            with tempfile.TemporaryDirectory(dir=directory) as temporary:
                kernel, busybox, *others = (download(apt, name, Path(temporary), progress) for name in names)
                progress(f"making {INITRAMFS}")
                release = image.removeprefix("linux-image-")
                (directory / KERNEL).write_bytes(read_member(kernel, f"boot/vmlinuz-{release}").data)
                program = read_busybox(busybox)
                modules, lines = read_modules(kernel, sets)
                files = read_tools(dict(zip(dict.fromkeys(tool.package for tool in tools), others, strict=True)), tools)
                (directory / INITRAMFS).write_bytes(initramfs.build(program, modules, lines, files))

        return Plan(versions, make)

    return plan


def memtest(apt: Packages) -> Plan:
    """Memtest86+ for i386, in the form that the Linux boot protocol loads."""
    versions = {"memtest86+": apt.show("memtest86+")["version"]}

    def make(directory: Path, progress: Progress) -> None:
        with tempfile.TemporaryDirectory(dir=directory) as temporary:
            package = download(apt, "memtest86+", Path(temporary), progress)
            (directory / MEMTEST).write_bytes(read_member(package, f"boot/{MEMTEST}").data)

    return Plan(versions, make)


def firmware(apt: Packages) -> Plan:
    """SeaBIOS and its VGA BIOS for a PC without PCI, with their licence (LGPLv3)."""
    versions = {"seabios": apt.show("seabios")["version"]}

    def make(directory: Path, progress: Progress) -> None:
        with tempfile.TemporaryDirectory(dir=directory) as temporary:
            package = download(apt, "seabios", Path(temporary), progress)
            for name in (BIOS, VGA_BIOS):
                (directory / name).write_bytes(read_member(package, f"usr/share/seabios/{name}").data)
            (directory / "copyright").write_bytes(read_member(package, "usr/share/doc/seabios/copyright").data)

    return Plan(versions, make)


def real_image(dependencies: Sequence[str], flavour: str) -> str:
    """The package with the kernel in it, among those that the metapackage of a flavour depends on."""
    for name in dependencies:
        if name.startswith("linux-image-") and name.endswith(f"-{flavour}"):
            return name
    raise FetchError(f"linux-image-{flavour}: depends on no kernel of that flavour; a newer hyperport is needed")


def download(apt: Packages, package: str, directory: Path, progress: Progress) -> Path:
    """One package by apt, announced with its size."""
    fields = apt.show(package)
    size = int(fields.get("size", "0"))
    progress(f"downloading {package} {fields.get('version', '')} ({size / 1e6:.1f} MB)")
    return apt.download(package, directory)


def read_busybox(package: Path) -> bytes:
    """The static busybox program of a package, in /bin or, since Debian 13, in /usr/bin."""
    for member in members(package, lambda path: path in ("bin/busybox", "usr/bin/busybox")):
        return member.data
    raise FetchError(f"{package.name}: has no busybox in /bin or /usr/bin; a newer hyperport is needed")


def tool_packages(apt: Packages, tools: Sequence[Tool]) -> list[str]:
    """The packages of the tools by their names in this release of Debian, each once, in the table's order."""
    names = []
    needed: list[str] = []
    for package in dict.fromkeys(tool.package for tool in tools):
        name = f"{package}t64" if f"{package}t64" in needed else package
        fields = apt.show(name)
        needed += dependency_names(f"{fields.get('pre-depends', '')},{fields.get('depends', '')}")
        names.append(name)
    return names


def ends_in(pattern: str) -> Callable[[str], bool]:
    """Says of a path whether its last parts are those of the pattern."""
    return lambda path: PurePath(path).match(pattern)


def read_tools(packages: Mapping[str, Path], tools: Sequence[Tool]) -> list[initramfs.Entry]:
    """The files of the tools, from the packages by their names in the table."""
    entries = []
    for tool in tools:
        found = list(members(packages[tool.package], ends_in(tool.path)))
        if not found:
            raise FetchError(f"{packages[tool.package].name}: has no {tool.path}; a newer hyperport is needed")
        name = PurePath(found[0].path).name
        soname = re.match(r".+\.so\.\d+", name)
        place = tool.place + (soname[0] if soname else name) if tool.place.endswith("/") else tool.place
        entries.append(initramfs.regular(place, found[0].data, found[0].mode))
    return entries


def read_modules(package: Path, sets: Mapping[str, Sequence[str]]) -> tuple[dict[str, bytes], dict[str, list[str]]]:
    """Contents of all modules of the sets and of what they need, by name, and the lines of each set in loading order.

    The package has no modules.dep (depmod makes it on installation), so each module's own list is read.
    """
    if not sets:
        return {}, {}
    index: dict[str, initramfs.Module] = {}
    builtin: list[str] = []
    for member in members(package, lambda path: ".ko" in path or path.endswith("/modules.builtin")):
        if member.path.endswith("/modules.builtin"):
            builtin = [initramfs.module_name(line) for line in member.data.decode().split()]
        else:
            data = initramfs.module_content(member.path, member.data)
            name = initramfs.module_name(member.path)
            index[name] = initramfs.Module(member.path, initramfs.module_depends(data))
    lines: dict[str, list[str]] = {}
    paths: dict[str, str] = {}
    for word, wanted in sets.items():
        parameters = {initramfs.module_name(row.split(" ", 1)[0]): row.partition(" ")[2] for row in wanted}
        order = initramfs.load_order([row.split(" ", 1)[0] for row in wanted], index, builtin)
        names = [initramfs.module_name(module.path) for module in order]
        lines[word] = [f"{name} {parameters.get(name, '')}".rstrip() for name in names]
        paths |= {module.path: name for name, module in zip(names, order, strict=True)}
    contents = {
        paths[member.path]: initramfs.module_content(member.path, member.data)
        for member in members(package, paths.__contains__)
    }
    return {name: contents[name] for name in paths.values()}, lines
