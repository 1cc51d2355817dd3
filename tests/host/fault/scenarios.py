# SPDX-License-Identifier: GPL-2.0-or-later
"""The backends whose host calls are made to fail. A new one: a class with prepare(), act() and check(), and a row."""

from __future__ import annotations

from typing import Final

from .disks import CdromScenario, DiskScenario
from .harness import Backends
from .kernel import PasstScenario, TapScenario, TtyScenario
from .streams import (
    CableScenario,
    OwnEnd,
    PcapScenario,
    PipeScenario,
    TraceScenario,
    WholeFileScenario,
)

BACKENDS: Final[Backends] = {
    "disk": lambda: DiskScenario(),
    "disk-without-cache": lambda: DiskScenario(cache=False),
    "disk-read-only": lambda: DiskScenario(read_only=True),
    "disk-snapshot": lambda: DiskScenario(snapshot=True),
    "disk-overlay-new": lambda: DiskScenario(overlay="new"),
    "disk-overlay": lambda: DiskScenario(overlay="old"),
    "cdrom": CdromScenario,
    "line-file": lambda: OwnEnd("file"),
    "line-pipe": PipeScenario,
    "line-pty": lambda: OwnEnd("pty"),
    "line-unix": lambda: OwnEnd("unix"),
    "line-tty": TtyScenario,
    "net-tap": TapScenario,
    "net-user": PasstScenario,
    "net-listen": lambda: CableScenario("listen"),
    "net-socket": lambda: CableScenario("socket"),
    "pcap": PcapScenario,
    "trace": TraceScenario,
    "stats-and-screenshot": WholeFileScenario,
}
