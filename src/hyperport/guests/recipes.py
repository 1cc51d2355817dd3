# SPDX-License-Identifier: GPL-2.0-or-later
"""How the known guests are put together from Debian's packages: each recipe fills an empty directory."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hyperport.errors import FetchError
from hyperport.guests import initramfs
from hyperport.guests.apt import Apt, Progress, members, read_member

KERNEL: Final = "vmlinuz"
INITRAMFS: Final = "initramfs.cpio"
MEMTEST: Final = "memtest86+ia32.bin"
FORMAT: Final = "1"  # raise it when a recipe puts other files together from the same packages

# Kernel modules that /init loads, by name; what they need comes along.
MODULES: Final[tuple[str, ...]] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """What a recipe would fetch now. versions: package -> version; whatever changes the result is among them."""

    versions: dict[str, str]
    make: Callable[[Path, Progress], None]


Recipe = Callable[[Apt], Plan]


def debian(flavour: str, modules: Sequence[str] = MODULES) -> Recipe:
    """Debian's kernel of a flavour (686, 686-pae) with busybox in an initramfs."""

    def plan(apt: Apt) -> Plan:
        image = real_image(apt.dependencies(f"linux-image-{flavour}"), flavour)
        names = (image, "busybox-static")
        versions = {name: apt.show(name)["version"] for name in names}
        contents = "\n".join((FORMAT, initramfs.INIT, *modules))
        versions["initramfs"] = hashlib.sha256(contents.encode()).hexdigest()[:16]

        def make(directory: Path, progress: Progress) -> None:
            with tempfile.TemporaryDirectory(dir=directory) as temporary:
                kernel, busybox = (download(apt, name, Path(temporary), progress) for name in names)
                progress(f"making {INITRAMFS}")
                release = image.removeprefix("linux-image-")
                (directory / KERNEL).write_bytes(read_member(kernel, f"boot/vmlinuz-{release}").data)
                program = read_busybox(busybox)
                (directory / INITRAMFS).write_bytes(initramfs.build(program, read_modules(kernel, modules)))

        return Plan(versions, make)

    return plan


def memtest(apt: Apt) -> Plan:
    """Memtest86+ for i386, in the form that the Linux boot protocol loads."""
    versions = {"memtest86+": apt.show("memtest86+")["version"]}

    def make(directory: Path, progress: Progress) -> None:
        with tempfile.TemporaryDirectory(dir=directory) as temporary:
            package = download(apt, "memtest86+", Path(temporary), progress)
            (directory / MEMTEST).write_bytes(read_member(package, f"boot/{MEMTEST}").data)

    return Plan(versions, make)


def real_image(dependencies: Sequence[str], flavour: str) -> str:
    """The package with the kernel in it, among those that the metapackage of a flavour depends on."""
    for name in dependencies:
        if name.startswith("linux-image-") and name.endswith(f"-{flavour}"):
            return name
    raise FetchError(f"linux-image-{flavour}: depends on no kernel of that flavour; a newer hyperport is needed")


def download(apt: Apt, package: str, directory: Path, progress: Progress) -> Path:
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


def read_modules(package: Path, wanted: Sequence[str]) -> list[tuple[str, bytes]]:
    """(file name, content) of the wanted modules and all that they need, in the order to load them.

    The package has no modules.dep (depmod makes it on installation), so each module's own list is read.
    """
    if not wanted:
        return []
    index: dict[str, initramfs.Module] = {}
    builtin: list[str] = []
    for member in members(package, lambda path: ".ko" in path or path.endswith("/modules.builtin")):
        if member.path.endswith("/modules.builtin"):
            builtin = [initramfs.module_name(line) for line in member.data.decode().split()]
        else:
            data = initramfs.module_content(member.path, member.data)
            name = initramfs.module_name(member.path)
            index[name] = initramfs.Module(member.path, initramfs.module_depends(data))
    order = [module.path for module in initramfs.load_order(wanted, index, builtin)]
    contents = {
        member.path: initramfs.module_content(member.path, member.data)
        for member in members(package, set(order).__contains__)
    }
    return [(initramfs.module_name(path) + ".ko", contents[path]) for path in order]
