# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
"""What every engine counts since power-on."""

from libc.stdint cimport uint64_t

from hyperport.engines.base import EngineCounters


cdef dict by_vector(uint64_t *counts):
    return {vector: counts[vector] for vector in range(256) if counts[vector]}


cdef class Counters:
    """By vector: exceptions, INT n and interrupts; HLTs, and loads and stores where no RAM is."""

    cdef object record(self):
        """As EngineCounters."""
        return EngineCounters(exceptions=by_vector(self.exceptions), software_interrupts=by_vector(self.software),
                              interrupts=by_vector(self.interrupts), hlts=self.hlts, mmio=self.mmio)
