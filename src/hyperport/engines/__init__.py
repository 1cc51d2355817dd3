# SPDX-License-Identifier: GPL-2.0-or-later
"""The engines by name. A new engine is one entry here; nothing of it is imported before it is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import Any

from hyperport.engines.base import Check
from hyperport.errors import ConfigError


@dataclass(frozen=True, slots=True)
class EngineEntry:
    """module holds `factory` (makes an engine) and `check` (says what works on this host)."""

    name: str
    summary: str
    module: str
    paths: tuple[str, ...]

    def load(self) -> Any:
        """The engine's factory: (memory, path, interrupt controller, attention, clock) -> Engine."""
        return import_module(self.module).factory

    def check(self) -> list[Check]:
        """What `hyperport doctor` says of this engine."""
        checks: list[Check] = import_module(self.module).check()
        return checks


ENGINES: dict[str, EngineEntry] = {
    entry.name: entry
    for entry in (
        EngineEntry(
            "unicorn",
            "Unicorn 2.1.4, embedded; the default",
            "hyperport.engines.unicorn",
            ("trap", "exit", "hypercall"),
        ),
        EngineEntry(
            "scripted", "no CPU: plays a list of port accesses, for tests", "hyperport.engines.scripted", ("exit",)
        ),
    )
}


def resolve(name: str) -> EngineEntry:
    """The entry for an --engine value; `auto` is unicorn. Raises ConfigError for an unknown name."""
    wanted = "unicorn" if name == "auto" else name
    if wanted not in ENGINES:
        raise ConfigError(f"engine {name!r} is unknown; choose from auto, {', '.join(sorted(ENGINES))}")
    return ENGINES[wanted]
