# SPDX-License-Identifier: GPL-2.0-or-later
"""How a port access reaches the VMM: the strategies, by the name that `--io` takes."""

from __future__ import annotations

from typing import Final

from hyperport.io.exit import ExitPath
from hyperport.io.hypercall import HypercallPath
from hyperport.io.path import PortPath
from hyperport.io.trap import TrapPath

STRATEGIES: Final[dict[str, type[PortPath]]] = {path.name: path for path in (TrapPath, ExitPath, HypercallPath)}
