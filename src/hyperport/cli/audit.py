# SPDX-License-Identifier: GPL-2.0-or-later
"""hyperport audit: which ports a guest needs, and for whom."""

from __future__ import annotations

import sys
from typing import Any

from hyperport.cli.project import runs_of
from hyperport.host.notes import hint
from hyperport.observe.options import AUDIT


def audit(*words: str, **given: Any) -> int:
    """The allow-list of saved runs, or of a run that is made now. given: the options that were given, by word."""
    from hyperport.host.files import check_destination, write_whole
    from hyperport.observe.audit import allow_list, as_rows, known_grants, needs, outside
    from hyperport.observe.figures import counted

    own = {row.word: given.pop(row.word, row.default) for row in AUDIT}
    if own["output"] is not None:
        check_destination(own["output"], "allow-list")
    grants = None if own["against"] is None else known_grants(own["against"])
    status, runs = runs_of(list(words), given, console=not own["json"] and own["output"] is not None)
    if not runs:
        return status
    total = sum(run.accesses for run in runs)
    if grants is not None:
        runs = outside(runs, grants)
    found = needs(runs)
    if own["json"]:
        import msgspec

        told = {"runs": [run.what for run in runs], "notes": [line for run in runs for line in run.notes],
                "against": own["against"], "accesses": total, "grants": as_rows(found)}  # fmt: skip
        content = msgspec.json.encode(told) + b"\n"
    else:
        content = allow_list(runs, found).encode()
    if own["output"] is not None:
        write_whole(own["output"], content)
    else:
        sys.stdout.write(content.decode())
    ports = sum(need.grant.last - need.grant.first + 1 for need in found)
    made = sum(run.accesses for run in runs)
    beyond = "" if grants is None else f" outside {own['against']}"
    hint(f"{counted(len(found), 'line')}, {counted(ports, 'port')}, {made:,} of {counted(total, 'access')}{beyond}")
    return status
