# SPDX-License-Identifier: GPL-2.0-or-later
"""hyperport list: what can be named on the command line."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from hyperport.errors import FetchError, UsageError

Row = dict[str, Any]


def list_(what: str, *, json: bool) -> None:
    """List the known guests, the devices of a machine with their ports, the engines, or the hypercall conventions."""
    lists = {"guests": guests, "devices": devices, "engines": engines, "abis": abis}
    if what not in lists:
        raise UsageError(f"there is no list of {what!r}: write {', '.join(lists)}. See --help.")
    rows = lists[what]()
    if json:
        import msgspec

        sys.stdout.write(msgspec.json.encode(rows).decode() + "\n")
    else:
        sys.stdout.write(columns(rows))


def guests() -> list[Row]:
    """name, ready (can be run now), description."""
    from hyperport.guests.registry import GUESTS

    return [
        {
            "name": guest.name,
            "ready": "ready" if _is_ready(guest.name) else "to fetch",
            "description": guest.description,
        }
        for guest in GUESTS.values()
    ]


def devices() -> list[Row]:
    """ports and device, for each window of the machine that `hyperport run` builds."""
    from hyperport.machine.machine import Machine

    with Machine() as machine:
        return [
            {"ports": f"{first:04x}-{last:04x}" if last > first else f"{first:04x}", "device": name}
            for first, last, name in machine.bus.map()
        ]


def engines() -> list[Row]:
    """name, works (on this host), and what it is, or why it does not work."""
    from hyperport.engines import ENGINES

    rows = []
    for name, engine in ENGINES.items():
        trouble = [f"{check.name}: {check.detail}" for check in engine.check() if not check.ok]
        rows.append({"name": name, "works": "no" if trouble else "ok", "about": "; ".join(trouble) or engine.summary})
    return rows


def abis() -> list[Row]:
    """name, entry (what makes a call), engines that can offer it, and how a guest finds it."""
    from hyperport.abi import CONVENTIONS
    from hyperport.engines import ENGINES

    return [
        {
            "name": name,
            "entry": str(convention.kind),
            "engines": ",".join(engine.name for engine in ENGINES.values() if engine.offers(name)),
            "about": f"{convention.summary}; found by {convention.found_by}",
        }
        for name, convention in CONVENTIONS.items()
    ]


def columns(rows: Sequence[Row]) -> str:
    """Rows as aligned text, without a heading."""
    if not rows:
        return ""
    widths = [max(len(str(row[key])) for row in rows) for key in rows[0]]
    return "".join(
        "  ".join(str(cell).ljust(width) for cell, width in zip(row.values(), widths, strict=True)).rstrip() + "\n"
        for row in rows
    )


def _is_ready(name: str) -> bool:
    from hyperport.guests.registry import locate

    try:
        locate(name)
    except FetchError:
        return False
    return True
