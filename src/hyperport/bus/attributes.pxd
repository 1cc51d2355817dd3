# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
from libc.stdint cimport uint8_t, uint32_t

cdef enum:
    POSTABLE_SHIFT = 0      # bit of an OUT of 1 byte; the next two are for 2 and for 4
    SHADOWED_SHIFT = 3      # the same for INs
    SIZE_BITS = 7

cdef inline uint32_t postable(uint32_t sizes) noexcept nogil:
    """Attribute bits: OUTs of these sizes (1 | 2 | 4) may come late."""
    return (sizes & SIZE_BITS) << POSTABLE_SHIFT

cdef inline uint32_t shadowed(uint32_t sizes) noexcept nogil:
    """Attribute bits: INs of these sizes (1 | 2 | 4) have no effect, and each change of their answer is published."""
    return (sizes & SIZE_BITS) << SHADOWED_SHIFT

cdef class AttributeObserver:
    cdef void changed(self, uint32_t port, uint32_t attributes) noexcept nogil
    cdef void shown(self, uint32_t port, uint32_t attributes) noexcept nogil

cdef class PortAttributes:
    cdef uint8_t *rows          # by port: the attribute bits that hold now, or, while nobody observes, held when last asked
    cdef uint8_t *sizes         # by port: sizes that go whole to one device, 1 | 2 | 4
    cdef void **observers
    cdef Py_ssize_t observer_count
    cdef list _watching
    cdef object _devices        # with windows, weak: they hold this object
    cdef ask_devices(self, bint observed)
    cdef void set(self, uint32_t port, uint32_t attributes) noexcept nogil
