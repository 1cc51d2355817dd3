# SPDX-License-Identifier: GPL-2.0-or-later
"""The Unicorn engine: embedded, works on every x86-64 Linux host. Start reading at engine.pyx."""

from __future__ import annotations

from hyperport.engines.base import Check
from hyperport.engines.unicorn.engine import UnicornEngine
from hyperport.engines.unicorn.library import library_path
from hyperport.engines.unicorn.selftest import self_test
from hyperport.errors import EngineError

factory = UnicornEngine


def check() -> list[Check]:
    """Whether the library is the one we know and runs guest code right."""
    try:
        checks = [Check("library", True, str(library_path()))]
        self_test()
    except EngineError as error:
        return [Check("library", False, str(error))]
    checks.append(Check("self-test", True, "layout, exceptions, interrupts, ports and stores as expected"))
    return checks
