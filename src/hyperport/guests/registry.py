# SPDX-License-Identifier: GPL-2.0-or-later
"""The guests that hyperport knows by name: what they are, how they are fetched, where they lie afterwards.

A fetched guest is a directory in the user's cache with its files and a manifest.json of the versions in it. It is
made beside its place and renamed into it when whole, so a guest that is there is complete. Recipes and the libraries
that fetching needs are imported when a guest is fetched.
"""

from __future__ import annotations

import fcntl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from hyperport.errors import ConfigError, FetchError
from hyperport.guests import firmware
from hyperport.guests.names import BIOS, CD, DISK, FLOPPY, IMAGE_FORMAT, INITRAMFS, KERNEL, MEMTEST, STAMP
from hyperport.host.cache import cache_directory
from hyperport.host.files import parse_json
from hyperport.host.specs import FloppySpec
from hyperport.options import MIB

if TYPE_CHECKING:
    from hyperport.guests.apt import Packages, Progress
    from hyperport.guests.recipes import Plan

MANIFEST: Final = "manifest.json"

# Words of the kernel's command line for this PC.
#   console=ttyS0    the first 16550A is the console; with console=tty0 the screen is one as well
#   panic=-1         a panic resets at once, so that the machine ends with an outcome
#   acpi=off         there is no ACPI: without a search for its tables and an error line about it
#   nokaslr          runs can be compared, and addresses found in System.map
#   mitigations=off  an engine that translates has nothing for them to guard, and they make system calls slow
DEBIAN_APPEND: Final = "console=ttyS0 panic=-1 acpi=off nokaslr mitigations=off"


@dataclass(frozen=True, slots=True)
class Need:
    """What a guest cannot do its work without, and only the user can choose.

    word: the setting that must be there. option: how it is given on the command line. why: for people, in a clause.
    """

    word: str
    option: str
    why: str

    def line(self, name: str) -> str:
        """What to tell a user who has not given it."""
        return f"guest {name}: {self.why}: add {self.option}"


@dataclass(frozen=True, slots=True)
class Guest:
    """A row of the table. Without a recipe the kernel is a program in the package's guests/bin.

    word: the option that takes the kernel; another than "kernel" is for an image of a drive, which firmware starts.
    """

    name: str
    description: str
    kernel: str
    recipe: Callable[[Packages], Plan] | None = None
    initrd: str | None = None
    append: str = ""
    memory: int = 128 * MIB  # bytes
    screen: str = ""  # what append needs besides when the console is to be on the screen
    testdev: bool = False  # it gets the test device, unless the user says otherwise
    need: Need | None = None
    stamp: Callable[[], str] | None = None  # a fetched guest with another one is out of date
    word: str = "kernel"


def _debian(flavour: str) -> Callable[[Packages], Plan]:
    def recipe(apt: Packages) -> Plan:
        from hyperport.guests import recipes

        return recipes.debian(flavour)(apt)

    return recipe


def _memtest(apt: Packages) -> Plan:
    from hyperport.guests import recipes

    return recipes.memtest(apt)


def _firmware(apt: Packages) -> Plan:
    from hyperport.guests import recipes

    return recipes.firmware(apt)


def _image(
    name: str, description: str, file: str = CD, *, word: str = "image", memory: int = 128 * MIB, debian: bool = False
) -> Guest:
    """An image of the gallery; its recipe is in image_recipes.py, by its name. debian: our initramfs is in it."""

    def recipe(apt: Packages) -> Plan:
        from hyperport.guests.image_recipes import RECIPES

        return RECIPES[name]()(apt)

    return Guest(
        name,
        f"image: {description}",
        file,
        recipe,
        memory=memory,
        stamp=_debian_image_stamp if debian else _image_stamp,
        word=word,
    )


def _image_stamp() -> str:
    return IMAGE_FORMAT


def _debian_image_stamp() -> str:
    return f"{_stamp()}-{IMAGE_FORMAT}"


def _stamp() -> str:
    from hyperport.guests import recipes

    return recipes.stamp()


def _built_in(name: str, description: str, *, testdev: bool = False, need: Need | None = None) -> Guest:
    text = f"built in: {description}{f'; needs {need.option}' if need else ''}"
    return Guest(name, text, f"{name}.elf", memory=32 * MIB, testdev=testdev, need=need)


