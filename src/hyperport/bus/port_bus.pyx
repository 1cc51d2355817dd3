# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
"""Stage 3 of an access: from a port number to the device that owns it. Next: devices/ (one file per chip).

65,536 slots, each owned by one device or by nobody. The rules of a PC's port space live here and nowhere
else:

- An access goes whole to a device that takes its width and owns all its ports; any other wide access is
  split into halves, down to bytes, lowest port first, as the ISA bridge of a PC does.
- Nobody home: reads give all ones, writes vanish.
- Ports end at FFFFh: the bytes of a wide access beyond it belong to nobody (silicon leaves this undefined).

Every access is tallied by port, direction, size and path, always. The tallies are one flat table of zero
pages, of which the host only holds what was touched.
"""

from cpython.bytes cimport PyBytes_AsString, PyBytes_FromStringAndSize
from libc.stdint cimport uint8_t, uint32_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memset

from hyperport.bus.device cimport PortDevice

from hyperport.bus.access import Direction, PortAccess, PortCount
from hyperport.bus.python_device import adapt
from hyperport.errors import AccessError, ConfigError

cdef enum:
    SIZES = 3           # 1, 2 and 4 bytes, at index size >> 1


cdef inline uint32_t tally_index(uint32_t port, int direction, uint32_t size, int path) noexcept nogil:
    return ((port * 2 + direction) * SIZES + (size >> 1)) * PATHS + path


cdef inline uint32_t ones(uint32_t size) noexcept nogil:
    return (<uint32_t> 0xFFFFFFFF) >> (32 - 8 * size)


cdef class PortObserver:
    """Sees every access after it happened. Costs nothing while none is attached."""

    cdef void access(self, int direction, uint32_t port, uint32_t size, uint32_t count,
                     const uint8_t *data, int path) noexcept nogil:
        pass


cdef class CallbackObserver(PortObserver):
    """Hands each access to a Python callable as a PortAccess. A callable that raises is dropped, with a note."""

    cdef object callback

    def __init__(self, callback):
        self.callback = callback

    cdef void access(self, int direction, uint32_t port, uint32_t size, uint32_t count,
                     const uint8_t *data, int path) noexcept with gil:
        if self.callback is None:
            return
        try:
            self.callback(PortAccess(Direction(direction), port, size, count,
                                     PyBytes_FromStringAndSize(<const char *> data, <Py_ssize_t> size * count),
                                     Path(path)))
        except Exception as error:
            self.callback = None
            import sys
            print(f"hyperport: port observer dropped, it raised {error!r}", file=sys.stderr)


