# SPDX-License-Identifier: GPL-2.0-or-later
"""hyperport compare: the same workload, or a guest of the user's, on every path, side by side."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from hyperport.cli.options import COMPARE
from hyperport.errors import UsageError
from hyperport.host.notes import note
from hyperport.host.specs import SerialSpec

Progress = Callable[[int, str], None]

WORKLOAD_RUNS: Final = 9
GUEST_RUNS: Final = 5


def compare(*words: str, **given: Any) -> None:
    """Compare workloads, or a guest. given: the options that were given, by word; see cli/options.py."""
    own = {row.word: given.pop(row.word, row.default) for row in COMPARE}
    if _is_guest(words, own, given):
        rows, left_out, table = _guest(words, own, given)
    else:
        if given:
            raise UsageError(
                f"--{next(iter(given)).replace('_', '-')} is for a guest of your own: name one or give --kernel"
            )
        rows, left_out, table = _workloads(words, own)
    if own["json"]:
        import msgspec

        from hyperport.observe.compare import host

        result = {"rows": rows, "left_out": left_out, "host": host()}
        sys.stdout.write(msgspec.json.encode(result).decode() + "\n")
    else:
        sys.stdout.write(table(rows))


def _is_guest(words: tuple[str, ...], own: dict[str, Any], given: dict[str, Any]) -> bool:
    """Whether a guest is meant, and not workloads."""
    from hyperport.cli.run import is_file_name
    from hyperport.guests.registry import GUESTS
    from hyperport.observe.compare import WORKLOADS

    named = len(words) == 1 and words[0] not in WORKLOADS and (words[0] in GUESTS or is_file_name(words[0]))
    marked = own["begin"] is not None or own["end"] is not None
    return named or marked or not given.keys().isdisjoint(("kernel", "disks", "floppies", "cdroms"))


def _workloads(words: tuple[str, ...], own: dict[str, Any]) -> tuple[list[dict[str, Any]], tuple[str, ...], Any]:
    from hyperport.observe import compare as observed

    repeat = WORKLOAD_RUNS if own["repeat"] is None else own["repeat"]
    plan = observed.make_plan(
        words, own["io"], own["engine"], repeat=repeat, scale=own["scale"], append=own["append"] or ""
    )
    _tell(plan.left_out)
    with _progress(plan.runs) as progress:
        return observed.compare(plan, observed.measure, progress), plan.left_out, observed.table


def _guest(
    words: tuple[str, ...], own: dict[str, Any], given: dict[str, Any]
) -> tuple[list[dict[str, Any]], tuple[str, ...], Any]:
    from hyperport.cli.run import prepare_firmware, settings
    from hyperport.observe import compare_guest as observed
    from hyperport.observe.compare import make_plan
    from hyperport.observe.symbols import load_symbols

    if len(words) > 1:
        raise UsageError(f"{words[0]} and {words[1]}: one guest at a time")
    wanted = settings({**given, "guest": words[0] if words else None, "append": own["append"]}, {})
    prepare_firmware(wanted, {"display": None}, {"serial": (SerialSpec("stdio"),)})
    files = wanted.pop("symbols", ())
    timeout = wanted.pop("timeout", None)
    plan = observed.make_guest_plan(
        words[0] if words else wanted["kernel"].name if "kernel" in wanted else "the guest",
        wanted,
        make_plan((), own["io"], own["engine"]),
        own["begin"] or observed.Mark(observed.START),
        own["end"] or observed.Mark(observed.END),
        repeat=GUEST_RUNS if own["repeat"] is None else own["repeat"],
        timeout=timeout,
        symbols=load_symbols(files, wanted.get("kernel")),
    )
    _tell(plan.left_out)
    with _progress(plan.runs) as progress:
        return observed.compare_guest(plan, progress=progress), plan.left_out, observed.guest_table


def _tell(lines: tuple[str, ...]) -> None:
    for line in lines:
        note(line)


@contextmanager
def _progress(runs: int) -> Iterator[Progress | None]:
    """A line on the terminal that says how far it is; None where there is none."""

    def told(done: int, what: str) -> None:
        print(f"\r\x1b[K{done}/{runs} {what}", end="", file=sys.stderr, flush=True)

    if not sys.stderr.isatty():
        yield None
        return
    try:
        yield told
    finally:
        print("\r\x1b[K", end="", file=sys.stderr, flush=True)
