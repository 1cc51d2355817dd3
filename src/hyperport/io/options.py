# SPDX-License-Identifier: GPL-2.0-or-later
"""Options of how port accesses reach the VMM."""

from __future__ import annotations

from typing import Final

from hyperport.io import PATHS
from hyperport.options import Option

OPTIONS: Final = (
    Option(
        "io",
        "how port accesses reach the VMM: `exit`, the default, `trap`, `hypercall` or `exitless`",
        metavar="PATH",
        default="exit",
        values=lambda: PATHS,
    ),
)
