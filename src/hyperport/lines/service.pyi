# SPDX-License-Identifier: GPL-2.0-or-later
from hyperport.lines.saved import Saved

class Service(Saved):
    def reset(self) -> None: ...
