# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
"""Devices written in plain Python, made to meet the compiled contract: takes the GIL for each access.

An exception in such a device never reaches the guest. It is kept, the access is answered with all ones, the run is
stopped, and run() raises the exception, with the user's frames and a note: which device, port, offset and data, and
where the guest was.
"""

from cpython.bytes cimport PyBytes_AsString, PyBytes_FromStringAndSize
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset

from hyperport.cpu.vcpu cimport Place, Vcpu
from hyperport.lines.attention cimport Attention
from hyperport.bus.device cimport PortDevice
from hyperport.lines.irq cimport IrqLine
from hyperport.time.clock cimport Timer

import traceback

from hyperport.bus import plain_device
from hyperport.lines.attention import StopKind
from hyperport.errors import ConfigError, StateError

NOTE = "hyperport: device "     # how the note that an exception is given begins
cdef uint64_t NEVER = <uint64_t> -1
cdef Py_ssize_t SHOWN = 16      # bytes of a block that the note shows


def adapt(device):
    """device itself where it is a PortDevice, else a PythonDevice around it. ConfigError if it is neither."""
    if isinstance(device, PortDevice):
        return device
    missing = [name for name in ("read", "write") if not callable(getattr(device, name, None))]
    if missing:
        raise ConfigError(f"{type(device).__name__} is no port device: it has no {' and no '.join(missing)}(); "
                          "see docs/devices.md")
    return PythonDevice(device)


cdef str octets(uint32_t size):
    return "1 byte" if size == 1 else f"{size} bytes"


