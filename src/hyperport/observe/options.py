# SPDX-License-Identifier: GPL-2.0-or-later
"""Options of what is told about a run."""

from __future__ import annotations

from typing import Final

from hyperport.options import FILE, FILES, Option

OPTIONS: Final = (
    Option("stats", "write statistics as JSON", FILE, metavar="FILE", values=FILES, see="Statistics", of_machine=False),
    Option("report", "print the port-access table on stderr at the end", of_machine=False),
    Option(
        "trace-ports",
        "write every port access on stderr or into FILE",
        metavar="FILE",
        alone="-",
        values=FILES,
        see="Port traces",
        of_machine=False,
    ),
)
