# SPDX-License-Identifier: GPL-2.0-or-later
"""How a port access reaches the VMM, by the name that `--io` takes."""

from __future__ import annotations

from typing import Final

from hyperport.io.path import ExitPath, PortPath
from hyperport.io.trap import TrapPath

# hypercall: raw accesses of such a guest go by exit; its calls are answered by abi/.
PATHS: Final[dict[str, type[PortPath]]] = {"trap": TrapPath, "exit": ExitPath, "hypercall": ExitPath}
