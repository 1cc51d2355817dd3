# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
"""The role of whatever has a state to save: a table of its fields, and from it the record, its check, and the way back.

A part says once, in declare(), which of its variables are its state, of which kind each is and which values it can have.
save() reads them. check() looks at a whole record and changes nothing. load() checks and then sets them; so whoever has
many parts checks the records of all before it loads the first. A record is a dict of str to int, list of int, or bytes.

What is no plain variable is derived: the part computes it in derived() and takes it back in after_load(). There it also
sets its timers and drives its wires. What fields must have in common is looked at in consistent().
"""

from cpython.bytes cimport PyBytes_AsString, PyBytes_FromStringAndSize
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset

from hyperport.lines.irq cimport IrqLine
from hyperport.lines.listener cimport Listener

from hyperport.errors import StateError

cdef enum Kind:
    NUMBER = 0
    LIST = 1            # so many numbers
    DATA = 2            # bytes, without the zeros at the end
    RING = 3            # bytes of a queue, oldest first
    LEVEL = 4           # of a wire that the part drives
    DERIVED = 5         # a number
    DERIVED_LIST = 6
    DERIVED_DATA = 7

cdef int64_t MOST_BITS = -1


cdef inline uint64_t fetch(const char *at, int size) noexcept nogil:
    cdef uint64_t value = 0
    memcpy(&value, at, <size_t> size)           # little-endian hosts only, see supported_host.py
    return value


cdef class Field:
    """One row of the table."""

    cdef object told(self):
        """Its value now; not for what is derived."""
        cdef Py_ssize_t i
        if self.kind == NUMBER:
            return fetch(self.at, self.size)
        if self.kind == LIST:
            return [fetch(self.at + i * self.stride, self.size) for i in range(self.count)]
        if self.kind == DATA:
            return PyBytes_FromStringAndSize(self.at, self.count).rstrip(b"\0")
        if self.kind == RING:
            return [fetch(self.at + (self.head[0] + i) % self.count, 1) for i in range(self.used[0])]
        return self.line.level

    cdef object check(self, str owner, object value):
        cdef Py_ssize_t i
        if self.kind in (NUMBER, LEVEL, DERIVED):
            self.check_number(owner, value, self.bits)
            if not self.least <= value <= self.most:
                raise StateError(f"{owner}: field {self.name} holds {value}, which is not in {self.least} to {self.most}")
            return None
        if self.kind in (DATA, DERIVED_DATA):
            if not isinstance(value, bytes) or len(value) > self.count:
                raise StateError(f"{owner}: field {self.name} must be at most {self.count} bytes")
            return None
        if not isinstance(value, list | tuple | bytes) or len(value) > self.count:
            raise StateError(f"{owner}: field {self.name} must be a list of at most {self.count} numbers")
        if self.kind != RING and len(value) != self.count:
            raise StateError(f"{owner}: field {self.name} must hold {self.count} numbers")
        for i in range(len(value)):
            self.check_number(owner, value[i], self.bits if self.each == NULL else self.each[i])
        return None

    cdef object check_number(self, str owner, object value, uint64_t bits):
        if not isinstance(value, int) or not 0 <= value < 1 << 64:
            raise StateError(f"{owner}: field {self.name} holds {_short(value)}, which is no number of 64 bits")
        if <uint64_t> value & ~bits:
            raise StateError(f"{owner}: field {self.name} holds {value:#x}, but its bits are {bits:#x}")
        return None

    cdef void take(self, object value):
        """Set it to a value that was checked; not for what is derived."""
        cdef uint64_t number
        cdef bytes octets
        cdef Py_ssize_t i
        if self.kind == NUMBER:
            number = value
            memcpy(self.at, &number, <size_t> self.size)
        elif self.kind == LIST or self.kind == RING:
            for i in range(len(value)):
                number = value[i]
                memcpy(self.at + i * self.stride, &number, <size_t> self.size)
            if self.kind == RING:
                self.head[0] = 0
                self.used[0] = <uint32_t> len(value)
        elif self.kind == DATA:
            octets = value
            memset(self.at, 0, <size_t> self.count)
            memcpy(self.at, PyBytes_AsString(octets), <size_t> len(octets))
        elif self.kind == LEVEL:
            self.line.drive(value)


