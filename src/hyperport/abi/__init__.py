# SPDX-License-Identifier: GPL-2.0-or-later
"""Hypercall conventions, one file each. A new one is a file here that has a CONVENTION; no other file names it."""

from __future__ import annotations

import pkgutil
from collections.abc import Iterable
from importlib import import_module
from typing import Final

from hyperport.abi.convention import Convention, Entry
from hyperport.errors import ConfigError


def find() -> dict[str, Convention]:
    """The CONVENTION of every file in this folder, by name: doorbells first, then by name."""
    modules = [import_module(f"{__name__}.{found.name}") for found in pkgutil.iter_modules(__path__)]
    found = [module.CONVENTION for module in modules if hasattr(module, "CONVENTION")]
    return {one.name: one for one in sorted(found, key=lambda one: (list(Entry).index(one.kind), one.name))}


CONVENTIONS: Final[dict[str, Convention]] = find()


def conventions(names: Iterable[str]) -> tuple[Convention, ...]:
    """The conventions of these names, each once, in the table's order. Raises ConfigError."""
    wanted = set(names)
    for name in sorted(wanted - set(CONVENTIONS)):
        raise ConfigError(f"hypercall ABI {name!r} is not known; choose from {', '.join(CONVENTIONS)}")
    return tuple(convention for name, convention in CONVENTIONS.items() if name in wanted)
