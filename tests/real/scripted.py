# SPDX-License-Identifier: GPL-2.0-or-later
"""Debian with a script of the test in it: /init runs it after the READY line, and it ends the run by a reboot."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

from hyperport.guests import initramfs
from hyperport.guests.registry import DEBIAN_APPEND

from ..conftest import command
from .conftest import BOOT_S, require, trouble

LIMIT_S: Final = 2 * BOOT_S

# Disks appear some time after their driver is loaded.
WAIT: Final = """\
wait_for() {
    tries=0
    while [ ! -b "$1" ] && [ $tries -lt 300 ]; do sleep 0.1; tries=$((tries + 1)); done
    [ -b "$1" ] || { echo "no $1"; reboot -f; }
}
mkdir -p /mnt
"""


def scripted(
    folder: Path, script: str, *arguments: str, words: str = "hp.modules=disk", program: bytes | None = None
) -> list[str]:
    """The command line for Debian with a script, and with an ELF file as /program. A reboot follows."""
    guest = require("debian")
    assert guest.initrd is not None
    initrd = folder / "initrd"
    run = initramfs.regular(initramfs.RUN, f"{WAIT}{script}\nreboot -f\n".encode())
    files = [run] if program is None else [run, initramfs.regular("program", program, 0o755)]
    initrd.write_bytes(guest.initrd.read_bytes() + initramfs.cpio(files))
    append = f"{DEBIAN_APPEND} quiet {words}"
    return command("-k", str(guest.kernel), "-i", str(initrd), "--append", append, *arguments)


def environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}


def run_script(
    folder: Path, script: str, *arguments: str, words: str = "hp.modules=disk", program: bytes | None = None
) -> str:
    """Run Debian with a script to its reboot; what came on the console after the READY line."""
    done = subprocess.run(
        scripted(folder, script, *arguments, words=words, program=program),
        env=environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=LIMIT_S,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "hyperport: the guest reset the machine\n"), done.stdout[-3000:]
    assert trouble(done.stdout) == []
    return done.stdout.partition(initramfs.READY)[2].replace("\r", "")
