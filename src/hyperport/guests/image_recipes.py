# SPDX-License-Identifier: GPL-2.0-or-later
"""How the gallery's images are put together from Debian's packages: each recipe leaves one image.

Some packages have images in them. The others are made here: of GRUB's rescue CD, with another grub.cfg and what that
starts, or with ISOLINUX.
"""

from __future__ import annotations

import shutil
import struct
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from hyperport.errors import FetchError
from hyperport.guests import initramfs, recipes
from hyperport.guests.apt import Packages, Progress, members, read_member
from hyperport.guests.iso import read_iso, write_iso
from hyperport.guests.names import CD, DISK, FLOPPY, IMAGE_FORMAT, INITRAMFS, KERNEL, STAMP
from hyperport.guests.recipes import Plan, Recipe, download

GRUB: Final = "grub-rescue-pc"
RESCUE_CD: Final = "usr/lib/grub-rescue/grub-rescue-cdrom.iso"
RESCUE_FLOPPY: Final = "usr/lib/grub-rescue/grub-rescue-floppy.img"
EL_TORITO: Final = "boot/grub/i386-pc/eltorito.img"
GRUB_CFG: Final = "boot/grub/grub.cfg"
ISOLINUX: Final = "usr/lib/ISOLINUX/isolinux.bin"
LDLINUX: Final = "usr/lib/syslinux/modules/bios/ldlinux.c32"
MEMDISK: Final = "usr/lib/syslinux/memdisk"
LKRN: Final = "boot/ipxe.lkrn"
INSTALLER: Final = "debian-installer-12-netboot-i386"
INSTALLER_FILES: Final = "usr/lib/debian-installer/images/12/i386/text/debian-installer/i386"
FLOPPY_BYTES: Final = 1440 << 10
HOST_S: Final = 120  # hung, not slow
WORDS: Final = "console=tty0 console=ttyS0 panic=-1 acpi=off nokaslr mitigations=off"

# Where GRUB lies on a disk: its boot sector loads the sector at CORE, which loads the rest. GRUB,
# grub-core/boot/i386/pc/{boot,diskboot}.S.
GRUB_FILES: Final = "grub-pc-bin"
GRUB_FOLDER: Final = "usr/lib/grub/i386-pc"
GRUB_PREFIX: Final = "(hd0,msdos1)/boot/grub"
GRUB_MODULES: Final = ("biosdisk", "part_msdos", "ext2", "linux", "normal", "echo", "test")
SECTOR: Final = 512
CORE: Final = 1  # sector
CORE_AT: Final = 0x5C  # in the boot sector: the core's first sector, 8 bytes
BLOCKS: Final = 0x1F4  # in the core's first sector: where the rest is; sector (8 bytes), sectors (2), segment (2)
PARTITION: Final = 2048  # sector
PARTITION_MIB: Final = 64
LINUX: Final = 0x83
ACTIVE: Final = 0x80

# What the Debian on a disk runs: the initramfs has the drivers, and goes over to the disk's own root.
TO_DISK: Final = """\
tries=0
while [ ! -b /dev/sda1 ] && [ $tries -lt 300 ]; do sleep 0.1; tries=$((tries + 1)); done
mkdir -p /disk
mount -t ext4 -o ro /dev/sda1 /disk && exec chroot /disk /bin/busybox sh /etc/start
echo "no root on /dev/sda1"; reboot -f
"""
ON_DISK_SAYS: Final = "Debian runs from its disk"
ON_DISK: Final = f"""\
/bin/busybox mount -t proc proc /proc
echo "{ON_DISK_SAYS}: $(/bin/busybox grep ' / ext4' /proc/mounts)"
exec /bin/busybox sh
"""


def of_package(package: str, member: str, name: str, size: int = 0) -> Recipe:
    """An image as it lies in a package; size: grown to so many bytes."""

    def put(directory: Path, packages: Mapping[str, Path]) -> None:
        (directory / name).write_bytes(read_member(packages[package], member).data.ljust(size, b"\0"))

    return _recipe((package,), put)


def grub_multiboot(kernel: Path, words: str) -> Recipe:
    """A CD with GRUB that starts a Multiboot kernel of ours."""

    def put(directory: Path, packages: Mapping[str, Path]) -> None:
        files = _rescue(packages[GRUB])
        files[GRUB_CFG] = f"multiboot /boot/kernel.elf {words}\nboot\n".encode()
        files["boot/kernel.elf"] = kernel.read_bytes()
        write_iso(directory / CD, files, EL_TORITO)

    return _recipe((GRUB,), put)


