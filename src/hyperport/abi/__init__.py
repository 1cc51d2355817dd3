# SPDX-License-Identifier: GPL-2.0-or-later
"""Hypercall conventions, one file each. A new one is a file here that has a CONVENTION; no other file names it."""

from __future__ import annotations

import pkgutil
from collections.abc import Iterable
from importlib import import_module
from typing import TYPE_CHECKING, Any

from hyperport.errors import ConfigError

if TYPE_CHECKING:
    from hyperport.abi.convention import Convention

    CONVENTIONS: dict[str, Convention]


def find() -> dict[str, Convention]:
    """The CONVENTION of every file in this folder, by name: doorbells first, then by name."""
    from hyperport.abi.convention import Entry

    modules = [import_module(f"{__name__}.{found.name}") for found in pkgutil.iter_modules(__path__)]
    found = [module.CONVENTION for module in modules if hasattr(module, "CONVENTION")]
    return {one.name: one for one in sorted(found, key=lambda one: (list(Entry).index(one.kind), one.name))}


def __getattr__(name: str) -> Any:
    """CONVENTIONS is made when it is first used: a machine without hypercalls needs none of it."""
    if name != "CONVENTIONS":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    made = globals()[name] = find()
    return made


def conventions(names: Iterable[str]) -> tuple[Convention, ...]:
    """The conventions of these names, each once, in the table's order. Raises ConfigError."""
    from hyperport.abi import CONVENTIONS

    wanted = set(names)
    for name in sorted(wanted - set(CONVENTIONS)):
        raise ConfigError(f"hypercall ABI {name!r} is not known; choose from {', '.join(CONVENTIONS)}")
    return tuple(convention for name, convention in CONVENTIONS.items() if name in wanted)
