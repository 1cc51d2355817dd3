# SPDX-License-Identifier: GPL-2.0-or-later
"""Options of the machine as a whole."""

from __future__ import annotations

from typing import Final

from hyperport.machine.plugins import class_names, parse_device
from hyperport.options import FILE, FILES, MIB, SECONDS, SIZE, Option

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
