# SPDX-License-Identifier: GPL-2.0-or-later
"""hyperport compare: the same workload on every path, side by side."""

from __future__ import annotations

import sys

from hyperport.host.notes import note


def compare(
    *workloads: str, io: tuple[str, ...], engine: tuple[str, ...], repeat: int, scale: float, append: str, json: bool
) -> None:
    """Run the same workloads on each path in turn, and print a row for each. Options: see cli/options.py."""
    from hyperport.observe import compare as observed

    plan = observed.make_plan(workloads, io, engine, repeat=repeat, scale=scale, append=append)
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
        import msgspec

        result = {"rows": rows, "left_out": plan.left_out, "host": observed.host()}
        sys.stdout.write(msgspec.json.encode(result).decode() + "\n")
    else:
        sys.stdout.write(observed.table(rows))
