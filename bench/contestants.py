# SPDX-License-Identifier: GPL-2.0-or-later
"""Who takes part in bench/peers.py: how each runs the guest program accesses.c, or its loops, and its version.

A contestant is asked for a number of units of each kind of access and gives the ns of one; what it cannot do it leaves
out and says why. One that this host lacks says that in one line.
"""

from __future__ import annotations

import ctypes
import os
import pty
import re
import shutil
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Final

from hyperport.engines import ENGINES
from hyperport.guests.toolchain import CODE_FLAGS, compiler, link_program

GUEST: Final = Path(__file__).parent / "guest"
LIMIT_S: Final = 60.0
SECTOR: Final = 512
LOAD_AT: Final = 0x10_0000
CYLINDERS: Final = 40  # of 16 heads and 63 sectors: Bochs' disk
BOOT_FIELDS: Final = (500, "<IIH")  # of boot.S: entry, command line, sectors
WARM: Final = 300_000  # accesses until v86 has compiled the loop
NO_DEVICE: Final = "no device"

Units = Mapping[str, int]


@dataclass(slots=True)
class Measured:
    """ns of a unit by kind, and why other kinds are missing."""

    ns: dict[str, float] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)


class AbsentError(Exception):
    """This host lacks a contestant: one line."""


@dataclass(frozen=True, slots=True)
class Contestant:
    """name: of its column. run: measures so many units of each kind. version: of what runs it. only: kinds it has."""

    name: str
    run: Callable[[Units], Measured]
    version: Callable[[], str]
    only: tuple[str, ...] = ()


def timed(lines: Iterator[tuple[int, str]], units: Units) -> Measured:
    """Times between the lines of accesses.c. lines: (ns, line)."""
    measured, began, over, last = Measured(), 0, False, ""
    for now, line in lines:
        last = line
        if line.startswith("begin "):
            began = now
        elif found := re.match(r"end (\w+) (\d+)", line):
            measured.ns[found[1]] = (now - began) / int(found[2])
        elif found := re.match(r"(?:missing|failed) (\w+)", line):
            measured.missing[found[1]] = NO_DEVICE if line.startswith("missing") else "it failed"
            measured.ns.pop(found[1], None)
        elif line.startswith("over"):
            over = True
            break
    if not over:
        for kind in units:
            if kind not in measured.ns:
                measured.missing.setdefault(kind, f"the run ended before it: {last[:60]!r}")
    return measured


def stamped(stream: IO[bytes]) -> Iterator[tuple[int, str]]:
    """The lines of a stream, each with the time at which it came."""
    for line in iter(stream.readline, b""):
        yield time.perf_counter_ns(), line.decode("ascii", "replace").strip()


def run_process(command: list[str], units: Units, environment: Mapping[str, str] | None = None) -> Measured:
    """Run a command whose stdout is the guest's console."""
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=os.environ | dict(environment or {}),
    ) as child:
        assert child.stdout is not None
        watchdog = threading.Timer(LIMIT_S, child.kill)
        watchdog.start()
        try:
            return timed(stamped(child.stdout), units)
        finally:
            watchdog.cancel()
            child.kill()


