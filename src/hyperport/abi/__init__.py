# SPDX-License-Identifier: GPL-2.0-or-later
"""Hypercall conventions, one file each. A new one is a file with a CONVENTION and its name in the tuple below."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from hyperport.abi import kvm, lguest, vmi
from hyperport.abi.convention import Convention
from hyperport.errors import ConfigError

CONVENTIONS: Final[dict[str, Convention]] = {module.CONVENTION.name: module.CONVENTION for module in (vmi, kvm, lguest)}


def conventions(names: Iterable[str]) -> tuple[Convention, ...]:
    """The conventions of these names, each once, in the table's order. Raises ConfigError."""
    wanted = set(names)
    for name in sorted(wanted - set(CONVENTIONS)):
        raise ConfigError(f"hypercall ABI {name!r} is not known; choose from {', '.join(CONVENTIONS)}")
    return tuple(convention for name, convention in CONVENTIONS.items() if name in wanted)
