# SPDX-License-Identifier: GPL-2.0-or-later
"""The gallery's images by SeaBIOS, each to its recognised state: wall and CPU seconds on hyperport and on qemu TCG.

python bench/images.py [--pairs 3] [--machine isapc] [NAME...]

Both sides are whole processes, from the start to the moment at which the state's text is on the screen or the console,
which is looked at ten times a second. qemu is the same PC: isapc with an ISA VGA, or with --machine pc a PC with PCI,
on which its SeaBIOS finds more to do.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from statistics import median

from hyperport.guests.gallery import GALLERY, State
from hyperport.guests.registry import FetchedGuest, locate
from pairs import QEMU, Run, alternate, report

CHILD = str(Path(__file__).with_name("image_child.py"))
POLL_S = 0.1
LIMIT_S = 240.0
ROWS, COLUMNS = 25, 80
TEXT = (0xB8000, 2 * ROWS * COLUMNS)  # address and bytes of the screen's text
HELD = {"isapc": ["-machine", "isapc", "-device", "isa-vga"], "pc": ["-machine", "pc", "-device", "VGA"]}
DRIVES = {  # by the ending of an image's file
    ".iso": ["-boot", "d", "-drive", "if=ide,index=2,media=cdrom,format=raw,file={}"],
    ".img": ["-boot", "c", "-snapshot", "-drive", "if=ide,index=0,format=raw,file={}"],
    "floppy": ["-boot", "a", "-snapshot", "-drive", "if=floppy,index=0,format=raw,file={}"],
}


def ours(name: str) -> Run:
    """bench/image_child.py, which ends when the state is there."""
    state, began = GALLERY[name], time.monotonic()
    words = [name, "console" if state.on_console else "screen", str(LIMIT_S), state.text]
    return account(subprocess.Popen([sys.executable, CHILD, *words]), began)


def account(child: subprocess.Popen[bytes], began: float) -> Run:
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    return Run(time.monotonic() - began, usage.ru_utime + usage.ru_stime, child.returncode, "")


class Qemu:
    """A qemu whose screen and console can be looked at; used once."""

    def __init__(self, guest: FetchedGuest, machine: str, folder: Path) -> None:
        self.console, self.screen, path = folder / "console", folder / "screen", folder / "qmp"
        drive = DRIVES["floppy" if guest.word == "floppies" else guest.kernel.suffix]
        self.child = subprocess.Popen(
            [
                QEMU,
                "-accel",
                "tcg",
                "-cpu",
                "qemu32,-apic,+nx",
                *HELD[machine],
                "-m",
                str(guest.memory >> 20),
                "-nodefaults",
                "-display",
                "none",
            ]
            + ["-serial", f"file:{self.console}", "-qmp", f"unix:{path},server=on,wait=off"]
            + ["-device", "isa-debug-exit,iobase=0xf4,iosize=4"]
            + [word.format(guest.kernel) for word in drive]
        )
        while not path.exists():
            time.sleep(0.01)
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(str(path))
        self.file = self.socket.makefile("rw")
        self.file.readline()
        self.ask("qmp_capabilities")

    def ask(self, command: str, **arguments: object) -> None:
        """Run a QMP command to its answer; events come in between."""
        print(json.dumps({"execute": command, "arguments": arguments}), file=self.file, flush=True)
        while line := self.file.readline():
            if "event" not in json.loads(line):
                return

    def shows(self, state: State) -> bool:
        """Whether the state is there."""
        if state.on_console:
            return state.text in self.console.read_bytes().decode(errors="replace") if self.console.exists() else False
        self.ask("pmemsave", val=TEXT[0], size=TEXT[1], filename=str(self.screen))
        cells = self.screen.read_bytes()[::2] if self.screen.exists() else b""
        text = cells.decode("cp437").replace("\x18", "↑").replace("\x19", "↓")
        return state.text in text


def theirs(name: str, machine: str) -> Run:
    guest, state = locate(name), GALLERY[name]
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as folder:
        began = time.monotonic()
        qemu = Qemu(guest, machine, Path(folder))
        shown = False
        while not shown and time.monotonic() - began < LIMIT_S and qemu.child.poll() is None:
            time.sleep(POLL_S)
            shown = qemu.shows(state)
        qemu.child.kill()
        done = account(qemu.child, began)
    return Run(done.wall_s, done.cpu_s, 0 if shown else 1, "")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--machine", choices=HELD, default="isapc")
    options = parser.parse_args()
    if shutil.which(QEMU) is None:
        sys.exit(f"{QEMU} is not installed: apt-get install qemu-system-x86")
    ratios = {}
    for name in options.names or GALLERY:
        mine, peer = alternate(options.pairs, partial(ours, name), partial(theirs, name, options.machine))
        for side, runs in (("hyperport", mine), (f"qemu {options.machine}", peer)):
            if any(finished.status for finished in runs):
                print(f"{name}: {side} did not come to {GALLERY[name].text!r} in {LIMIT_S:g} s")
                break
        else:
            ratios[name] = report(name, "CPU s", [r.cpu_s for r in mine], [r.cpu_s for r in peer])
            report(name, "wall s", [r.wall_s for r in mine], [r.wall_s for r in peer])
    if ratios:
        worst = max(ratios, key=ratios.__getitem__)
        print(f"CPU, {len(ratios)} images: median {median(ratios.values()):.3f}, worst {ratios[worst]:.3f} ({worst})")


if __name__ == "__main__":
    main()
