# SPDX-License-Identifier: GPL-2.0-or-later
"""Options of the hypercalls that are offered."""

from __future__ import annotations

from typing import Final

from hyperport.options import NAMES, Option

DEFAULT_ABI: Final = ("vmi",)


def _conventions() -> list[str]:
    from hyperport.abi import CONVENTIONS

    return list(CONVENTIONS)


def _vmi_calls() -> list[str]:
    from hyperport.abi.numbers import VMI_BY_NAME
    from hyperport.abi.rom import SETS

    return [*SETS, *VMI_BY_NAME]


OPTIONS: Final = (
    Option(
        "abi",
        "with `--io hypercall`: which conventions are offered, of those in `hyperport list abis`, "
        "as `vmi,kvm`; `vmi` by default",
        NAMES,
        metavar="LIST",
        default=DEFAULT_ABI,
        values=_conventions,
        lists=True,
        see="abi.md",
    ),
    Option(
        "vmi-calls",
        "what the VMI ROM offers: `minimal` (the port calls and what a kernel cannot do without), which is the "
        "default; `full` (all that kernels ask for, the timer included); or names, numbers and ranges, as "
        "`INB,OUTB,58-60`",
        NAMES,
        metavar="LIST",
        values=_vmi_calls,
        lists=True,
    ),
)
