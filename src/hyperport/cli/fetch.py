# SPDX-License-Identifier: GPL-2.0-or-later
"""hyperport fetch: bring known guests into the cache."""

from __future__ import annotations

import sys

from hyperport.guests import registry


def fetch(names: list[str]) -> None:
    """Fetch known guests (debian, debian-pae, memtest) from the Debian archive into the cache.

    Needs apt-get, but no root, and changes nothing of the system's apt. A guest that is there in its newest version
    is left as it is.

    Parameters
    ----------
    names
        Guests to fetch, as `hyperport list guests` names them.
    """
    for name in names:
        registry.find(name)  # a wrong name is told before anything is downloaded
    for name in names:
        registry.fetch(name, lambda message: print(message, file=sys.stderr, flush=True))
