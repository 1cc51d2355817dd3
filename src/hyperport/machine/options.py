# SPDX-License-Identifier: GPL-2.0-or-later
"""Options of the machine as a whole."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from hyperport.errors import UsageError
from hyperport.machine.plugins import class_names, parse_device
from hyperport.options import FILE, FILES, MIB, SECONDS, SIZE, Option, one_of

TRIPLE_FAULTS: Final = ("end", "reset")
SEABIOS: Final = "seabios"
NO_BIOS: Final = "none"
ORDER_LETTERS: Final = {"a": "the floppy", "c": "the hard disk", "d": "the CD-ROM"}


def parse_bios(text: str) -> str | Path:
    """seabios, none, or a file."""
    return text if text in (SEABIOS, NO_BIOS) else FILE.text(text)


def parse_order(text: str) -> str:
    """Letters of drives, each at most once."""
    letters = text.replace(",", "")
    if "n" in letters:
        raise UsageError(
            f"boot order {text!r}: there is no boot ROM for the network; start iPXE from a CD-ROM or floppy"
        )
    if not letters or set(letters) - ORDER_LETTERS.keys() or len(set(letters)) < len(letters):
        raise UsageError(
            f"boot order {text!r}: write letters, each once: {', '.join(map(' '.join, ORDER_LETTERS.items()))}"
        )
    return letters


OPTIONS: Final = (
    Option(
        "mem",
        "RAM: a number of MiB, or with K, M or G; 128 by default, from 1M to 3072M in steps of 4 KiB",
        SIZE,
        metavar="SIZE",
        short="m",
        word="memory",
        default=128 * MIB,
    ),
    Option(
        "device",
        "a device in Python; may be repeated",
        parse_device,
        metavar="FILE.py:Class,base=PORT[,irq=N][,memory=ADDRESS][,key=value]",
        word="devices",
        many=True,
        adds_up=True,
        values=FILES,
        then=("base=", "irq=", "memory="),
        inside=class_names,
        see="devices.md#attaching-one",
    ),
    Option(
        "bios",
        "the firmware that starts the machine: `seabios`, a file, or `none`; without a kernel it is SeaBIOS",
        parse_bios,
        metavar="FILE",
        values=FILES,
        see="Images and firmware",
    ),
    Option(
        "boot",
        "which drives firmware starts from, in order: of the letters `a` (floppy), `c` (hard disk) and `d` (CD-ROM)",
        parse_order,
        metavar="ORDER",
        see="Images and firmware",
    ),
    Option("screen-on-serial", "let SeaBIOS show the screen's text on COM1 as well, and take keys from there"),
    Option("reboot", "start a kernel again when the guest resets the machine; with firmware that is so anyhow"),
    Option("no-reboot", "end the run when the guest resets the machine, also with firmware"),
    Option(
        "triple-fault",
        "what a triple fault does: `end` the run (default), or `reset` the machine",
        one_of("triple fault", TRIPLE_FAULTS),
        metavar="WHAT",
        default=TRIPLE_FAULTS[0],
        values=TRIPLE_FAULTS,
    ),
    Option("testdev", "put the workloads' test device at port 0x340"),
    Option(
        "save",
        "save the machine when the run is ended from outside: by `--timeout`, a signal or Ctrl-a x; also the monitor's "
        "`save FILE`, at any moment",
        FILE,
        metavar="FILE",
        values=FILES,
        of_machine=False,
        see="Saving a machine",
    ),
    Option(
        "restore",
        "go on with a saved machine, which brings its options with it; those given here are stronger",
        FILE,
        metavar="FILE",
        values=FILES,
        of_machine=False,
        in_file=False,
        see="Saving a machine",
    ),
    Option("timeout", "end the run after that time of the host", SECONDS, metavar="SECONDS", of_machine=False),
)