GUESTS: Final[dict[str, Guest]] = {
    guest.name: guest
    for guest in (
        Guest(
            "debian",
            "Debian's kernel for i686 with a busybox shell on the serial console",
            KERNEL,
            _debian("686"),
            INITRAMFS,
            DEBIAN_APPEND,
            screen="console=tty0",
            stamp=_stamp,
        ),
        Guest(
            "debian-pae",
            "the same with PAE page tables and NX",
            KERNEL,
            _debian("686-pae"),
            INITRAMFS,
            DEBIAN_APPEND,
            screen="console=tty0",
            stamp=_stamp,
        ),
        Guest(
            "memtest",
            "Memtest86+, which tests all memory and never ends",
            MEMTEST,
            _memtest,
            append="console=ttyS0,115200",
            memory=8 * MIB,
        ),
        _image("grub-floppy", "GRUB's rescue floppy, in drive A", FLOPPY, word="floppies"),
        _image("grub-cd", "GRUB's rescue CD"),
        _image("grub-multiboot", "a CD with GRUB that starts the guest demo by Multiboot"),
        _image("grub-debian", "a CD with GRUB that starts Debian", debian=True),
        _image("grub-disk", "a hard disk with GRUB and Debian", DISK, debian=True),
        _image("isolinux", "a CD with ISOLINUX that starts Debian", debian=True),
        _image("ipxe", "iPXE's CD"),
        _image("ipxe-lkrn", "a CD with ISOLINUX that starts iPXE as a kernel"),
        _image("memdisk", "a CD with ISOLINUX and MEMDISK, which starts GRUB's rescue floppy"),
        _image("memtest-cd", "Memtest86+'s CD"),
        _image("debian-installer", "a CD with Debian's installer", memory=512 * MIB),
        _built_in("demo", "drives the chips of the PC and ends by itself"),
        _built_in("stress", "checks itself under interrupts at arbitrary points; irqs=N"),
        _built_in("faults", "user-mode faults, one line each"),
        _built_in(
            "diskbench",
            "times reads of hda by REP INS; n=N",
            need=Need("disks", "--disk FILE", "it reads a disk, and there is none"),
        ),
        _built_in(
            "netbench",
            "times blocks through the data port of an NE2000; n=N",
            need=Need("net", "--net none", "it drives a network card, and there is none"),
        ),
        _built_in("portbench", "times port accesses, int 80h and page faults; n=N"),
        _built_in("outcome", "ends in the way its command line names: reset8042, triple, halt, exit N, ..."),
        _built_in("echo", "echoes the console in capitals until Ctrl-D, then its count and checksum"),
        _built_in(
            "devtest",
            "drives the example device of docs/devices.md at 0x300, irq 5",
            need=Need(
                "devices",
                "--device docs/examples/doorbell.py:Doorbell,base=0x300,irq=5",
                "the device that it drives is not there",
            ),
        ),
        _built_in(
            "vmiguest",
            "uses the VMI ROM as Linux does and checks every call; vmi=disable_io_ops",
            testdev=True,
            need=Need("io", "--io hypercall", "without calls it checks the native instructions only"),
        ),
        _built_in(
            "vmicalls",
            "makes every other call of the VMI ROM and checks it; alarms=N",
            need=Need("vmi_calls", "--vmi-calls full --io hypercall", "without them there is nothing to call"),
        ),
        _built_in("draw", "draws in a graphics mode: mode13, mode12, modex or vbe with bits=N; stay waits for a key"),
        _built_in("console", "workload: polled text on COM1; n=N, ops=vmi|kvm|lguest|native"),
        _built_in("cmos", "workload: CMOS reads"),
        _built_in("ticks", "workload: timer interrupts; hz=N"),
        _built_in("pci", "workload: a scan of configuration space"),
        _built_in("delay", "workload: paused writes to port 0x80"),
        _built_in("strings", "workload: blocks of 512 bytes by REP INS and OUTS; width=1|2|4, in, out", testdev=True),
        _built_in("mix", "workload: computing with port I/O in between; ratio=N"),
    )
}


# What can be fetched and is no guest.
BESIDE_GUESTS: Final = {
    firmware.NAME: Guest(firmware.NAME, "SeaBIOS and its VGA BIOS, which start images", BIOS, _firmware),
}


@dataclass(frozen=True, slots=True)
class FetchedGuest:
    """A guest that can be run: paths of its files, its usual command line and memory in bytes."""

    name: str
    description: str
    kernel: Path
    initrd: Path | None
    append: str
    memory: int
    versions: dict[str, str]
    screen: str = ""
    testdev: bool = False
    need: Need | None = None
    word: str = "kernel"

    def settings(self) -> dict[str, Any]:
        """What a machine is made with to run it: fields of MachineConfig. An image stays as it is."""
        own: dict[str, Any] = {"memory": self.memory}
        if self.testdev:
            own["testdev"] = True
        if self.word == "floppies":
            return own | {"floppies": (FloppySpec(path=self.kernel, read_only=True),), "bios": "seabios", "boot": "a"}
        if self.word == "image":
            return own | {"image": f"{self.kernel},snapshot" if self.kernel.name == DISK else str(self.kernel)}
        loaded = {"kernel": self.kernel, "initrd": self.initrd, "append": self.append}
        return own | {word: value for word, value in loaded.items() if value is not None}


