# SPDX-License-Identifier: GPL-2.0-or-later
from hyperport.lines.saved import Saved

class Ps2Keyboard(Saved):
    name: str
    def reset(self) -> None: ...
