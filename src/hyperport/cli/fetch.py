# SPDX-License-Identifier: GPL-2.0-or-later
"""hyperport fetch: bring known guests into the cache."""

from __future__ import annotations

import sys

from hyperport.guests import registry


def fetch(*names: str) -> None:
    """Fetch known guests from the Debian archive into the cache."""
    for name in names:
        registry.find(name)  # a wrong name is told before anything is downloaded
    for name in names:
        registry.fetch(name, lambda message: print(message, file=sys.stderr, flush=True))
