# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
"""A guest that does what no driver would: plays random bytes as port accesses, as fast as the bus answers.

A step is 8 bytes, little-endian:

    0      bits 0-1  size: 0, 1 a byte, 2 a word, 3 a doubleword
           bit 2     1 OUT, 0 IN
           bits 3-7  what happens, see STEP_ below; all other values: one access at one of the ports
    1-2    which of the ports, modulo their number
    1-3    where in device memory, modulo its size
    4-7    value of an OUT; time; length of a block, and the seed of its data

So the same bytes on the same devices always do the same, and the number of a step finds it again.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy

from hyperport.time.clock cimport VirtualClock
from hyperport.bus.device cimport PortDevice
from hyperport.lines.interrupt_controller cimport InterruptController
from hyperport.bus.access cimport Access, SPACE_MEMORY, describe
from hyperport.bus.port_bus cimport DIRECTION_IN, DIRECTION_OUT, EXIT, PortBus

from hyperport.errors import ConfigError

cdef enum:
    STEP_BYTES = 8
    STEP_TIME = 0           # time passes: 0 to 134 ms, small times as likely as large ones
    STEP_ACKNOWLEDGE = 1    # the CPU takes an interrupt, if one is requested
    STEP_INPUT = 2          # the devices look for input
    STEP_BLOCK = 3          # 1 to 64 elements, as REP INS and REP OUTS do
    STEP_LONG_BLOCK = 4     # 1 to 1,024 elements
    STEP_ANY_PORT = 5       # one of all 65,536 ports
    STEP_AGAIN = 6          # the port of the last access, up to
    STEP_AGAIN_LAST = 11
    STEP_MEMORY = 12        # a load or store in a window of device memory, mapped or not, if there is one; up to
    STEP_MEMORY_LAST = 17
    BLOCK_BYTES = 4096

cdef uint32_t[4] SIZES = [1, 1, 2, 4]
cdef uint64_t FNV_OFFSET = 14695981039346656037u    # FNV-1a, 64 bits
cdef uint64_t FNV_PRIME = 1099511628211u


cdef class WildGuest:
    """Plays steps on a bus.

    ports: where most accesses go. It knows the windows of device memory that the bus has now. progress: a writable buffer
    of 8 bytes, or None; holds the number of the step that is being played (unsigned, native order), for a process that
    watches this one. answers is a checksum over what was read.
    """

    cdef PortBus bus
    cdef VirtualClock clock
    cdef InterruptController controller
    cdef list devices
    cdef uint16_t *ports
    cdef uint32_t port_count
    cdef list windows               # of device memory, by the bus's number: bytes
    cdef uint64_t window_bytes      # of all together
    cdef uint8_t[BLOCK_BYTES] block
    cdef uint64_t[::1] progress
    cdef uint32_t last_port
    cdef readonly uint64_t steps
    cdef readonly uint64_t accesses
    cdef readonly uint64_t elements
    cdef readonly uint64_t answers

    def __cinit__(self, PortBus bus not None, VirtualClock clock not None, ports, controller=None, progress=None):
        ports = list(ports)
        if not ports:
            raise ConfigError("a wild guest needs at least one port")
        self.bus = bus
        self.clock = clock
        self.controller = controller
        self.devices = bus.devices()
        self.windows = [region.size for region, _ in bus._regions]
        self.window_bytes = sum(self.windows)
        self.progress = memoryview(bytearray(8) if progress is None else progress).cast("B").cast("Q")
        self.port_count = <uint32_t> len(ports)
        self.ports = <uint16_t *> malloc(self.port_count * sizeof(uint16_t))
        if self.ports == NULL:
            raise MemoryError("no memory for the list of ports")
        for i, port in enumerate(ports):
            self.ports[<uint32_t> i] = <uint16_t> port
        self.last_port = self.ports[0]
        self.answers = FNV_OFFSET

    def __dealloc__(self):
        free(self.ports)

    def play(self, bytes steps not None):
        """Play all whole steps in these bytes."""
        cdef const uint8_t *step = steps
        cdef Py_ssize_t left = len(steps) // STEP_BYTES
        while left:
            self.progress[0] = self.steps
            self.play_step(step)
            self.steps += 1
            step += STEP_BYTES
            left -= 1

    cdef play_step(self, const uint8_t *step):
        cdef uint32_t size = SIZES[step[0] & 3], kind = step[0] >> 3, value, ns
        cdef bint out = step[0] >> 2 & 1
        cdef Access access
        memcpy(&value, step + 4, 4)
        if kind == STEP_TIME:
            ns = (value >> 5) >> (value & 31)
            self.clock.advance(ns)
        elif kind == STEP_ACKNOWLEDGE:
            if self.controller is not None and self.controller.intr():
                self.note(<uint32_t> self.controller.acknowledge())
        elif kind == STEP_INPUT:
            for device in self.devices:
                (<PortDevice> device).on_input()
        elif kind == STEP_BLOCK or kind == STEP_LONG_BLOCK:
            self.last_port = self.pick(step)
            self.move_block(out, size, 1 + value % (64 if kind == STEP_BLOCK else 1024), value)
        elif STEP_MEMORY <= kind <= STEP_MEMORY_LAST and self.windows:
            self.touch_memory(out, size, step[1] | step[2] << 8 | step[3] << 16, value)
        else:
            if kind == STEP_ANY_PORT:
                self.last_port = value >> 16
            elif kind > STEP_AGAIN_LAST:
                self.last_port = self.pick(step)
            self.accesses += 1
            self.elements += 1
            describe(&access, DIRECTION_OUT if out else DIRECTION_IN, self.last_port, size, EXIT, NULL, 0)
            access.value = value
            self.bus.carry(&access)
            if not out:
                self.note(access.value)

    cdef touch_memory(self, bint out, uint32_t size, uint64_t at, uint32_t value):
        cdef Access access
        cdef uint32_t window = 0
        at = at % self.window_bytes & ~<uint64_t> (size - 1)
        while at >= self.windows[window]:
            at -= self.windows[window]
            window += 1
        self.accesses += 1
        self.elements += 1
        describe(&access, DIRECTION_OUT if out else DIRECTION_IN, <uint32_t> at, size, EXIT, NULL, 0)
        access.space = SPACE_MEMORY
        access.value = value
        if size < 4:
            access.value &= (1 << 8 * size) - 1
        self.bus.carry_memory(&access, window, <uint32_t> at)
        if not out:
            self.note(access.value)

    cdef uint32_t pick(self, const uint8_t *step) noexcept nogil:
        return self.ports[(step[1] | step[2] << 8) % self.port_count]

    cdef void move_block(self, bint out, uint32_t size, uint32_t count, uint32_t seed) noexcept nogil:
        cdef uint32_t i
        cdef Access access
        self.accesses += 1
        self.elements += count
        describe(&access, DIRECTION_OUT if out else DIRECTION_IN, self.last_port, size, EXIT, NULL, 0)
        access.count = count
        access.data = self.block
        if not out:
            self.bus.carry(&access)
            for i in range(size * count):
                self.note(self.block[i])
            return
        for i in range(size * count):
            seed = seed * 1664525 + 1013904223      # a linear congruential generator: Numerical Recipes, 7.1
            self.block[i] = seed >> 24
        self.bus.carry(&access)

    cdef void note(self, uint32_t answer) noexcept nogil:
        self.answers = (self.answers ^ answer) * FNV_PRIME
