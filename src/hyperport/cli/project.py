# SPDX-License-Identifier: GPL-2.0-or-later
"""hyperport project: what a run's port accesses would take on another host."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hyperport.errors import UsageError
from hyperport.host.notes import note
from hyperport.observe.options import PROJECT
from hyperport.outcome import STATUS_OK

if TYPE_CHECKING:
    from hyperport.observe.saved_run import SavedRun


def project(word: str | None = None, **given: Any) -> int:
    """Project a saved run, or one that is made now. given: the options that were given, by word."""
    from hyperport.observe.figures import counted
    from hyperport.observe.hosts import HOSTS
    from hyperport.observe.projection import project as projected
    from hyperport.observe.projection import projection_text

    own = {row.word: given.pop(row.word, row.default) for row in PROJECT}
    # Those without a figure are left out where nobody named them.
    hosts = own["hosts"] or [host for host in HOSTS.values() if host.ways[0].cost is not None]
    status, runs = runs_of([] if word is None else [word], given, console=not own["json"])
    if not runs:
        return status
    run = runs[0]
    guest_s = own["guest_time"] if own["guest_time"] is not None else run.seconds
    found = [projected(run, host, guest_s) for host in hosts]
    if own["json"]:
        import msgspec

        told = {"run": run.what, "engine": run.engine, "io": run.io, "accesses": run.accesses,
                "crossings": run.crossings, "notes": run.notes, "hosts": found}  # fmt: skip
        sys.stdout.write(msgspec.json.encode(told).decode() + "\n")
        return status
    transfers = counted(sum(use.transfers for use in run.uses), "instruction")
    made = f"{counted(run.accesses, 'access')}, {transfers}, {counted(run.crossings, 'crossing')}"
    sys.stdout.write(f"{run.what}: {made} by {run.io} on {run.engine}\n\n")
    sys.stdout.write("\n".join(projection_text(run, each) for each in found))
    for line in run.notes:
        note(f"{word or run.what}: {line}")
    return status


def is_image(word: str) -> bool:
    """Whether a word names what `run` starts, and no saved run."""
    from hyperport.boot.image import recognise
    from hyperport.errors import ImageError

    try:
        recognise(word.partition(",")[0])
    except ImageError:
        return False
    return True


def runs_of(words: list[str], given: dict[str, Any], *, console: bool) -> tuple[int, list[SavedRun]]:
    """The runs that are meant, and the exit status: of files, or of a guest that is run now under a profile.

    given: options of `run`; with files only --symbols. Raises UsageError for a mixture.
    """
    from hyperport.guests.registry import GUESTS
    from hyperport.observe.saved_run import from_profile, load_run
    from hyperport.observe.symbols import load_symbols

    files = [word for word in words if word not in GUESTS and not is_image(word)]
    if files and len(files) == len(words):
        others = sorted(set(given) - {"symbols", "quiet", "verbose"})
        if others:
            raise UsageError(f"{files[0]} is a saved run: --{others[0].replace('_', '-')} is for a guest that is run")
        symbols = load_symbols(given.get("symbols", ()))
        return STATUS_OK, [load_run(Path(file), symbols) for file in files]
    if len(words) > 1:
        raise UsageError(f"{words[0]} and {words[1]}: name one guest, or files of saved runs")
    from hyperport.cli.profile import profiled

    status, report = profiled(words[0] if words else None, given, console=console)
    return status, [] if report is None else [from_profile(report)]