cdef class Fields:
    """The table of one part. bits: those that the variable can have set; at: the variable, which must stay where it is."""

    def __cinit__(self):
        self.fields = []
        self.parts = []

    cdef Field add(self, str name, int kind, void *at, int size, int64_t bits):
        cdef Field field = Field.__new__(Field)
        field.name, field.kind, field.at, field.size = name, kind, <char *> at, size
        field.count, field.stride = 1, size
        field.bits = <uint64_t> -1 if size == 8 else (<uint64_t> 1 << 8 * size) - 1
        if bits != MOST_BITS:
            field.bits = <uint64_t> bits
        field.least, field.most = 0, <uint64_t> -1
        self.fields.append(field)
        return field

    cdef void flag(self, str name, bint *at):
        """0 or 1."""
        self.add(name, NUMBER, at, sizeof(bint), 1)

    cdef void u8(self, str name, uint8_t *at, int64_t bits=ALL_BITS):
        self.add(name, NUMBER, at, 1, bits)

    cdef void u16(self, str name, uint16_t *at, int64_t bits=ALL_BITS):
        self.add(name, NUMBER, at, 2, bits)

    cdef void u32(self, str name, uint32_t *at, int64_t bits=ALL_BITS):
        self.add(name, NUMBER, at, 4, bits)

    cdef void u64(self, str name, uint64_t *at, int64_t bits=ALL_BITS):
        self.add(name, NUMBER, at, 8, bits)

    cdef void number(self, str name, int *at, int64_t most):
        """From 0 to most."""
        self.add(name, NUMBER, at, sizeof(int), 0x7FFFFFFF).most = <uint64_t> most

    cdef void u8s(self, str name, uint8_t *at, Py_ssize_t count, int64_t bits=ALL_BITS, Py_ssize_t stride=1):
        cdef Field field = self.add(name, LIST, at, 1, bits)
        field.count, field.stride = count, stride

    cdef void masked(self, str name, uint8_t *at, Py_ssize_t count, const uint8_t *each):
        """Bytes with different bits. each: theirs, in a table that stays."""
        cdef Field field = self.add(name, LIST, at, 1, 0xFF)
        field.count, field.each = count, each

    cdef void u32s(self, str name, uint32_t *at, Py_ssize_t count, int64_t bits=ALL_BITS, Py_ssize_t stride=4):
        cdef Field field = self.add(name, LIST, at, 4, bits)
        field.count, field.stride = count, stride

    cdef void i64s(self, str name, int64_t *at, Py_ssize_t count, int64_t bits, Py_ssize_t stride=8):
        """Numbers that are not below 0."""
        cdef Field field = self.add(name, LIST, at, 8, bits)
        field.count, field.stride = count, stride

    cdef void data(self, str name, uint8_t *at, Py_ssize_t most):
        self.add(name, DATA, at, 1, 0xFF).count = most

    cdef void ring(self, str name, uint8_t *at, Py_ssize_t most, uint32_t *head, uint32_t *used):
        """used bytes from head on, which wraps at most."""
        cdef Field field = self.add(name, RING, at, 1, 0xFF)
        field.count, field.head, field.used = most, head, used

    cdef void level(self, str name, IrqLine line):
        self.add(name, LEVEL, NULL, 1, 1).line = line

    cdef void derived(self, str name, int64_t bits):
        self.add(name, DERIVED, NULL, 8, bits)

    cdef void derived_list(self, str name, Py_ssize_t count, int64_t bits):
        self.add(name, DERIVED_LIST, NULL, 8, bits).count = count

    cdef void derived_data(self, str name, Py_ssize_t most):
        self.add(name, DERIVED_DATA, NULL, 1, 0xFF).count = most

    cdef void part(self, str prefix, Saved what):
        """Another part, whose fields are in the same record under their names with this prefix."""
        self.parts.append((prefix, what))


cdef class Saved(Listener):
    """Base of what has a state. A subclass overrides the methods below, and not save(), check() and load()."""

    name = "part"

    cdef declare(self, Fields fields):
        """Name all that is state. Asked once."""
        pass

    cdef before_save(self):
        """Before a save: bring the variables up to now."""
        pass

    cdef dict derived(self):
        """The values of what is derived, by field."""
        return {}

    cdef consistent(self, dict record):
        """Each field is of its kind and range. Raise StateError where they contradict each other; change nothing."""
        pass

    cdef after_load(self, dict record):
        """All variables are set: take what is derived, set timers, drive wires. Must not fail."""
        pass

    cdef Fields fields_of(self):
        if self._fields is None:
            self._fields = Fields()
            self.declare(self._fields)
        return self._fields

    cdef set names(self):
        """Of all fields of the record."""
        cdef Fields table = self.fields_of()
        cdef Field field
        cdef Saved part
        found = {field.name for field in table.fields}
        for prefix, what in table.parts:
            part = what
            found |= {prefix + name for name in part.names()}
        return found

    def save(self):
        """The state as a record: dict of str to int, list of int, or bytes."""
        cdef Fields table = self.fields_of()
        cdef Field field
        self.before_save()
        record = {}
        computed = self.derived()
        for field in table.fields:
            record[field.name] = computed[field.name] if field.kind >= DERIVED else field.told()
        for prefix, part in table.parts:
            record |= {prefix + name: value for name, value in part.save().items()}
        return record

    def check(self, record):
        """Raise StateError for a record that save() cannot have given; change nothing."""
        cdef Fields table = self.fields_of()
        cdef Field field
        if not isinstance(record, dict):
            raise StateError(f"{self.name}: the saved record is {_short(record)} and no dict")
        wrong = set(record) ^ self.names()
        if wrong:
            raise StateError(f"{self.name}: the saved record lacks or adds the fields {', '.join(sorted(map(str, wrong)))}")
        for field in table.fields:
            field.check(self.name, record[field.name])
        for prefix, part in table.parts:
            part.check(without(record, prefix))
        self.consistent(record)

    def load(self, record):
        """Take back what save() gave. Raises StateError, before anything has changed."""
        self.check(record)
        self.apply(record)

    cdef apply(self, dict record):
        cdef Fields table = self.fields_of()
        cdef Field field
        cdef Saved part
        for field in table.fields:
            if field.kind < DERIVED:
                field.take(record[field.name])
        for prefix, what in table.parts:
            part = what
            part.apply(without(record, prefix))
        self.after_load(record)


cdef dict without(dict record, str prefix):
    """The fields with this prefix, under their names without it."""
    return {name[len(prefix):]: value for name, value in record.items() if name.startswith(prefix)}


cdef str _short(object value):
    """A wrong value for a message, of bounded length."""
    return f"a {type(value).__name__}" if not isinstance(value, int | float) else f"{value}"[:40]
