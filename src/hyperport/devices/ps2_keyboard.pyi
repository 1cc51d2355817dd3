# SPDX-License-Identifier: GPL-2.0-or-later
from collections.abc import Mapping
from typing import Any

FIELDS: dict[str, int | tuple[int, int]]

class Ps2Keyboard:
    name: str
    def reset(self) -> None: ...
    def save(self) -> dict[str, Any]: ...
    def load(self, record: Mapping[str, Any]) -> None: ...