def grub_debian() -> Recipe:
    """A CD with GRUB that starts Debian's kernel with our initramfs."""

    def put(directory: Path, packages: Mapping[str, Path]) -> None:
        files = _rescue(packages[GRUB])
        files[GRUB_CFG] = f"linux /boot/{KERNEL} {WORDS}\ninitrd /boot/{INITRAMFS}\nboot\n".encode()
        files |= {f"boot/{name}": (directory / name).read_bytes() for name in (KERNEL, INITRAMFS)}
        write_iso(directory / CD, files, EL_TORITO)

    return _recipe((GRUB,), put, debian=True)


def isolinux_debian() -> Recipe:
    """A CD with ISOLINUX that starts Debian's kernel with our initramfs."""

    def put(directory: Path, packages: Mapping[str, Path]) -> None:
        files = {f"boot/{name}": (directory / name).read_bytes() for name in (KERNEL, INITRAMFS)}
        _isolinux(directory, packages, files, f"linux /boot/{KERNEL}\n initrd /boot/{INITRAMFS}\n append {WORDS}")

    return _recipe(("isolinux", "syslinux-common"), put, debian=True)


def isolinux_lkrn() -> Recipe:
    """A CD with ISOLINUX that starts iPXE as a kernel of real mode."""

    def put(directory: Path, packages: Mapping[str, Path]) -> None:
        files = {LKRN: read_member(packages["ipxe"], LKRN).data}
        _isolinux(directory, packages, files, f"linux /{LKRN}")

    return _recipe(("isolinux", "syslinux-common", "ipxe"), put)


def isolinux_memdisk() -> Recipe:
    """A CD with ISOLINUX and MEMDISK, which makes a drive of a floppy's image: GRUB's rescue floppy."""

    def put(directory: Path, packages: Mapping[str, Path]) -> None:
        floppy = read_member(packages[GRUB], RESCUE_FLOPPY).data.ljust(FLOPPY_BYTES, b"\0")
        files = {"memdisk": read_member(packages["syslinux-common"], MEMDISK).data, "floppy.img": floppy}
        _isolinux(directory, packages, files, "linux /memdisk\n initrd /floppy.img\n append floppy raw")

    return _recipe(("isolinux", "syslinux-common", GRUB), put)


def installer() -> Recipe:
    """A CD with ISOLINUX that starts Debian's installer in its text form."""

    def put(directory: Path, packages: Mapping[str, Path]) -> None:
        files = {
            name: read_member(packages[INSTALLER], f"{INSTALLER_FILES}/{name}").data for name in ("linux", "initrd.gz")
        }
        words = "vga=normal fb=false acpi=off nokaslr mitigations=off"
        _isolinux(directory, packages, files, f"linux /linux\n initrd /initrd.gz\n append {words} ---")

    return _recipe(("isolinux", "syslinux-common", INSTALLER), put)


def grub_disk() -> Recipe:
    """A hard disk with GRUB in its MBR, and Debian on ext4. Needs grub-mkimage and mke2fs on this host."""

    def put(directory: Path, packages: Mapping[str, Path]) -> None:
        root, modules = directory / "root", directory / "modules"
        modules.mkdir()
        for member in members(packages[GRUB_FILES], lambda path: path.startswith(f"{GRUB_FOLDER}/")):
            (modules / Path(member.path).name).write_bytes(member.data)
        core = directory / "core.img"
        _host(
            "grub-common", "grub-mkimage", "-O", "i386-pc", "-d", modules, "-p", GRUB_PREFIX, "-o", core, *GRUB_MODULES
        )
        run = initramfs.cpio([initramfs.regular(initramfs.RUN, TO_DISK.encode())])
        contents = {
            GRUB_CFG: f"linux /boot/{KERNEL} {WORDS} hp.modules=disk\ninitrd /boot/{INITRAMFS}\nboot\n".encode(),
            f"boot/{KERNEL}": (directory / KERNEL).read_bytes(),
            f"boot/{INITRAMFS}": (directory / INITRAMFS).read_bytes() + run,
            "bin/busybox": recipes.read_busybox(packages["busybox-static"]),
            "etc/start": ON_DISK.encode(),
        }
        for name, data in contents.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_bytes(data)
        (root / "bin/busybox").chmod(0o755)
        for name in ("proc", "dev"):
            (root / name).mkdir()
        disk = directory / DISK
        with disk.open("wb") as file:
            file.write(grub_on_disk((modules / "boot.img").read_bytes(), core.read_bytes()))
            file.truncate((PARTITION * SECTOR) + (PARTITION_MIB << 20))
        at = f"offset={PARTITION * SECTOR}"
        _host("e2fsprogs", "mke2fs", "-q", "-F", "-t", "ext4", "-d", root, "-E", at, disk, f"{PARTITION_MIB}M")
        shutil.rmtree(root)
        shutil.rmtree(modules)
        core.unlink()

    return _recipe((GRUB_FILES, "busybox-static"), put, debian=True)


