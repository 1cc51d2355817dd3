# SPDX-License-Identifier: GPL-2.0-or-later
from hyperport.io.path import PortPath

def clock_cost() -> int: ...

class TrapPath(PortPath):
    profile: bool
    traps_profiled: int
    fault_ticks: int
    decode_ticks: int
    simulate_ticks: int
