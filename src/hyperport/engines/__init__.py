# SPDX-License-Identifier: GPL-2.0-or-later
"""The engines by name. A new engine is one entry here; nothing of it is imported before it is asked for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from hyperport.errors import ConfigError, EngineError
from hyperport.io import CALLED

if TYPE_CHECKING:
    from hyperport.engines.base import Check


@dataclass(frozen=True, slots=True)
class EngineEntry:
    """module holds `factory` (makes an engine) and `check` (says what works on this host)."""

    name: str
    summary: str
    module: str
    paths: tuple[str, ...]
    entries: tuple[str, ...] = ()  # kinds of hypercalls that it can notice: abi/convention.py, Entry
    counts: bool = False  # the guest's instructions, as time/insn_clock.pyx needs it

    def offers(self, abi: str) -> bool:
        """Whether it can offer the hypercall convention of this name."""
        from hyperport.abi import CONVENTIONS

        return abi in CONVENTIONS and CONVENTIONS[abi].kind in self.entries

    def load(self) -> Any:
        """The engine's factory: (memory, path, interrupt controller, attention, clock) -> Engine."""
        return import_module(self.module).factory

    def check(self) -> list[Check]:
        """What `hyperport doctor` says of this engine."""
        checks: list[Check] = import_module(self.module).check()
        return checks


PREFERRED: Final = "kvm"  # what auto looks for first

ENGINES: dict[str, EngineEntry] = {
    entry.name: entry
    for entry in (
        EngineEntry(
            "unicorn",
            "Unicorn 2.1.4, embedded; the default",
            "hyperport.engines.unicorn",
            ("trap", "exit", "hypercall", "exitless"),
            ("doorbell", "instruction", "vector"),
            counts=True,
        ),
        EngineEntry(
            "kvm",
            "/dev/kvm: the host's processor runs the guest",
            "hyperport.engines.kvm",
            ("exit", "hypercall", "exitless"),
            ("doorbell",),
        ),
        EngineEntry(
            "scripted", "no CPU: plays a list of port accesses, for tests", "hyperport.engines.scripted", ("exit",)
        ),
    )
}


def resolve(name: str, path: str = "exit", abis: Iterable[str] = (), counts: bool = False) -> EngineEntry:
    """The entry for an --engine value, given those of --io and --abi; counts: for a clock of instructions.

    Raises ConfigError for an unknown name.
    """
    if name == "auto":
        return automatic(path, abis, counts)[0]
    if name not in ENGINES:
        raise ConfigError(f"engine {name!r} is unknown; choose from auto, {', '.join(sorted(ENGINES))}")
    return ENGINES[name]


def automatic(path: str = "exit", abis: Iterable[str] = (), counts: bool = False) -> tuple[EngineEntry, str]:
    """What `auto` takes, and why: KVM where it is hardware and serves this path, ABIs and clock, else Unicorn."""
    from hyperport.engines.kvm import host

    if path not in ENGINES[PREFERRED].paths:
        return ENGINES["unicorn"], f"kvm has no path {path}"
    if counts and not ENGINES[PREFERRED].counts:
        return ENGINES["unicorn"], "kvm counts no instructions"
    wanted = set(abis) if path in CALLED else set()
    if missing := sorted(abi for abi in wanted if not ENGINES[PREFERRED].offers(abi)):
        return ENGINES["unicorn"], f"kvm has no ABI {', '.join(missing)}"
    try:
        found = host.examine()
    except EngineError as error:
        reason = str(error).removeprefix("kvm: ").partition(" use --engine")[0]  # that is what we do
        return ENGINES["unicorn"], reason.removesuffix(";").removesuffix(", or")
    return ENGINES[PREFERRED if found.hardware else "unicorn"], f"/dev/kvm is {found}"
