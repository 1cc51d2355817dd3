# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from hyperport.lines.irq cimport IrqLine
from hyperport.lines.listener cimport Listener

cdef enum:
    ALL_BITS = -1       # of a field: as many as it has

cdef class Field:
    cdef str name
    cdef int kind
    cdef int size                   # bytes of a number
    cdef char *at                   # where the first one is
    cdef Py_ssize_t count, stride   # numbers of a list, and bytes from one to the next
    cdef uint64_t bits, least, most
    cdef const uint8_t *each        # of a list of bytes: the bits of each one; NULL: all the same
    cdef uint32_t *head
    cdef uint32_t *used
    cdef IrqLine line
    cdef object told(self)
    cdef object check(self, str owner, object value)
    cdef object check_number(self, str owner, object value, uint64_t bits)
    cdef void take(self, object value)

cdef class Fields:
    cdef list fields
    cdef list parts
    cdef Field add(self, str name, int kind, void *at, int size, int64_t bits)
    cdef void flag(self, str name, bint *at)
    cdef void u8(self, str name, uint8_t *at, int64_t bits=*)
    cdef void u16(self, str name, uint16_t *at, int64_t bits=*)
    cdef void u32(self, str name, uint32_t *at, int64_t bits=*)
    cdef void u64(self, str name, uint64_t *at, int64_t bits=*)
    cdef void number(self, str name, int *at, int64_t most)
    cdef void u8s(self, str name, uint8_t *at, Py_ssize_t count, int64_t bits=*, Py_ssize_t stride=*)
    cdef void masked(self, str name, uint8_t *at, Py_ssize_t count, const uint8_t *each)
    cdef void u32s(self, str name, uint32_t *at, Py_ssize_t count, int64_t bits=*, Py_ssize_t stride=*)
    cdef void i64s(self, str name, int64_t *at, Py_ssize_t count, int64_t bits, Py_ssize_t stride=*)
    cdef void data(self, str name, uint8_t *at, Py_ssize_t most)
    cdef void ring(self, str name, uint8_t *at, Py_ssize_t most, uint32_t *head, uint32_t *used)
    cdef void level(self, str name, IrqLine line)
    cdef void derived(self, str name, int64_t bits)
    cdef void derived_list(self, str name, Py_ssize_t count, int64_t bits)
    cdef void derived_data(self, str name, Py_ssize_t most)
    cdef void part(self, str prefix, Saved what)

cdef class Saved(Listener):
    cdef Fields _fields
    cdef Fields fields_of(self)
    cdef declare(self, Fields fields)
    cdef before_save(self)
    cdef dict derived(self)
    cdef consistent(self, dict record)
    cdef after_load(self, dict record)
    cdef set names(self)
    cdef apply(self, dict record)
