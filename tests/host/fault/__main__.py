# SPDX-License-Identifier: GPL-2.0-or-later
"""python -m tests.host.fault [NAME ...]: inject faults and print the calls and counts."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from .harness import build, child, inject
from .scenarios import BACKENDS


def main() -> int:
    """The command line; --child NAME is for inject()."""
    arguments = sys.argv[1:]
    if arguments[:1] == ["--child"]:
        return child(BACKENDS[arguments[1]])
    total = 0
    with tempfile.TemporaryDirectory() as folder:
        library = build(Path(folder))
        for name in arguments or BACKENDS:
            tried = inject(name, library)
            total += tried.total()
            print(f"{name}: {tried.total()} faults: {', '.join(f'{call} {n}' for call, n in sorted(tried.items()))}")
    print(f"{total} faults in all, no crash, no hang, no wrong bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
