# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
"""Devices written in plain Python, made to meet the compiled contract: takes the GIL for each access.

An exception in such a device never reaches the guest. It is kept, the access is answered with all ones,
the run is stopped, and run() raises the exception with its own traceback.
"""

from cpython.bytes cimport PyBytes_AsString, PyBytes_FromStringAndSize
from libc.stdint cimport uint8_t, uint32_t
from libc.string cimport memcpy, memset

from hyperport.lines.attention cimport Attention
from hyperport.bus.device cimport PortDevice

import traceback

from hyperport.lines.attention import StopKind
from hyperport.errors import ConfigError


def adapt(device):
    """device itself where it is a PortDevice, else a PythonDevice around it. ConfigError if it is neither."""
    if isinstance(device, PortDevice):
        return device
    missing = [name for name in ("read", "write") if not callable(getattr(device, name, None))]
    if missing:
        raise ConfigError(f"{type(device).__name__} is no port device: it has no {' and no '.join(missing)}(); "
                          "see docs/devices.md")
    return PythonDevice(device)


cdef class PythonDevice(PortDevice):
    """The adapter around one plain Python device."""

    cdef readonly object target
    cdef readonly str name
    cdef readonly object span
    cdef readonly object widths
    cdef readonly object widths_at
    cdef Attention attention
    cdef object read_many
    cdef object write_many
    cdef object says            # the target's attributes(offset), or None

    def __init__(self, target):
        self.target = target
        self.name = str(getattr(target, "name", None) or type(target).__name__.lower())
        try:
            self.span = int(getattr(target, "span", 1))
            self.widths = tuple(getattr(target, "widths", (1,)))
            self.widths_at = {int(at): tuple(widths) for at, widths in dict(getattr(target, "widths_at", {})).items()}
        except (TypeError, ValueError) as error:
            raise ConfigError(f"{self.name}: span must be a number, widths a tuple of numbers, and widths_at a dict of "
                              f"offsets to such tuples ({error})") from error
        self.read_many = getattr(target, "read_block", None)
        self.write_many = getattr(target, "write_block", None)
        self.says = getattr(target, "attributes", None)

    def connect(self, Attention attention not None):
        """Say whose run an exception stops."""
        self.attention = attention

    cdef void failed(self, error):
        if self.attention is None:      # nobody runs it: a test, or a bus without a machine
            traceback.print_exception(error)
            return
        self.attention.stop(StopKind.DEVICE_ERROR, 0, error, f"{self.name} raised {type(error).__name__}: {error}")

    cdef uint32_t io_read(self, uint32_t offset, uint32_t size) noexcept with gil:
        try:
            return <uint32_t> (int(self.target.read(offset, size)) & 0xFFFFFFFF)
        except BaseException as error:
            self.failed(error)
            return 0xFFFFFFFF

    cdef void io_write(self, uint32_t offset, uint32_t size, uint32_t value) noexcept with gil:
        try:
            self.target.write(offset, size, value)
        except BaseException as error:
            self.failed(error)

    cdef void io_read_block(self, uint32_t offset, uint32_t size, uint32_t count, uint8_t *data) noexcept nogil:
        self.block_in(offset, size, count, data)

    cdef void block_in(self, uint32_t offset, uint32_t size, uint32_t count, uint8_t *data) noexcept with gil:
        cdef uint32_t i, value
        cdef bytes got
        try:
            if self.read_many is None:
                for i in range(count):
                    value = <uint32_t> (int(self.target.read(offset, size)) & 0xFFFFFFFF)
                    memcpy(data + i * size, &value, size)
                return
            got = bytes(self.read_many(offset, size, count))
            if len(got) != <Py_ssize_t> size * count:
                raise ValueError(f"read_block gave {len(got)} bytes for {count} elements of {size}")
            memcpy(data, PyBytes_AsString(got), len(got))
        except BaseException as error:
            memset(data, 0xFF, <size_t> size * count)
            self.failed(error)

    cdef void io_write_block(self, uint32_t offset, uint32_t size, uint32_t count, const uint8_t *data) noexcept nogil:
        self.block_out(offset, size, count, data)

    cdef void block_out(self, uint32_t offset, uint32_t size, uint32_t count, const uint8_t *data) noexcept with gil:
        cdef uint32_t i, value
        try:
            if self.write_many is not None:
                self.write_many(offset, size,
                                PyBytes_FromStringAndSize(<const char *> data, <Py_ssize_t> size * count))
                return
            for i in range(count):
                value = 0
                memcpy(&value, data + i * size, size)
                self.target.write(offset, size, value)
        except BaseException as error:
            self.failed(error)

    cdef uint32_t attributes(self, uint32_t offset) noexcept with gil:
        if self.says is None:
            return 0
        try:
            return <uint32_t> (int(self.says(offset)) & 0xFFFFFFFF)
        except BaseException as error:
            self.failed(error)
            return 0

    cdef void on_timer(self, int number) noexcept with gil:
        try:
            self.target.on_timer(number)
        except BaseException as error:
            self.failed(error)

    def reset(self):
        reset = getattr(self.target, "reset", None)
        if reset is not None:
            reset()

    def save(self):
        save = getattr(self.target, "save", None)
        return {} if save is None else save()

    def load(self, record):
        load = getattr(self.target, "load", None)
        if load is not None:
            load(record)
