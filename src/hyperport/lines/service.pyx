# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
"""The role of a part that answers hypercalls which are no port accesses: it knows numbers and arguments, no vCPU."""

from libc.stdint cimport uint32_t, uint64_t

from hyperport.lines.saved cimport Saved


cdef class Service(Saved):
    """Answers 0. Base of all that answers calls."""

    cdef uint64_t serve(self, uint32_t number, const uint32_t *arguments) noexcept nogil:
        """The guest has made the call with this number of its convention; returns the result, low word first.

        On the vCPU's thread, without the GIL; must not allocate. arguments: as many as the convention has registers for.
        """
        return 0

    def reset(self):
        """Power-on, or the machine starts again."""