def first_line(*command: str) -> str:
    """What a command says of its version."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return (done.stdout + done.stderr).strip().splitlines()[0]


class Bench:
    """Makes the files that contestants share, in folder. v86: where its package was unpacked."""

    def __init__(self, folder: Path, v86: Path | None) -> None:
        self.folder, self.v86 = folder, v86
        self.kernel = link_program([GUEST / "accesses.c"], folder / "accesses.elf")
        self.disk = folder / "disk.img"
        self.disk.write_bytes(bytes(1 << 20))

    def words(self, units: Units, *more: str) -> str:
        """The guest's command line."""
        return " ".join([*(f"{kind}={count}" for kind, count in units.items()), *more])

    # hyperport.

    def hyperport(self, engine: str, io: str) -> Contestant:
        """One path on one engine."""
        if io not in ENGINES[engine].paths:
            raise AbsentError(f"{engine} has no path {io}")
        failed = [check for check in ENGINES[engine].check() if not check.ok and check.name.endswith("device")]
        if failed:
            raise AbsentError(f"{failed[0].name}: {failed[0].detail}")

        def run(units: Units) -> Measured:
            options = ["--engine", engine, "--io", io, "--kernel", self.kernel, "--append", self.words(units)]
            parts = ["--disk", f"{self.disk},ro", "--net", "none", "--serial", "stdio", "--serial", "null"]
            parts += ["--device", f"{GUEST / 'registers.py'}:Registers,base=0x350"]
            return run_process([sys.executable, "-m", "hyperport", "run", *map(str, options), *parts, "-q"], units)

        def version() -> str:
            from hyperport import __version__

            return f"hyperport {__version__}"

        return Contestant(f"{io}" if engine == "unicorn" else f"{io}, {engine}", run, version)

    # qemu.

    def qemu(self, accelerator: str) -> Contestant:
        """A PC of qemu's with the same devices."""
        binary = "qemu-system-i386"
        if shutil.which(binary) is None:
            raise AbsentError(f"{binary} is not installed: apt-get install qemu-system-x86")
        if accelerator == "kvm" and not os.access("/dev/kvm", os.R_OK | os.W_OK):
            raise AbsentError("/dev/kvm cannot be used")

        def run(units: Units) -> Measured:
            command = [binary, "-accel", accelerator, "-machine", "pc,acpi=off", "-m", "64", "-nodefaults"]
            command += ["-display", "none", "-serial", "stdio", "-serial", "null", "-no-reboot"]
            command += ["-drive", f"file={self.disk},format=raw,if=ide,snapshot=on"]
            command += ["-device", "ne2k_isa,iobase=0x300,irq=9"]
            command += ["-kernel", str(self.kernel), "-append", self.words(units, "ops=native")]
            return run_process(command, units)

        return Contestant(f"qemu {accelerator.upper()}", run, lambda: first_line(binary, "--version"))

    # v86.

    def v86_on_node(self) -> Contestant:
        """v86, which compiles guest code to WebAssembly."""
        node = shutil.which("node")
        if node is None:
            raise AbsentError("node is not installed: apt-get install nodejs")
        if self.v86 is None or not (self.v86 / "build" / "libv86.mjs").exists():
            raise AbsentError("v86 is not there: npm install v86, and --v86 node_modules/v86")
        folder = self.v86

        def run(units: Units) -> Measured:
            files = [str(GUEST / "v86.mjs"), str(folder), str(self.kernel), str(self.disk)]
            return run_process([node, *files, self.words(units, f"warm={WARM}", "ops=native")], units)

        def version() -> str:
            found = re.search(r'"version":\s*"([^"]+)"', (folder / "package.json").read_text())
            return f"v86 {found[1] if found else '?'} on node {first_line(node, '--version')}"

        return Contestant("v86", run, version)

    # Bochs.

    def bochs(self) -> Contestant:
        """Bochs, an interpreter. It boots from a disk, and its screen wants a terminal."""
        binary = shutil.which("bochs")
        bios, video = Path("/usr/share/bochs/BIOS-bochs-latest"), Path("/usr/share/vgabios/vgabios.bin")
        if binary is None or not bios.exists() or not video.exists():
            raise AbsentError("Bochs is not installed: apt-get install bochs bochs-term bochsbios vgabios")
        sector = self.boot_sector()

        def run(units: Units) -> Measured:
            image = self.folder / "bochs.img"
            image.with_name("bochs.img.lock").unlink(missing_ok=True)  # left there by one that was killed
            image.write_bytes(self.boot_disk(sector, self.words(units, "ops=native")))
            console = self.folder / "bochs.console"
            if not console.exists():
                os.mkfifo(console)
            (self.folder / "bochs.rc").write_text("c\n")  # Debian's has the debugger, which waits for a command
            (self.folder / "bochsrc").write_text(
                f"""megs: 64
romimage: file={bios}
vgaromimage: file={video}
display_library: term
ata0: enabled=1, ioaddr1=0x1f0, ioaddr2=0x3f0, irq=14
ata0-master: type=disk, path={image}, mode=flat, cylinders={CYLINDERS}, heads=16, spt=63
boot: disk
com1: enabled=1, mode=file, dev={console}
com2: enabled=1, mode=null
ne2k: card=0, enabled=1, type=isa, ioaddr=0x300, irq=5, mac=52:54:00:12:34:56, ethmod=null
clock: sync=none
log: /dev/null
panic: action=fatal
"""
            )
            return run_bochs(self.folder, console, units)

        return Contestant("Bochs", run, lambda: f"Bochs {debian_version('bochs')}")

    def boot_sector(self) -> bytes:
        """boot.S as it stands in a sector."""
        output = self.folder / "boot.bin"
        flat = ["-static", "-Wl,-Ttext=0x7c00,--oformat=binary"]
        subprocess.run([compiler(), *CODE_FLAGS, *flat, "-o", output, GUEST / "boot.S"], check=True)
        return output.read_bytes()

    def boot_disk(self, sector: bytes, words: str) -> bytes:
        """A disk that boots the kernel with this command line."""
        from elftools.elf.elffile import ELFFile

        with self.kernel.open("rb") as file:
            elf = ELFFile(file)
            segments = [segment for segment in elf.iter_segments() if segment["p_type"] == "PT_LOAD"]
            image = bytearray(max(each["p_paddr"] + each["p_memsz"] for each in segments) - LOAD_AT)
            for each in segments:
                at = each["p_paddr"] - LOAD_AT
                image[at : at + each["p_filesz"]] = each.data()
            entry = elf["e_entry"]
        line = LOAD_AT + len(image)
        image += words.encode() + b"\0"
        sectors = -(-len(image) // SECTOR)
        boot = bytearray(sector)
        offset, form = BOOT_FIELDS
        struct.pack_into(form, boot, offset, entry, line, sectors)
        disk = bytes(boot) + bytes(image)
        return disk.ljust(CYLINDERS * 16 * 63 * SECTOR, b"\0")

    # Unicorn without hyperport.

    def unicorn(self, hook: str) -> Contestant:
        """The engine alone, with a hook in Python or in C: what is under each program that uses it."""
        from importlib.metadata import version

        def run(units: Units) -> Measured:
            measured = Measured()
            for kind, count in units.items():
                if kind in LOOPS:
                    measured.ns[kind] = unicorn_loop(LOOPS[kind], count, hook, self.folder)
                else:
                    measured.missing[kind] = NO_DEVICE
            return measured

        return Contestant(
            f"Unicorn, {hook} hook", run, lambda: f"Unicorn {version('unicorn')}", only=tuple(sorted(LOOPS))
        )

    def all(self) -> tuple[list[Contestant], list[str]]:
        """Those that are here, and why others are not."""
        makers: list[Callable[[], Contestant]] = [
            *(
                lambda engine=engine, io=io: self.hyperport(engine, io)
                for engine in ("unicorn", "kvm")
                for io in ("exit", "trap", "hypercall", "exitless")
            ),
            lambda: self.qemu("tcg"),
            lambda: self.qemu("kvm"),
            self.bochs,
            self.v86_on_node,
            lambda: self.unicorn("C"),
            lambda: self.unicorn("Python"),
        ]
        here: list[Contestant] = []
        absent: list[str] = []
        for make in makers:
            try:
                here.append(make())
            except AbsentError as error:
                absent.append(str(error))
        return here, absent


def debian_version(package: str) -> str:
    """Of an installed package."""
    done = subprocess.run(
        ["dpkg-query", "-W", "-f", "${Version}", package], capture_output=True, text=True, check=False
    )
    return done.stdout or "?"


def run_bochs(folder: Path, console: Path, units: Units) -> Measured:
    """Run Bochs on a terminal that nobody looks at; its serial line is a FIFO."""
    screen, terminal = pty.openpty()
    with subprocess.Popen(
        ["bochs", "-q", "-f", "bochsrc", "-rc", "bochs.rc"],
        cwd=folder,
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        env=os.environ | {"TERM": "xterm"},
        start_new_session=True,
    ) as child:
        os.close(terminal)
        drain = threading.Thread(target=_drain, args=(screen,), daemon=True)
        drain.start()
        watchdog = threading.Timer(LIMIT_S, child.kill)
        watchdog.start()
        try:
            with console.open("r+b", buffering=0) as stream:  # "+": it must not wait for Bochs, or end with it
                return timed(io_lines(stream, child), units)
        finally:
            watchdog.cancel()
            child.kill()
            child.wait()
            drain.join(1)
            os.close(screen)


def _drain(screen: int) -> None:
    try:
        while os.read(screen, 65536):
            pass
    except OSError:
        pass  # the other end is gone


def io_lines(stream: IO[bytes], child: subprocess.Popen[Any]) -> Iterator[tuple[int, str]]:
    """The lines of a FIFO until the child has ended."""
    import select

    rest = b""
    while True:
        ready, _, _ = select.select([stream], [], [], 0.5)
        if not ready:
            if child.poll() is not None:
                return
            continue
        rest += os.read(stream.fileno(), 65536)
        now = time.perf_counter_ns()
        *lines, rest = rest.split(b"\n")
        for line in lines:
            yield now, line.decode("ascii", "replace").strip()


# Loops for the engine alone: the same accesses, by the instruction.


def _out(port: int, value: int, size: int = 1) -> bytes:
    code = b"\xba" + port.to_bytes(4, "little") + b"\xb8" + value.to_bytes(4, "little")
    return code + (b"\xef" if size == 4 else b"\xee")


def _in(port: int, size: int = 1) -> bytes:
    return b"\xba" + port.to_bytes(4, "little") + (b"\xed" if size == 4 else b"\xec")


LOOPS: Final = {
    "post": _out(0x80, 0x5A),
    "lsr": _in(0x2FD),
    "thr": _out(0x2F8, 0x78),
    "cmos": _out(0x70, 0x0D) + _in(0x71),
    "pci": _out(0xCF8, 0x80000000, 4) + _in(0xCFC, 4),
    "pit": _out(0x43, 0) + _in(0x40) * 2,
    "ata": _in(0x1F7),
    "rep": b"\xbe\x00\x00\x20\x00\xb9\x00\x01\x00\x00\xba\x80\x00\x00\x00\xf3\x6e",
}
HOOKS_IN_C: Final = """
#include <stdint.h>
uint32_t on_in(void *uc, uint32_t port, int size, void *user) { (void)uc, (void)size, (void)user; return port; }
void on_out(void *uc, uint32_t port, int size, uint32_t value, void *user)
{ (void)uc, (void)port, (void)size, (void)value, (void)user; }
"""


def unicorn_loop(unit: bytes, count: int, hook: str, folder: Path) -> float:
    """ns of a unit in a loop on plain Unicorn."""
    import unicorn
    from unicorn import x86_const

    make: Any = unicorn  # whose types are wrong
    body = unit + b"\x4d"  # dec ebp
    code = b"\xbd" + count.to_bytes(4, "little") + body
    code += b"\x0f\x85" + (-(len(body) + 6) & 0xFFFFFFFF).to_bytes(4, "little") + b"\x90"
    core = make.Uc(unicorn.UC_ARCH_X86, unicorn.UC_MODE_32)
    core.mem_map(0, 4 << 20)
    core.mem_write(LOAD_AT, code)
    if hook == "Python":
        core.hook_add(unicorn.UC_HOOK_INSN, lambda *_: 0, aux1=x86_const.UC_X86_INS_IN)
        core.hook_add(unicorn.UC_HOOK_INSN, lambda *_: None, aux1=x86_const.UC_X86_INS_OUT)
    else:
        add_c_hooks(core, folder)
    core.emu_start(LOAD_AT, LOAD_AT + len(code) - 1, count=1)  # what is made at the first start
    began = time.perf_counter_ns()
    core.emu_start(LOAD_AT, LOAD_AT + len(code) - 1)
    return (time.perf_counter_ns() - began) / count


def add_c_hooks(core: Any, folder: Path) -> None:
    """What no binding stands between: functions in C."""
    import unicorn
    from unicorn import x86_const
    from unicorn.unicorn_py3 import unicorn as binding

    built = folder / "hooks.so"
    if not built.exists():
        source = folder / "hooks.c"
        source.write_text(HOOKS_IN_C)
        subprocess.run(["gcc", "-O2", "-shared", "-fPIC", "-o", built, source], check=True)
    hooks = ctypes.CDLL(str(built))
    add = binding.uclib.uc_hook_add
    for function, instruction in ((hooks.on_in, x86_const.UC_X86_INS_IN), (hooks.on_out, x86_const.UC_X86_INS_OUT)):
        handle = ctypes.c_size_t()
        address = ctypes.cast(function, ctypes.c_void_p)
        status = add(
            core._uch,
            ctypes.byref(handle),
            unicorn.UC_HOOK_INSN,
            address,
            None,
            ctypes.c_uint64(1),
            ctypes.c_uint64(0),
            ctypes.c_int(instruction),
        )
        assert status == 0, status
