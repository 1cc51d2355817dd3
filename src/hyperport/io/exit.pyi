# SPDX-License-Identifier: GPL-2.0-or-later
from hyperport.io.path import PortPath

class ExitPath(PortPath): ...
