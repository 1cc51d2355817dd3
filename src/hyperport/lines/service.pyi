# SPDX-License-Identifier: GPL-2.0-or-later
from hyperport.lines.listener import Listener

class Service(Listener): ...