@dataclass(slots=True)
class Manifest:
    """manifest.json: versions of the packages that a fetched guest was made from."""

    name: str
    versions: dict[str, str]


def find(name: str) -> Guest:
    """The row of that name. Raises ConfigError."""
    if row := GUESTS.get(name) or BESIDE_GUESTS.get(name):
        return row
    raise ConfigError(f"guest {name!r}: neither a file nor known; known are {', '.join(GUESTS)}")


def locate(name: str) -> FetchedGuest:
    """A guest that is built in or has been fetched.

    Raises FetchError if it has not, or by another version of hyperport; ConfigError if nobody knows it.
    """
    guest = find(name)
    if guest.recipe is None:
        folder = Path(__file__).parent / "bin"
        if not (folder / guest.kernel).is_file():
            raise FetchError(f"guest {name}: {guest.kernel} is not in {folder}; build it with: make build")
        return _fetched(guest, folder, {})
    folder = _place(name)
    manifest = read_manifest(folder)
    if manifest is None or manifest.name != name or not _complete(guest, folder):
        raise FetchError(f"guest {name}: not in {folder}; get it with: hyperport fetch {name}")
    if guest.stamp is not None and manifest.versions.get(STAMP) != guest.stamp():
        raise FetchError(f"guest {name}: {folder} is of another hyperport; renew it with: hyperport fetch {name}")
    return _fetched(guest, folder, manifest.versions)


def fetch(name: str, progress: Progress = lambda _: None, debs: Path | str | None = None) -> FetchedGuest:
    """Fetch a guest's newest version, if it is not there already, and locate it.

    progress is called with one line of text at each step.
    debs: a folder with .deb files, instead of the archive.
    Raises FetchError, ConfigError for an unknown name.
    """
    from hyperport.guests.apt import Apt
    from hyperport.guests.deb_folder import DebFolder

    guest = find(name)
    if guest.recipe is None:
        progress(f"{name}: built in, nothing to fetch")
        return locate(name)
    cache = cache_directory()
    with _alone(cache):
        apt: Packages = Apt(cache / "apt") if debs is None else DebFolder(Path(debs))
        progress("reading Debian's package lists for i386" if debs is None else f"reading the packages in {debs}")
        if trouble := apt.update():
            progress(f"an archive was left out: {trouble}")
        plan = guest.recipe(apt)
        folder = _place(name)
        manifest = read_manifest(folder)
        if manifest == Manifest(name, plan.versions) and _complete(guest, folder):
            progress(f"{name}: up to date in {folder}")
            return locate(name)
        try:
            _make(plan, name, folder, progress)
        except OSError as error:
            raise FetchError(f"guest {name}: {folder}: {error.strerror}; make room or set XDG_CACHE_HOME") from None
        progress(f"{name}: ready in {folder}")
        return locate(name)


def read_manifest(folder: Path | str) -> Manifest | None:
    """The manifest of a guest's directory; None if there is none that can be read."""
    try:
        found = parse_json((Path(folder) / MANIFEST).read_bytes())
    except (OSError, ValueError):
        return None
    words = {"name", "versions"}
    if not isinstance(found, dict) or not words <= set(found) or not isinstance(found["name"], str):
        return None
    versions = found["versions"]
    if not isinstance(versions, dict) or not all(isinstance(version, str) for version in versions.values()):
        return None
    return Manifest(found["name"], versions)


def _place(name: str) -> Path:
    return cache_directory() / "guests" / name


def _complete(guest: Guest, folder: Path) -> bool:
    return all((folder / file).is_file() for file in (guest.kernel, guest.initrd) if file)


def _fetched(guest: Guest, folder: Path, versions: dict[str, str]) -> FetchedGuest:
    initrd = folder / guest.initrd if guest.initrd else None
    return FetchedGuest(
        guest.name,
        guest.description,
        folder / guest.kernel,
        initrd,
        guest.append,
        guest.memory,
        versions,
        guest.screen,
        guest.testdev,
        guest.need,
        guest.word,
    )


def _make(plan: Plan, name: str, folder: Path, progress: Progress) -> None:
    import tempfile

    import msgspec

    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{name}-", dir=folder.parent) as temporary:
        new, old = Path(temporary) / "new", Path(temporary) / "old"
        new.mkdir()
        plan.make(new, progress)
        text = msgspec.json.format(msgspec.json.encode(Manifest(name, plan.versions)))
        (new / MANIFEST).write_bytes(text + b"\n")
        if folder.exists():
            folder.rename(old)
        new.rename(folder)


@contextmanager
def _alone(cache: Path) -> Iterator[None]:
    """One fetch at a time in this cache: a second waits."""
    try:
        cache.mkdir(parents=True, exist_ok=True)
        lock = (cache / "lock").open("w")
    except OSError as error:
        raise FetchError(f"{cache}: cannot write ({error.strerror}); set XDG_CACHE_HOME to another place") from None
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