cdef class PythonDevice(PortDevice):
    """The adapter around one plain Python device."""

    cdef readonly object target
    cdef readonly str name
    cdef readonly object span
    cdef readonly object widths
    cdef readonly object widths_at
    cdef readonly object memory_span
    cdef readonly object memory_widths
    cdef Attention attention
    cdef Vcpu vcpu
    cdef object base
    cdef object window          # its Region, or None
    cdef object read_many
    cdef object write_many
    cdef object says            # the target's attributes(offset), or None

    def __init__(self, target):
        self.target = target
        self.name = str(getattr(target, "name", None) or type(target).__name__.lower())
        try:
            self.span = int(getattr(target, "span", 1))
            self.widths = tuple(getattr(target, "widths", (1,)))
            self.memory_span = int(getattr(target, "memory_span", 0))
            self.memory_widths = tuple(getattr(target, "memory_widths", (1, 2, 4)))
            self.widths_at = {int(at): tuple(widths) for at, widths in dict(getattr(target, "widths_at", {})).items()}
        except (TypeError, ValueError) as error:
            raise ConfigError(f"{self.name}: spans must be numbers, widths tuples of numbers, and widths_at a dict of "
                              f"offsets to such tuples ({error})") from error
        missing = [name for name in ("memory_read", "memory_write") if not callable(getattr(target, name, None))]
        if self.memory_span and missing:
            raise ConfigError(f"{self.name} has device memory, but no {' and no '.join(missing)}(); see docs/devices.md")
        self.read_many = getattr(target, "read_block", None)
        self.write_many = getattr(target, "write_block", None)
        self.says = getattr(target, "attributes", None)

    def connect(self, Attention attention not None, base=None, vcpu=None, window=None):
        """Say whose run an exception stops; base: the device's first port; vcpu: an engine, which knows where it is.

        window: the Region of its memory.
        """
        self.window = window
        self.attention = attention
        self.base = base
        self.vcpu = vcpu if isinstance(vcpu, Vcpu) else None

    cdef void failed(self, error, str doing, offset=None, bint in_memory=False):
        """Keep what the device raised while it was doing something; offset: None outside accesses."""
        error.add_note(self.note(doing, offset, in_memory))
        if self.attention is None:      # nobody runs it: a test, or a bus without a machine
            traceback.print_exception(error)
            return
        try:
            told = f"{self.name} raised {type(error).__name__}: {error}"
        except Exception:               # its __str__ is the user's code too
            told = f"{self.name} raised {type(error).__name__}"
        self.attention.stop(StopKind.DEVICE_ERROR, 0, error, told)

    cdef str note(self, str doing, offset, bint in_memory):
        cdef Place place
        at = ""
        if in_memory:
            at = f", memory offset {offset:#x}" if self.window is None else \
                f", address {self.window.base + offset:#x} (memory offset {offset:#x})"
        elif offset is not None:
            at = f", offset {offset:#x}" if self.base is None else f", port {self.base + offset:#x} (offset {offset:#x})"
        where = ""
        if self.vcpu is not None and self.vcpu.why and offset is not None:
            self.vcpu.place(self.vcpu.token, &place)
            where = f"; the guest is {'at' if place.exact else 'near'} {place.cs:04x}:{place.eip:08x}"
        return f"{NOTE}{self.name}{at}: {doing}{where}"

    cdef uint32_t io_read(self, uint32_t offset, uint32_t size) noexcept with gil:
        try:
            return <uint32_t> (int(self.target.read(offset, size)) & 0xFFFFFFFF)
        except BaseException as error:
            self.failed(error, f"read of {octets(size)}", offset)
            return 0xFFFFFFFF

    cdef void io_write(self, uint32_t offset, uint32_t size, uint32_t value) noexcept with gil:
        try:
            self.target.write(offset, size, value)
        except BaseException as error:
            self.failed(error, f"write of {octets(size)}, value {value:#x}", offset)

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
            self.failed(error, f"read of {count} times {octets(size)}", offset)

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
            begin = data[:min(<Py_ssize_t> size * count, SHOWN)].hex(" ")
            self.failed(error, f"write of {count} times {octets(size)}, which begin with {begin}", offset)

    cdef uint32_t mem_read(self, uint32_t offset, uint32_t size) noexcept with gil:
        try:
            return <uint32_t> (int(self.target.memory_read(offset, size)) & 0xFFFFFFFF)
        except BaseException as error:
            self.failed(error, f"read of {octets(size)}", offset, True)
            return 0xFFFFFFFF

    cdef void mem_write(self, uint32_t offset, uint32_t size, uint32_t value) noexcept with gil:
        try:
            self.target.memory_write(offset, size, value)
        except BaseException as error:
            self.failed(error, f"write of {octets(size)}, value {value:#x}", offset, True)

    cdef uint32_t attributes(self, uint32_t offset) noexcept with gil:
        if self.says is None:
            return 0
        try:
            return <uint32_t> (int(self.says(offset)) & 0xFFFFFFFF)
        except BaseException as error:
            self.failed(error, "its attributes were asked for", offset)
            return 0

    cdef void on_timer(self, int number) noexcept with gil:
        try:
            self.target.on_timer(number)
        except BaseException as error:
            self.failed(error, "its timer was due")

    cdef void on_line(self, int number, int level) noexcept with gil:
        """DACK is the one wire into a device in Python (lines/dma.pyx)."""
        if not level:
            return
        try:
            self.target.on_dma()
        except BaseException as error:
            self.failed(error, "its DMA channel was granted")

    def reset(self):
        reset = getattr(self.target, "reset", None)
        if reset is not None:
            reset()

    # Saved: the line and the deadline of the wires that the machine gave, and the target's own record.

    def save(self):
        """line: the level of its wire. deadline: of its timer, ns since power-on, or None. own: what its save() gave."""
        return {"line": self.line(), "deadline": self.deadline(), "own": plain_device.saved(self.name, self.target)}

    def check(self, record):
        if not isinstance(record, dict) or set(record) != {"line", "deadline", "own"}:
            raise StateError(f"{self.name}: the saved record is not one of a device in Python")
        deadline = record["deadline"]
        if record["line"] not in (0, 1) or not isinstance(record["line"], int):
            raise StateError(f"{self.name}: field line is no level: 0 or 1")
        if deadline is not None and (not isinstance(deadline, int) or not 0 <= deadline < NEVER):
            raise StateError(f"{self.name}: field deadline is no time in ns")
        plain_device.check(self.name, self.target, record["own"])

    def load(self, record):
        self.check(record)
        plain_device.load(self.name, self.target, record["own"])
        irq, timer = getattr(self.target, "irq", None), getattr(self.target, "timer", None)
        if isinstance(irq, IrqLine):
            irq.set(record["line"])
        if isinstance(timer, Timer):
            timer.cancel()
            if record["deadline"] is not None:
                timer.arm_at(record["deadline"])

    cdef int line(self):
        irq = getattr(self.target, "irq", None)
        return (<IrqLine> irq).level if isinstance(irq, IrqLine) else 0

    cdef object deadline(self):
        timer = getattr(self.target, "timer", None)
        if not isinstance(timer, Timer) or (<Timer> timer).deadline == NEVER:
            return None
        return (<Timer> timer).deadline