def grub_on_disk(boot: bytes, core: bytes) -> bytes:
    """The sectors before the first partition: GRUB's boot sector with a partition table, and its core."""
    first = bytearray(core)
    struct.pack_into("<QH", first, BLOCKS, CORE + 1, -(-len(core) // SECTOR) - 1)
    sector = bytearray(boot)
    struct.pack_into("<Q", sector, CORE_AT, CORE)
    sectors = (PARTITION_MIB << 20) // SECTOR
    entry = struct.pack("<B3sB3sII", ACTIVE, b"\xfe\xff\xff", LINUX, b"\xfe\xff\xff", PARTITION, sectors)
    sector[446:510] = entry.ljust(64, b"\0")
    return bytes(sector + first)


def _host(package: str, tool: str, *words: object) -> None:
    """Run a tool of this host, that a package has. Raises FetchError."""
    try:
        done = subprocess.run(
            [tool, *map(str, words)], capture_output=True, text=True, errors="replace", timeout=HOST_S, check=False
        )
    except OSError as error:
        raise FetchError(f"{tool}: {error.strerror}; this image needs it: install {package}") from None
    except subprocess.TimeoutExpired:
        raise FetchError(f"{tool}: no end after {HOST_S} s") from None
    if done.returncode:
        raise FetchError(f"{tool}: {' '.join(done.stderr.split())}; the image is not made")


def _recipe(names: tuple[str, ...], put: Callable[[Path, Mapping[str, Path]], None], *, debian: bool = False) -> Recipe:
    """A recipe that downloads these packages and calls put(directory, name -> package). debian: Debian's kernel and
    initramfs are in the directory, too, and go away afterwards.
    """

    def recipe(apt: Packages) -> Plan:
        under = recipes.debian("686")(apt) if debian else Plan({}, lambda *_: None)
        versions = under.versions | {name: apt.show(name)["version"] for name in names}
        versions[STAMP] = f"{recipes.stamp()}-{IMAGE_FORMAT}" if debian else IMAGE_FORMAT

        def make(directory: Path, progress: Progress) -> None:
            with tempfile.TemporaryDirectory(dir=directory) as temporary:
                packages = {name: download(apt, name, Path(temporary), progress) for name in names}
                under.make(directory, progress)
                progress("making the image")
                put(directory, packages)
            for name in (KERNEL, INITRAMFS):
                (directory / name).unlink(missing_ok=True)

        return Plan(versions, make)

    return recipe


def _rescue(package: Path) -> dict[str, bytes]:
    """The files of GRUB's rescue CD."""
    return read_iso(read_member(package, RESCUE_CD).data, RESCUE_CD)


def _isolinux(directory: Path, packages: Mapping[str, Path], files: dict[str, bytes], entry: str) -> None:
    """A CD with ISOLINUX, which starts the entry at once. KERNEL's keyword "linux" is any kernel of that protocol."""
    own = {
        "isolinux/isolinux.bin": read_member(packages["isolinux"], ISOLINUX).data,
        "isolinux/ldlinux.c32": read_member(packages["syslinux-common"], LDLINUX).data,
        "isolinux/isolinux.cfg": f"default one\nlabel one\n {entry}\n".encode(),
    }
    write_iso(directory / CD, own | files, "isolinux/isolinux.bin")


RECIPES: Final[Mapping[str, Callable[[], Recipe]]] = {
    "grub-floppy": lambda: of_package(GRUB, RESCUE_FLOPPY, FLOPPY, FLOPPY_BYTES),
    "grub-cd": lambda: of_package(GRUB, RESCUE_CD, CD),
    "grub-multiboot": lambda: grub_multiboot(Path(__file__).parent / "bin" / "demo.elf", ""),
    "grub-debian": grub_debian,
    "grub-disk": grub_disk,
    "isolinux": isolinux_debian,
    "ipxe": lambda: of_package("ipxe", "usr/lib/ipxe/ipxe.iso", CD),
    "ipxe-lkrn": isolinux_lkrn,
    "memdisk": isolinux_memdisk,
    "memtest-cd": lambda: of_package("memtest86+", "usr/lib/memtest86+/memtest86+ia32.iso", CD),
    "debian-installer": installer,
}
