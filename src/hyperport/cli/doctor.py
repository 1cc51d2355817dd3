# SPDX-License-Identifier: GPL-2.0-or-later
"""hyperport doctor: what works on this host, and why not.

A check is a function that gives findings, with a row in CHECKS. Only the embedded engine decides the exit status: all
else is wanted by some of hyperport's verbs, or by those who work on hyperport.
"""

from __future__ import annotations

import os
import platform
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Final

from hyperport.outcome import STATUS_INTERNAL, STATUS_OK

EMBEDDED_ENGINE: Final = "unicorn"
PROGRAMS: Final = (
    ("apt-get", "for hyperport fetch"),
    ("gcc", "for hyperport cc, for guest programs in tests, and to build hyperport from source"),
    ("passt", "for --net user"),
    ("qemu-nbd", "for qcow2 images"),
    ("qemu-system-i386", "for the tests and benchmarks that compare with it"),
)


@dataclass(frozen=True, slots=True)
class Finding:
    """One line: does name work, and what there is to say about it. required: without it no guest can run."""

    name: str
    ok: bool
    detail: str
    required: bool = False


def python() -> Iterator[Finding]:
    """The interpreter and the host."""
    running = (
        f"{platform.python_implementation()} {platform.python_version()} on {platform.system()} {platform.machine()}"
    )
    yield Finding("python", sys.version_info >= (3, 11), f"{running}; 3.11 or later is needed", required=True)


def embedded_engine() -> Iterator[Finding]:
    """What the engine's own check says of the library and its layout."""
    try:
        from hyperport.engines import ENGINES

        checks = ENGINES[EMBEDDED_ENGINE].check()
    except ImportError as error:
        yield Finding(EMBEDDED_ENGINE, False, f"cannot be loaded: {error}; install hyperport again", required=True)
        return
    for check in checks:
        yield Finding(f"{EMBEDDED_ENGINE}: {check.name}", check.ok, check.detail, required=True)


def kvm() -> Iterator[Finding]:
    """Whether the host's KVM can be used, is hardware, and runs 32-bit guests; and what --engine auto makes of it."""
    from hyperport.engines import ENGINES, automatic

    for check in ENGINES["kvm"].check():
        yield Finding(f"kvm: {check.name}", check.ok, check.detail)
    engine, reason = automatic()
    yield Finding("engine auto", True, f"takes {engine.name}: {reason}")


def programs() -> Iterator[Finding]:
    """Programs of the host that some verbs call."""
    for name, purpose in PROGRAMS:
        found = shutil.which(name)
        yield Finding(name, found is not None, f"{found or 'not found'}; {purpose}")


def cache() -> Iterator[Finding]:
    """Where fetched guests are kept."""
    from hyperport.host.cache import cache_directory

    directory = cache_directory()
    existing = next(parent for parent in (directory, *directory.parents) if parent.exists())
    writable = os.access(existing, os.W_OK)
    detail = f"{directory}" if writable else f"{directory} cannot be written; set XDG_CACHE_HOME to another place"
    yield Finding("cache", writable, detail)


def terminal() -> Iterator[Finding]:
    """Whether the console gets its keys."""
    on_terminal = os.isatty(0)
    yield Finding(
        "terminal", on_terminal, "raw input, escape key" if on_terminal else "stdin is not a terminal: no escape key"
    )


CHECKS: Final[tuple[Callable[[], Iterator[Finding]], ...]] = (python, embedded_engine, kvm, programs, cache, terminal)


def doctor(*, json: bool) -> int:
    """Say what works on this host, and why not. The exit status is 0 if guests can be run."""
    findings = [finding for check in CHECKS for finding in check()]
    if json:
        import msgspec

        sys.stdout.write(msgspec.json.encode([asdict(finding) for finding in findings]).decode() + "\n")
    else:
        width = max(len(finding.name) for finding in findings)
        for finding in findings:
            print(f"{'ok' if finding.ok else 'no':<4}{finding.name:<{width}}  {finding.detail}")
    return STATUS_OK if all(finding.ok for finding in findings if finding.required) else STATUS_INTERNAL
