# SPDX-License-Identifier: GPL-2.0-or-later
from hyperport.paths.port_path import PortPath

class TrapPath(PortPath):
    profile: bool
    traps_taken: int
    decode_ticks: int
    simulate_ticks: int
