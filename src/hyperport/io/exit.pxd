# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
from hyperport.io.path cimport PortPath

cdef class ExitPath(PortPath):
    pass
