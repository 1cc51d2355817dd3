# SPDX-License-Identifier: GPL-2.0-or-later
"""A small Linux root in memory: busybox, an /init, kernel modules in the order that they need each other.

The archive is a cpio of the "newc" kind (initramfs buffer format, Documentation/driver-api/early-userspace), made
the same byte for byte from the same contents.
"""

from __future__ import annotations

import lzma
import re
import stat
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final

from hyperport.errors import FetchError

READY: Final = "hyperport: guest ready"  # the line that /init prints once user space runs

MODULE_FOLDER: Final = "lib/modules"
SET_FOLDER: Final = "etc/modules"  # a file for each set: "NAME PARAMETERS", one a line, each after those that it needs
RUN: Final = "etc/run"  # a script that a second archive behind this one may bring; it runs after the READY line

# /init runs as process 1. Words of the kernel's command line that it knows:
#   hp.modules=SET,SET   load these sets of modules; `load SET` does it later
#   hp.test=reboot       reboot at once
# Busybox's shell finds its own commands through /proc/self/exe, so the first mount names busybox.
INIT: Final = f"""\
#!/bin/sh
export PATH=/bin HOME=/root
/bin/busybox mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
read -r words </proc/cmdline
for word in $words; do
    case $word in
    hp.modules=*) IFS=,; set -- ${{word#*=}}; unset IFS; load "$@" ;;
    esac
done
echo "{READY}"
[ -f /{RUN} ] && sh /{RUN}
for word in $words; do
    case $word in
    hp.test=reboot) reboot -f ;;
    esac
done
busybox --install -s /bin
cd /root
setsid cttyhack sh
reboot -f
"""

LOAD: Final = f"""\
#!/bin/sh
for set in "$@"; do
    if [ ! -f "/{SET_FOLDER}/$set" ]; then
        echo "load: no modules called $set; there are:" $(ls /{SET_FOLDER})
        continue
    fi
    while read -r module parameters; do
        [ -d "/sys/module/$module" ] || insmod "/{MODULE_FOLDER}/$module.ko" $parameters || echo "load: not $module"
    done <"/{SET_FOLDER}/$set"
done
"""


@dataclass(frozen=True, slots=True)
class Entry:
    """One file of the archive. mode holds type and permissions as st_mode does; data is content or link target."""

    path: str
    mode: int
    data: bytes = b""
    device: tuple[int, int] = (0, 0)  # major, minor of a device node


def directory(path: str) -> Entry:
    """A directory that all may enter."""
    return Entry(path, stat.S_IFDIR | 0o755)


def regular(path: str, data: bytes, permissions: int = 0o644) -> Entry:
    """A regular file."""
    return Entry(path, stat.S_IFREG | permissions, data)


def symlink(path: str, target: str) -> Entry:
    """A symbolic link."""
    return Entry(path, stat.S_IFLNK | 0o777, target.encode())


def character_device(path: str, major: int, minor: int, permissions: int = 0o600) -> Entry:
    """A node of a character device."""
    return Entry(path, stat.S_IFCHR | permissions, device=(major, minor))


def cpio(entries: Iterable[Entry]) -> bytes:
    """A newc archive: times and owners are 0, inode numbers count from 1, so equal entries give equal bytes."""
    out = bytearray()
    for inode, entry in enumerate(entries, start=1):
        _append(out, inode, entry)
    _append(out, 0, Entry("TRAILER!!!", 0))
    return bytes(out)


def _append(out: bytearray, inode: int, entry: Entry) -> None:
    name = entry.path.encode() + b"\0"
    links = 2 if stat.S_ISDIR(entry.mode) else 1
    # ino mode uid gid nlink mtime filesize devmajor devminor rdevmajor rdevminor namesize check
    fields = (inode, entry.mode, 0, 0, links, 0, len(entry.data), 0, 0, *entry.device, len(name), 0)
    out += b"070701" + b"".join(b"%08X" % value for value in fields) + name
    out += bytes(-len(out) % 4)
    out += entry.data
    out += bytes(-len(out) % 4)


@dataclass(frozen=True, slots=True)
class Module:
    """A kernel module: its file in the kernel's package and the names of the modules that it needs first."""

    path: str
    depends: tuple[str, ...]


def module_name(path: str) -> str:
    """The name that a module's file stands for; modprobe(8) takes "-" and "_" for the same."""
    return PurePosixPath(path).name.split(".ko", 1)[0].replace("-", "_")


def module_content(path: str, data: bytes) -> bytes:
    """The module itself, uncompressed."""
    if not path.endswith(".xz"):
        return data
    try:
        return lzma.decompress(data)
    except lzma.LZMAError as error:
        raise FetchError(f"{path}: not a whole xz file ({error}); fetch the guest again") from None


def module_depends(data: bytes) -> tuple[str, ...]:
    """Names after depends= in the .modinfo section, which is a row of NUL-terminated KEY=value strings."""
    match = re.search(rb"\0depends=([\w,-]*)\0", data)
    names = match[1].decode().split(",") if match else []
    return tuple(name.replace("-", "_") for name in names if name)


def load_order(wanted: Sequence[str], modules: Mapping[str, Module], builtin: Iterable[str] = ()) -> list[Module]:
    """The wanted modules and all that they need, each after what it needs.

    Names that the kernel has built in need no loading. Raises FetchError for a name that is nowhere.
    """
    present = set(builtin)
    order: dict[str, Module] = {}

    def visit(name: str, why: str) -> None:
        if name in order or name in present:
            return
        if name not in modules:
            raise FetchError(f"kernel module {name} ({why}): the kernel's package has none; take it off the list")
        present.add(name)  # before its needs: a circle ends here
        for needed in modules[name].depends:
            visit(needed, f"needed by {name}")
        order[name] = modules[name]

    for name in wanted:
        visit(name.replace("-", "_"), "wanted")
    return list(order.values())


def build(
    busybox: bytes,
    modules: Mapping[str, bytes] | None = None,
    sets: Mapping[str, Sequence[str]] | None = None,
    tools: Sequence[Entry] = (),
) -> bytes:
    """The archive. busybox is a static program; modules are contents by name.

    sets are lines "NAME PARAMETERS" by the set's word, in the order to load them; tools are files besides, in bin,
    etc or lib.
    """
    folders = ("bin", "dev", "etc", SET_FOLDER, "lib", MODULE_FOLDER, "proc", "root", "sys", "tmp")
    entries = [directory(path) for path in folders]
    entries += [
        character_device("dev/console", 5, 1),  # the kernel opens it for /init before devtmpfs is there
        character_device("dev/null", 1, 3, 0o666),
        regular("bin/busybox", busybox, 0o755),
        symlink("bin/sh", "busybox"),
        regular("bin/load", LOAD.encode(), 0o755),
        regular("init", INIT.encode(), 0o755),
    ]
    entries += [
        regular(f"{SET_FOLDER}/{word}", "".join(f"{line}\n" for line in lines).encode())
        for word, lines in (sets or {}).items()
    ]
    entries += [regular(f"{MODULE_FOLDER}/{name}.ko", data) for name, data in (modules or {}).items()]
    return cpio([*entries, *tools])
