# SPDX-License-Identifier: GPL-2.0-or-later
"""hyperport compare: the same workload on every path, side by side."""

from __future__ import annotations

import sys
from typing import Annotated

import msgspec
from cyclopts import Parameter

from hyperport.ui.console import note


def compare(
    *workloads: str,
    io: str | None = None,
    engine: str = "auto",
    repeat: int = 9,
    scale: float = 1.0,
    append: Annotated[str, Parameter(allow_leading_hyphen=True)] = "",
    json: Annotated[bool, Parameter(negative="")] = False,
) -> None:
    """Run the same workloads on each path in turn: what a port access costs, and that the guest reads the same.

    Every row is the median of several runs. The exit status is 0 only if all paths gave the guest the same values.

    Parameters
    ----------
    workloads
        Workloads to run: console, cmos, pci, mix, delay, ticks, strings; all by default.
    io
        Paths to compare, with commas between: trap, exit and hypercall by default; also hypercall-kvm and
        hypercall-lguest. On KVM exit-coalesced and exit-in-kernel, the kernel's own ways, come beside them.
    engine
        Engines to compare, with commas between; auto by default.
    repeat
        Runs of each row, alternating.
    scale
        Make every run this many times as long.
    append
        More words for the workloads' command line, as ratio=100 for mix.
    json
        Print one JSON object with rows and host instead of the table.
    """
    from hyperport.observe import compare as observed

    plan = observed.make_plan(workloads, _names(io), _names(engine), repeat=repeat, scale=scale, append=append)
    for line in plan.left_out:
        note(line)
    on_terminal = sys.stderr.isatty()

    def progress(done: int, what: str) -> None:
        print(f"\r\x1b[K{done}/{plan.runs} {what}", end="", file=sys.stderr, flush=True)

    try:
        rows = observed.compare(plan, observed.measure, progress if on_terminal else None)
    finally:
        if on_terminal:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
    if json:
        result = {"rows": rows, "left_out": plan.left_out, "host": observed.host()}
        sys.stdout.write(msgspec.json.encode(result).decode() + "\n")
    else:
        sys.stdout.write(observed.table(rows))


def _names(text: str | None) -> list[str]:
    return [] if text is None else [name.strip() for name in text.split(",")]