cdef class PortBus:
    """The port space of one machine."""

    def __cinit__(self):
        self.tallies = <Tally *> calloc(PORTS * 2 * SIZES * PATHS, sizeof(Tally))
        if self.tallies == NULL:
            raise MemoryError("no memory for the port counters")
        self.window_count = 1       # window 0 is nobody
        self.observer_count = 0
        self._attached = []
        self._watching = []

    def __dealloc__(self):
        free(self.tallies)

    # Accesses, from the paths.

    cdef uint32_t read(self, uint32_t port, uint32_t size, int path) noexcept nogil:
        cdef uint32_t value = self.route_read(port, size)
        cdef Tally *tally = &self.tallies[tally_index(port, DIRECTION_IN, size, path)]
        tally.accesses += 1
        tally.crossings += 1
        if self.observer_count:
            self.tell(DIRECTION_IN, port, size, 1, <const uint8_t *> &value, path)
        return value

    cdef void write(self, uint32_t port, uint32_t size, uint32_t value, int path) noexcept nogil:
        cdef Tally *tally = &self.tallies[tally_index(port, DIRECTION_OUT, size, path)]
        tally.accesses += 1
        tally.crossings += 1
        self.route_write(port, size, value & ones(size))
        if self.observer_count:
            self.tell(DIRECTION_OUT, port, size, 1, <const uint8_t *> &value, path)

    cdef void read_block(self, uint32_t port, uint32_t size, uint32_t count, uint8_t *data, int path,
                         uint32_t crossings) noexcept nogil:
        """count elements of a string, packed little-endian into data."""
        cdef Window *window = &self.windows[self.slots[port]]
        cdef Tally *tally = &self.tallies[tally_index(port, DIRECTION_IN, size, path)]
        cdef uint32_t i, value
        tally.accesses += count
        tally.crossings += crossings
        if window.device != NULL and window.widths & size and port + size - 1 <= window.last:
            (<PortDevice> window.device).io_read_block(window.offset + port - window.first, size, count, data)
        elif self.nobody_at(port, size):
            memset(data, 0xFF, size * count)
        else:
            for i in range(count):
                value = self.route_read(port, size)
                memcpy(data + i * size, &value, size)
        if self.observer_count:
            self.tell(DIRECTION_IN, port, size, count, data, path)

    cdef void write_block(self, uint32_t port, uint32_t size, uint32_t count, const uint8_t *data, int path,
                          uint32_t crossings) noexcept nogil:
        """count elements of a string, packed little-endian in data."""
        cdef Window *window = &self.windows[self.slots[port]]
        cdef Tally *tally = &self.tallies[tally_index(port, DIRECTION_OUT, size, path)]
        cdef uint32_t i, value
        tally.accesses += count
        tally.crossings += crossings
        if window.device != NULL and window.widths & size and port + size - 1 <= window.last:
            (<PortDevice> window.device).io_write_block(window.offset + port - window.first, size, count, data)
        elif not self.nobody_at(port, size):
            for i in range(count):
                value = 0
                memcpy(&value, data + i * size, size)
                self.route_write(port, size, value)
        if self.observer_count:
            self.tell(DIRECTION_OUT, port, size, count, data, path)

    cdef bint nobody_at(self, uint32_t port, uint32_t size) noexcept nogil:
        """Whether none of these ports has an owner."""
        cdef uint32_t i
        for i in range(size):
            if port + i < PORTS and self.slots[port + i]:
                return False
        return True

    cdef uint32_t route_read(self, uint32_t port, uint32_t size) noexcept nogil:
        cdef Window *window
        cdef uint32_t half, low, high
        if port >= PORTS:
            return ones(size)
        window = &self.windows[self.slots[port]]
        if window.device != NULL and window.widths & size and port + size - 1 <= window.last:
            return (<PortDevice> window.device).io_read(window.offset + port - window.first, size) & ones(size)
        if size == 1:
            return 0xFF
        half = size >> 1
        low = self.route_read(port, half)
        high = self.route_read(port + half, half)
        return low | high << (8 * half)

    cdef void route_write(self, uint32_t port, uint32_t size, uint32_t value) noexcept nogil:
        cdef Window *window
        cdef uint32_t half
        if port >= PORTS:
            return
        window = &self.windows[self.slots[port]]
        if window.device != NULL and window.widths & size and port + size - 1 <= window.last:
            (<PortDevice> window.device).io_write(window.offset + port - window.first, size, value)
        elif size > 1:
            half = size >> 1
            self.route_write(port, half, value & ones(half))
            self.route_write(port + half, half, value >> (8 * half))

    cdef void tell(self, int direction, uint32_t port, uint32_t size, uint32_t count, const uint8_t *data,
                   int path) noexcept nogil:
        cdef int i
        for i in range(self.observer_count):
            (<PortObserver> self.observers[i]).access(direction, port, size, count, data, path)

    # Building.

    def attach(self, device, base, span=None, offset=0):
        """Give ports base .. base + span - 1 to device, as its offsets offset .. offset + span - 1.

        device: a PortDevice, or any object with read(offset, size) and write(offset, size, value)
        (and optionally span, widths, name, read_block, write_block). span defaults to all of the device from
        offset on. Returns the PortDevice that was attached. Raises ConfigError for an overlap.
        """
        cdef PortDevice target = self._adapter_of(device)
        cdef int index
        if span is None:
            span = target.span - offset
        if not 0 <= base < PORTS or span < 1 or base + span > PORTS:
            raise ConfigError(f"{target.name}: ports {base:#x} to {base + span - 1:#x} are outside 0 to 0xffff")
        if offset < 0 or offset + span > target.span:
            raise ConfigError(f"{target.name}: offsets {offset} to {offset + span - 1} are outside its span of {target.span}")
        widths = tuple(target.widths)
        if not widths or not set(widths) <= {1, 2, 4}:
            raise ConfigError(f"{target.name}: widths are {widths}, each must be 1, 2 or 4")
        for port in range(base, base + span):
            if self.slots[port]:
                raise ConfigError(f"{target.name}: port {port:#x} belongs to {self.owner(port)}; give another base")
        index = self.window_count
        if index == MAX_WINDOWS:
            raise ConfigError(f"{target.name}: more than {MAX_WINDOWS - 1} port windows on one bus")
        self.windows[index] = Window(<void *> target, base, base + span - 1, offset, sum(widths))
        for port in range(base, base + span):
            self.slots[port] = index
        self.window_count += 1
        self._attached.append((index, target))
        return target

    def _adapter_of(self, device):
        """What stands for device on this bus: one adapter for all windows of a plain Python device."""
        for _, attached in self._attached:
            if device is attached or device is getattr(attached, "target", None):
                return attached
        return adapt(device)

    def observe(self, observer):
        """Add a PortObserver, or a callable that takes a PortAccess. At most 8."""
        cdef PortObserver watching
        watching = observer if isinstance(observer, PortObserver) else CallbackObserver(observer)
        if self.observer_count == MAX_OBSERVERS:
            raise ConfigError(f"more than {MAX_OBSERVERS} port observers")
        self._watching.append(watching)
        self.observers[self.observer_count] = <void *> watching
        self.observer_count += 1

    # Asking.

    def owner(self, uint32_t port):
        """Name of the device that owns port, or None."""
        cdef Window *window
        if port >= PORTS:
            raise AccessError(f"port {port:#x} is outside 0 to 0xffff")
        window = &self.windows[self.slots[port]]
        return None if window.device == NULL else (<PortDevice> window.device).name

    def devices(self):
        """The attached devices, each once, in order of attachment."""
        return list({id(device): device for _, device in self._attached}.values())

    def map(self):
        """Rows (first port, last port, device name), by port."""
        return sorted((self.windows[index].first, self.windows[index].last, device.name)
                      for index, device in self._attached)

    def postable(self):
        """Runs of ports, as (first port, count), whose devices let writes come late."""
        cdef Window *window
        ports = set()
        for index, device in self._attached:
            window = &self.windows[<int> index]
            ports.update(window.first + offset - window.offset for offset in device.postable
                         if window.offset <= offset <= window.offset + window.last - window.first)
        starts = sorted(port for port in ports if port - 1 not in ports)
        return [(first, next(n for n in range(1, PORTS + 1) if first + n not in ports)) for first in starts]

    def counts(self):
        """A PortCount for every port, size, direction and path that was accessed, by port."""
        cdef uint32_t port, size_index
        cdef int direction, path
        cdef Tally *tally
        rows = []
        for port in range(<uint32_t> PORTS):
            for direction in range(2):
                for size_index in range(<uint32_t> SIZES):
                    for path in range(PATHS):
                        tally = &self.tallies[((port * 2 + direction) * SIZES + size_index) * PATHS + path]
                        if tally.crossings or tally.accesses:
                            rows.append(PortCount(port, 1 << size_index, Direction(direction), Path(path),
                                                  self.owner(port), tally.accesses, tally.crossings))
        return rows

    # The same accesses from Python.

    def inp(self, uint32_t port, uint32_t size=1, int path=EXIT):
        """IN from Python: size 1, 2 or 4; returns the value."""
        self._check(port, size, path)
        return self.read(port, size, path)

    def outp(self, uint32_t port, uint32_t size, uint32_t value, int path=EXIT):
        """OUT from Python: the low size bytes of value."""
        self._check(port, size, path)
        self.write(port, size, value & ones(size), path)

    def inp_block(self, uint32_t port, uint32_t size, uint32_t count, int path=EXIT):
        """String IN from Python: count elements in one crossing, as bytes."""
        self._check(port, size, path)
        data = PyBytes_FromStringAndSize(NULL, <Py_ssize_t> size * count)
        self.read_block(port, size, count, <uint8_t *> PyBytes_AsString(data), path, 1)
        return data

    def outp_block(self, uint32_t port, uint32_t size, bytes data, int path=EXIT):
        """String OUT from Python: data holds whole elements, one crossing."""
        self._check(port, size, path)
        if len(data) % size:
            raise AccessError(f"{len(data)} bytes are no whole number of {size}-byte elements")
        self.write_block(port, size, <uint32_t> (len(data) // size), <const uint8_t *> PyBytes_AsString(data), path,
                         1)

    def _check(self, uint32_t port, uint32_t size, int path):
        if port >= PORTS or size not in (1, 2, 4) or not 0 <= path < PATHS:
            raise AccessError(f"no port access of {size} bytes at {port:#x} by path {path}")
