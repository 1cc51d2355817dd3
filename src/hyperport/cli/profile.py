# SPDX-License-Identifier: GPL-2.0-or-later
"""hyperport profile: run a guest, and say which port costs most and who calls it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from hyperport.cli.run import run
from hyperport.host import streams
from hyperport.host.notes import note
from hyperport.host.specs import SerialSpec
from hyperport.observe.options import PROFILE
from hyperport.outcome import STATUS_IO

if TYPE_CHECKING:
    from hyperport.machine.machine import Machine
    from hyperport.observe.filter_program import FilterProgram
    from hyperport.observe.profile import Profile
    from hyperport.observe.symbols import Symbols

STDIO: Final = SerialSpec("stdio")


def profile(guest: str | None = None, **given: Any) -> int:
    """Run a guest and report. given: the options that were given, by word; returns the exit status of the run."""
    own = {row.word: given.pop(row.word, row.default) for row in PROFILE}
    files = _files(own)
    if files:
        from hyperport.host.files import check_destination

        for file in files:
            check_destination(file, "profile")
    status, result = profiled(guest, given, console=not own["json"])
    if result is None:
        return status
    try:
        complete = _write(result, own, files)
        sys.stdout.flush()
    except BrokenPipeError:
        if status != STATUS_IO:
            raise
        streams.abandon(streams.STDOUT)  # its reader has gone before: then that is how the run has ended
        return status
    return status if complete else STATUS_IO


def profiled(guest: str | None, given: dict[str, Any], *, console: bool) -> tuple[int, dict[str, Any] | None]:
    """Run a guest under a profile; returns the run's exit status and the report, None where there was no run.

    given: the options that were given, by word; console: whether the guest's console may be on stdout.
    """
    if not console and not given.get("serial"):
        given["serial"] = (SerialSpec("null"),)
    started: list[Profile] = []

    def watch(machine: Machine, symbols: Symbols | None, program: FilterProgram | None) -> Profile:
        from hyperport.observe.profile import Profile
        from hyperport.observe.profile_text import Live

        on_screen = STDIO in (given.get("serial") or (STDIO,)) and sys.stdout.isatty()
        live = Live(sys.stderr) if sys.stderr.isatty() and not on_screen and not given.get("quiet") else None
        started.append(Profile(machine, symbols, program, live))
        return started[0]

    status = run(guest, watch=watch, **given)
    return status, started[0].result if started else None


def _files(own: dict[str, Any]) -> dict[Path, Callable[[dict[str, Any]], bytes]]:
    """What is written where, as --html and the like say. Raises ConfigError where a package for it is missing."""
    files: dict[Path, Callable[[dict[str, Any]], bytes]] = {}
    if own["html"] is not None:
        from hyperport.observe.profile_html import page

        files[own["html"]] = page
    if own["speedscope"] is not None:
        from hyperport.observe.profile_export import speedscope

        files[own["speedscope"]] = speedscope
    if own["pprof"] is not None:
        from hyperport.observe.profile_export import pprof, require_protobuf

        require_protobuf()
        files[own["pprof"]] = pprof
    return files


def _write(result: dict[str, Any], own: dict[str, Any], files: dict[Path, Callable[[dict[str, Any]], bytes]]) -> bool:
    """The files, and the table or the JSON object on stdout. False where one of the files could not be written."""
    from hyperport.host.files import write_whole

    complete = True
    for file, make in files.items():
        try:
            write_whole(file, make(result))
        except OSError as error:
            note(f"profile: {file}: {error.strerror or error}; it is not written")
            complete = False
    if own["json"]:
        import msgspec

        sys.stdout.write(msgspec.json.encode(result).decode() + "\n")
    else:
        from hyperport.observe.profile_text import columns_of, text_report

        sys.stdout.write(text_report(result, own["top"], columns_of(sys.stdout)))
    return complete
