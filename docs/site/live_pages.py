# SPDX-License-Identifier: GPL-2.0-or-later
"""For Sphinx: pages that hyperport itself writes are made anew with each site, and lie beside its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any, Final

from sphinx.application import Sphinx

FOLDER: Final = Path(__file__).parents[2] / "build" / "docs-pages"
PROFILE: Final = ("profile", "stress", "--engine", "unicorn", "--append", "irqs=2000", "--quiet", "--serial", "null")
LIMIT_S: Final = 60


def make(_: Sphinx, __: Any) -> None:
    """Run a guest under the profiler. Its exit status is that of the guest."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    page = FOLDER / "profile-of-stress.html"
    page.unlink(missing_ok=True)
    command = [sys.executable, "-m", "hyperport", *PROFILE, "--html", str(page)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S, check=False)
    if not page.exists():
        raise RuntimeError(f"no profile: {done.stderr}")


def setup(app: Sphinx) -> dict[str, Any]:
    """Sphinx calls this."""
    app.connect("config-inited", make)
    return {"parallel_read_safe": True}
