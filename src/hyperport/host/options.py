# SPDX-License-Identifier: GPL-2.0-or-later
"""Options of the host's end of chips."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from hyperport.host.specs import (
    DISK_SETTINGS,
    NET_KINDS,
    NET_SETTINGS,
    PASSTHROUGH_SETTINGS,
    SERIAL_FILES,
    SERIAL_KINDS,
    DiskSpec,
    FloppySpec,
    parse_disk,
    parse_floppy,
    parse_net,
    parse_passthrough,
    parse_serial,
)
from hyperport.options import FILE, FILES, Kind, Option

SERIAL_WORDS: Final = tuple(f"{kind}:" if kind in SERIAL_FILES else kind for kind in SERIAL_KINDS)
NET_WORDS: Final = tuple(f"{kind}=" if target else kind for kind, target in NET_KINDS.items())
DISK: Final = Kind(parse_disk, take=lambda disk: DiskSpec(path=disk) if isinstance(disk, Path) else disk)
FLOPPY: Final = Kind(parse_floppy, take=lambda given: FloppySpec(path=given) if isinstance(given, Path) else given)

OPTIONS: Final = (
    Option(
        "serial",
        "the console: `stdio` (default), `pty`, `null`, `file:PATH`, `unix:PATH`, or `tty:PATH`, a serial port of the "
        "host; given again it is COM2, COM3, COM4",
        parse_serial,
        metavar="WHERE",
        many=True,
        values=SERIAL_WORDS,
        of_machine=False,
    ),
    Option(
        "debugcon",
        "port 0xe9, and a firmware's log at 0x402; as `--serial`, `null` by default",
        parse_serial,
        metavar="WHERE",
        values=SERIAL_WORDS,
        of_machine=False,
    ),
    Option(
        "parallel",
        "a printer on LPT1; as `--serial`. Without it there is no parallel port",
        parse_serial,
        metavar="WHERE",
        values=SERIAL_WORDS,
        of_machine=False,
    ),
    Option(
        "disk",
        "a hard disk: a raw or qcow2 image, or `nbd:unix:PATH`; up to four drives, hda first; may be repeated",
        DISK,
        metavar="FILE[,ro][,overlay=FILE][,snapshot]",
        word="disks",
        many=True,
        adds_up=True,
        values=FILES,
        then=(f"{word}=" if word == "overlay" else word for word in DISK_SETTINGS),
        see="Disks and CD-ROMs",
    ),
    Option(
        "floppy",
        "a floppy of 160 KB to 2.88 MB in drive A, given again in drive B: an image, a folder, or `none` for an empty "
        "drive",
        FLOPPY,
        metavar="FILE[,ro]",
        word="floppies",
        many=True,
        adds_up=True,
        values=FILES,
        then=("ro",),
        see="Floppies",
    ),
    Option(
        "cdrom",
        "a CD-ROM: an image, or a folder; hdc, if that is free; may be repeated",
        FILE,
        metavar="FILE",
        word="cdroms",
        many=True,
        adds_up=True,
        values=FILES,
        see="Disks and CD-ROMs",
    ),
    Option(
        "net",
        "a network card: `user`, `none`, `tap=INTERFACE`, `socket=PATH` or `listen=PATH`, then settings with commas; "
        "may be repeated",
        parse_net,
        metavar="CABLE[,SETTING]",
        many=True,
        adds_up=True,
        values=NET_WORDS,
        then=(f"{key}=" for key in NET_SETTINGS),
        see="The network",
    ),
    Option(
        "passthrough",
        "ports of the host at the same numbers, as `0x378-0x37f`, or a parallel port of the host at LPT1's, as "
        "`/dev/parport0`; may be repeated",
        parse_passthrough,
        metavar="PORTS[,irq=N,uio=FILE][,via=FILE]",
        many=True,
        adds_up=True,
        values=FILES,
        then=(f"{word}=" for word in PASSTHROUGH_SETTINGS),
        see="Ports of the host",
    ),
)
