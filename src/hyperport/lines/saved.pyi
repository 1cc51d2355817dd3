# SPDX-License-Identifier: GPL-2.0-or-later
from typing import Any

from hyperport.lines.listener import Listener

class Saved(Listener):
    name: str
    def save(self) -> dict[str, Any]: ...
    def check(self, record: Any) -> None: ...
    def load(self, record: Any) -> None: ...
