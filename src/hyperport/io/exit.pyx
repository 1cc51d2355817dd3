# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
"""Stage 2 of an access on the path `exit`. Next: bus/port_bus.pyx.

The engine has already said port, size, direction and data, so carry() hands the access to the bus. simulate() is left for INS and
OUTS of code that needs the I/O map, which Unicorn's translator reads as HLT (engines/unicorn/code_filter.pyx).
"""

from hyperport.io.path cimport PortPath


cdef class ExitPath(PortPath):
    """`--io exit`: the engine reports each access."""

    name = "exit"
