# SPDX-License-Identifier: GPL-2.0-or-later
from hyperport.lines.saved import Saved

class Ps2Mouse(Saved):
    def reset(self) -> None: ...
