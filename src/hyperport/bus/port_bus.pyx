# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
"""Stage 3 of an access: from a port number to the device that owns it. Next: devices/ (one file per chip).

65,536 slots, each owned by one device or by nobody. The rules of a PC's port space live here and nowhere
else:

- An access goes whole to a device that takes its width and owns all its ports; any other wide access is
  split into halves, down to bytes, lowest port first, as the ISA bridge of a PC does.
- Nobody home: reads give all ones, writes vanish.
- Ports end at FFFFh: the bytes of a wide access beyond it belong to nobody (silicon leaves this undefined).

A slot says who owns the port, at which offset, and which sizes go whole. Every access is tallied by port, direction,
size and path, always. Slots and tallies are flat tables of zero pages, of which the host only holds what was touched.
"""

cimport cython
from cpython.bytes cimport PyBytes_AsString, PyBytes_FromStringAndSize
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, realloc
from libc.string cimport memcpy, memset

from hyperport.bus.access cimport SPACE_MEMORY, Access, describe
from hyperport.bus.attributes cimport PortAttributes
from hyperport.bus.device cimport PortDevice
from hyperport.bus.memo cimport count_known
from hyperport.cpu.vcpu cimport Place as CPlace, Vcpu
from hyperport.memory.map cimport HP_REGIONS, MemoryMap
from hyperport.memory.zeroes cimport hp_unmap_zeroes, hp_zeroes

from hyperport.bus.access import Direction, Place, PortAccess, PortCount, Space
from hyperport.bus.python_device import adapt
from hyperport.errors import AccessError, ConfigError

cdef extern from *:
    """
    #include <x86intrin.h>
    static inline uint64_t hp_bus_ticks(void) { return __rdtsc(); }
    """
    uint64_t hp_bus_ticks() nogil

DIRECTION_OF = tuple(Direction)
PATH_OF = tuple(Path)


cdef class PortObserver:
    """Sees every access after it happened. Costs nothing while none is attached.

    One that sets counting lets the bus count elements of instructions that it knows, and sees the others.
    """

    cdef void access(self, Access *access) noexcept nogil:
        """data is never NULL here; an IN's is what the device gave. Good only until this returns."""
        pass

    cdef void memory_access(self, Access *access) noexcept nogil:
        """The same for an access to device memory, one element: port is its physical address."""
        pass


cdef class CallbackObserver(PortObserver):
    """Hands each access to a Python callable as a PortAccess. A callable that raises is dropped, with a note.

    places: ask the engine where in guest code each access was made, and hand that over, too.
    """

    cdef object callback
    cdef bint places

    def __init__(self, callback, places=False):
        self.callback = callback
        self.places = places

    cdef void memory_access(self, Access *access) noexcept nogil:
        self.access(access)

    cdef void access(self, Access *access) noexcept with gil:
        if self.callback is None:
            return
        try:
            data = PyBytes_FromStringAndSize(<const char *> access.data, <Py_ssize_t> access.size * access.count)
            self.callback(PortAccess(Direction(access.direction), access.port, access.size, access.count, data,
                                     Path(access.path), place_of(access) if self.places else None, Space(access.space)))
        except Exception as error:
            self.callback = None
            import sys
            print(f"hyperport: port observer dropped, it raised {error!r}", file=sys.stderr)


cdef object place_of(Access *access):
    """The Place of an access at hand; None where no guest code made it, or a posted write is drained."""
    cdef CPlace place
    if access.vcpu == NULL:
        return None
    (<Vcpu> access.vcpu).place(access.token, &place)
    return Place(place.cs, place.eip, place.cpl, place.exact)


cdef uint32_t memory_read(MemoryWindow *window, uint32_t offset, uint32_t size) noexcept nogil:
    cdef uint32_t half = size >> 1, low
    if window.whole & size:
        return (<PortDevice> window.device).mem_read(offset, size) & ones(size)
    if size == 1:
        return 0xFF
    low = memory_read(window, offset, half)
    return low | memory_read(window, offset + half, half) << (8 * half)


cdef void memory_write(MemoryWindow *window, uint32_t offset, uint32_t size, uint32_t value) noexcept nogil:
    cdef uint32_t half = size >> 1
    if window.whole & size:
        (<PortDevice> window.device).mem_write(offset, size, value)
    elif size > 1:
        memory_write(window, offset, half, value & ones(half))
        memory_write(window, offset + half, half, value >> (8 * half))


cdef size_t TALLIES_SIZE = <size_t> PORTS * 2 * SIZES * PATH_KINDS * sizeof(Tally)
cdef size_t SLOTS_SIZE = <size_t> PORTS * sizeof(Slot)


@cython.final
cdef class PortBus:
    """The port space of one machine."""

    def __cinit__(self):
        self.tallies = <Tally *> hp_zeroes(TALLIES_SIZE)
        self.slots = <Slot *> hp_zeroes(SLOTS_SIZE)
        self.touched = <uint16_t *> calloc(PORTS, sizeof(uint16_t))
        if self.tallies == NULL or self.slots == NULL or self.touched == NULL:
            raise MemoryError("no memory for the port space")
        self.attributes = PortAttributes()
        self._windows = []
        self._regions = []
        self._attached = {}
        self._watching = []

    def __dealloc__(self):
        hp_unmap_zeroes(self.tallies, TALLIES_SIZE)
        hp_unmap_zeroes(self.slots, SLOTS_SIZE)
        free(self.touched)
        free(self.observers)

    cdef void touch(self, uint32_t port) noexcept nogil:
        """Note the first access of a port, so that counts() need not look at all 65,536."""
        self.slots[port].touched = 1
        self.touched[self.touched_count] = <uint16_t> port
        self.touched_count += 1
        self.settle(&self.slots[port])

    cdef void settle(self, Slot *slot) noexcept nogil:
        """Recompute what may go the short way, carry_element(). Called when something that decides it has changed."""
        slot.direct = slot.whole if slot.touched and not self.observer_count else 0
        slot.counted = slot.whole if slot.touched and self.counting != NULL else 0

    # Accesses, from the paths.

    cdef void carry(self, Access *access) noexcept nogil:
        """Count one access, let its device do it, tell the observers. An IN's answer is then in value or data."""
        cdef uint32_t port = access.port, size = access.size
        cdef Slot *slot = &self.slots[port]
        cdef Tally *tally = &self.tallies[tally_index(port, access.direction, size, access.path)]
        cdef uint64_t began
        if not slot.touched:
            self.touch(port)
        tally.accesses += access.count
        tally.crossings += access.crossings
        began = hp_bus_ticks() if self.clocked else 0
        if access.data != NULL:
            self.carry_block(access)
        elif access.direction == DIRECTION_IN:
            if slot.whole & size:
                access.value = (<PortDevice> slot.device).io_read(slot.offset, size) & ones(size)
            else:
                access.value = self.route_read(port, size)
        elif slot.whole & size:
            (<PortDevice> slot.device).io_write(slot.offset, size, access.value & ones(size))
        else:
            self.route_write(port, size, access.value & ones(size))
        if began:
            self.device_ticks = hp_bus_ticks() - began
        if self.observer_count:
            self.tell(access)

    cdef void carry_block(self, Access *access) noexcept nogil:
        """Elements packed in data: whole to a device that takes their width, else one by one, in order."""
        cdef uint32_t port = access.port, size = access.size, count = access.count
        cdef Slot *slot = &self.slots[port]
        cdef bint whole = count > 1 and slot.whole & size != 0
        cdef uint32_t i, value
        if access.direction == DIRECTION_IN:
            if whole:
                (<PortDevice> slot.device).io_read_block(slot.offset, size, count, access.data)
            elif self.nobody_at(port, size):
                memset(access.data, 0xFF, size * count)
            else:
                for i in range(count):
                    value = self.route_read(port, size)
                    memcpy(access.data + i * size, &value, size)
        elif whole:
            (<PortDevice> slot.device).io_write_block(slot.offset, size, count, access.data)
        elif not self.nobody_at(port, size):
            for i in range(count):
                value = 0
                memcpy(&value, access.data + i * size, size)
                self.route_write(port, size, value)

    cdef bint nobody_at(self, uint32_t port, uint32_t size) noexcept nogil:
        """Whether none of these ports has an owner."""
        cdef uint32_t i
        for i in range(size):
            if port + i < PORTS and self.slots[port + i].device != NULL:
                return False
        return True

    cdef uint32_t route_read(self, uint32_t port, uint32_t size) noexcept nogil:
        cdef Slot *slot
        cdef uint32_t half, low, high
        if port >= PORTS:
            return ones(size)
        slot = &self.slots[port]
        if slot.whole & size:
            return (<PortDevice> slot.device).io_read(slot.offset, size) & ones(size)
        if size == 1:
            return 0xFF
        half = size >> 1
        low = self.route_read(port, half)
        high = self.route_read(port + half, half)
        return low | high << (8 * half)

    cdef void route_write(self, uint32_t port, uint32_t size, uint32_t value) noexcept nogil:
        cdef Slot *slot
        cdef uint32_t half
        if port >= PORTS:
            return
        slot = &self.slots[port]
        if slot.whole & size:
            (<PortDevice> slot.device).io_write(slot.offset, size, value)
        elif size > 1:
            half = size >> 1
            self.route_write(port, half, value & ones(half))
            self.route_write(port + half, half, value >> (8 * half))

    cdef void tell(self, Access *access) noexcept nogil:
        cdef Py_ssize_t i
        if access.data == NULL:
            access.data = <uint8_t *> &access.value
        for i in range(self.observer_count):
            if access.space == SPACE_MEMORY:
                (<PortObserver> self.observers[i]).memory_access(access)
            else:
                (<PortObserver> self.observers[i]).access(access)

    # Device memory: io/memory.pyx has found the window.

    cdef void carry_memory(self, Access *access, uint32_t window, uint32_t offset) noexcept nogil:
        """carry() for one element of 1, 2 or 4 bytes, naturally aligned, at offset of a device's memory."""
        cdef MemoryWindow *found = &self.memory_windows[window]
        cdef Tally *tally = &found.tallies[access.direction * SIZES + (access.size >> 1)]
        cdef uint64_t began = hp_bus_ticks() if self.clocked else 0
        access.window = <uint8_t> window
        access.site = access.port if found.size <= MOST_REGISTERS else access.port - (offset - found.offset)
        tally.accesses += 1
        tally.crossings += access.crossings
        if access.direction == DIRECTION_IN:
            access.value = memory_read(found, offset, access.size)
        else:
            memory_write(found, offset, access.size, access.value)
        if began:
            self.device_ticks = hp_bus_ticks() - began
        if self.observer_count and (self.counting == NULL or not count_known(self.counting, access, memory_index(access))):
            self.tell(access)

    # Building.

    def attach(self, device, base, span=None, offset=0, widths=None):
        """Give ports base .. base + span - 1 to device, as its offsets offset .. offset + span - 1.

        device: a PortDevice, or any object with read(offset, size) and write(offset, size, value)
        (and optionally span, widths, widths_at, name, read_block, write_block). span defaults to all of the device from
        offset on. widths: sizes in bytes that this window takes whole, at all its ports; by default what the device says
        of each offset. Returns the PortDevice that was attached. Raises ConfigError for an overlap.
        """
        cdef PortDevice target
        cdef Slot *slot
        cdef int left
        self._ask("attach")
        target = self._adapter_of(device)
        if span is None:
            span = target.span - offset
        if not 0 <= base < PORTS or span < 1 or base + span > PORTS:
            raise ConfigError(f"{target.name}: ports {base:#x} to {base + span - 1:#x} are outside 0 to 0xffff")
        if offset < 0 or offset + span > target.span:
            raise ConfigError(f"{target.name}: offsets {offset} to {offset + span - 1} are outside its span of {target.span}")
        own, own_at = (target.widths, target.widths_at) if widths is None else (widths, {})
        sizes = [own_at.get(at, own) for at in range(offset, offset + span)]
        for taken in sizes:
            if not taken or not set(taken) <= {1, 2, 4}:
                raise ConfigError(f"{target.name}: widths are {tuple(taken)}, each must be 1, 2 or 4")
        for port in range(base, base + span):
            if self.slots[<int> port].device != NULL:
                raise ConfigError(f"{target.name}: port {port:#x} belongs to {self.owner(port)}; give another base")
        for index, taken in enumerate(sizes):
            left = span - index
            slot = &self.slots[<int> (base + index)]
            slot.device = <void *> target
            slot.offset = offset + index
            slot.whole = <uint8_t> sum({size for size in taken if size <= left})
            self.settle(slot)
            self.attributes.sizes[<int> (base + index)] = slot.whole
        self._windows.append((base, base + span - 1, target))
        self._attached[id(device)] = target
        self._attached[id(target)] = target
        target.note_attachment(self.attributes, base, offset, span)
        return target

    def attach_memory(self, MemoryMap map not None, device, base, size=None, offset=0, widths=None):
        """Give size bytes of guest-physical memory from base on to device, as offset .. of its memory; returns the Region.

        device: a PortDevice with a memory_span, or any object with memory_span, memory_read(offset, size) and
        memory_write(offset, size, value). size defaults to all from offset on, widths to the device's memory_widths.
        Splitting is as for ports. Raises ConfigError for an overlap, and for what is no multiple of 4 KiB.
        """
        cdef PortDevice target
        cdef uint32_t number = <uint32_t> len(self._regions)
        self._ask("attach")
        target = self._adapter_of(device)
        size = target.memory_span - offset if size is None else size
        taken = target.memory_widths if widths is None else widths
        if target.memory_span < 1 or offset < 0 or offset + size > target.memory_span:
            raise ConfigError(f"{target.name}: offsets {offset:#x} to {offset + size - 1:#x} are outside its memory of "
                              f"{target.memory_span:#x} bytes")
        if not taken or not set(taken) <= {1, 2, 4}:
            raise ConfigError(f"{target.name}: widths are {tuple(taken)}, each must be 1, 2 or 4")
        if number == HP_REGIONS:
            raise ConfigError(f"{target.name}: more than {HP_REGIONS} windows of device memory")
        memset(&self.memory_windows[number], 0, sizeof(MemoryWindow))
        self.memory_windows[number].device = <void *> target
        self.memory_windows[number].whole = <uint8_t> sum(set(taken))
        self.memory_windows[number].offset, self.memory_windows[number].size = offset, size
        region = map.device(target.name, base, size, number, offset)
        self._regions.append((region, target))
        self._attached[id(device)] = target
        self._attached[id(target)] = target
        return region

    def adapter(self, device):
        """The PortDevice that stands for an attached device."""
        return self._attached[id(device)]

    def _adapter_of(self, device):
        """What stands for device on this bus: one adapter for all windows of a plain Python device."""
        attached = self._attached.get(id(device))   # it keeps device, so the number is nobody else's
        return adapt(device) if attached is None else attached

    def observe(self, observer, places=False):
        """Add a PortObserver, or a callable that takes a PortAccess.

        places: give a callable's accesses their place in guest code.
        """
        cdef PortObserver watching
        cdef uint32_t port
        self._ask("observe")
        watching = observer if isinstance(observer, PortObserver) else CallbackObserver(observer, places)
        cdef void **grown = <void **> realloc(self.observers, <size_t> (self.observer_count + 1) * sizeof(void *))
        if grown == NULL:
            raise MemoryError("no memory for a port observer")
        self.observers = grown
        self._watching.append(watching)
        self.observers[self.observer_count] = <void *> watching
        self.observer_count += 1
        self.counting = watching.counting if self.observer_count == 1 else NULL
        for port in range(self.touched_count):
            self.settle(&self.slots[self.touched[port]])

    # Asking.

    def owner(self, uint32_t port):
        """Name of the device that owns port, or None."""
        cdef Slot *slot
        if port >= PORTS:
            raise AccessError(f"port {port:#x} is outside 0 to 0xffff")
        slot = &self.slots[port]
        return None if slot.device == NULL else (<PortDevice> slot.device).name

    def devices(self):
        """The attached devices, each once: those with ports in order of attachment, then those with memory alone."""
        attached = [device for _, _, device in self._windows] + [device for _, device in self._regions]
        return list({id(device): device for device in attached}.values())

    def map(self):
        """Rows (first port, last port, device name), by port."""
        return sorted((first, last, device.name) for first, last, device in self._windows)

    def memory_map(self):
        """Rows (first address, last address, device name), by number of the window, of device memory where it is now."""
        return [(region.base, region.base + region.size - 1, device.name) for region, device in self._regions]

    def counts(self):
        """A PortCount for every port, size, direction and path that was accessed, by port; then windows of memory."""
        cdef uint32_t port, i
        cdef int direction, size_index, path
        cdef Tally *tally
        rows = []
        for port in sorted([self.touched[i] for i in range(self.touched_count)]):
            owner = self.owner(port)
            tally = &self.tallies[tally_index(port, DIRECTION_IN, 1, 0)]    # in the order of tally_index()
            for direction in range(2):
                for size_index in range(SIZES):
                    for path in range(PATH_KINDS):
                        if tally.crossings or tally.accesses:
                            rows.append(PortCount(port, 1 << size_index, DIRECTION_OF[direction], PATH_OF[path], owner,
                                                  tally.accesses, tally.crossings))
                        tally += 1
        return rows + self._memory_counts()

    def _memory_counts(self):
        cdef int direction, size_index
        cdef Tally *tally
        rows = []
        for number, (region, device) in enumerate(self._regions):
            for direction in range(2):
                for size_index in range(SIZES):
                    tally = &self.memory_windows[<int> number].tallies[direction * SIZES + size_index]
                    if tally.accesses:
                        rows.append(PortCount(region.base, 1 << size_index, DIRECTION_OF[direction], PATH_OF[EXIT],
                                              device.name, tally.accesses, tally.crossings, Space.MEMORY))
        return sorted(rows, key=lambda row: row.port)

    # The same accesses from Python.

    cdef void from_python(self, Access *access) noexcept nogil:
        if self.gate != NULL:
            self.gate(self.gate_context)
        self.carry(access)

    def inp(self, uint32_t port, uint32_t size=1, int path=EXIT):
        """IN from Python: size 1, 2 or 4; returns the value."""
        cdef Access access
        self._check(port, size, path)
        describe(&access, DIRECTION_IN, port, size, path, NULL, 0)
        self.from_python(&access)
        return access.value

    def outp(self, uint32_t port, uint32_t size, uint32_t value, int path=EXIT):
        """OUT from Python: the low size bytes of value."""
        cdef Access access
        self._check(port, size, path)
        describe(&access, DIRECTION_OUT, port, size, path, NULL, 0)
        access.value = value & ones(size)
        self.from_python(&access)

    def inp_block(self, uint32_t port, uint32_t size, uint32_t count, int path=EXIT):
        """String IN from Python: count elements in one crossing, as bytes."""
        cdef Access access
        self._check(port, size, path)
        data = PyBytes_FromStringAndSize(NULL, <Py_ssize_t> size * count)
        describe(&access, DIRECTION_IN, port, size, path, NULL, 0)
        access.count = count
        access.data = <uint8_t *> PyBytes_AsString(data)
        self.from_python(&access)
        return data

    def outp_block(self, uint32_t port, uint32_t size, bytes data, int path=EXIT):
        """String OUT from Python: data holds whole elements, one crossing."""
        cdef Access access
        self._check(port, size, path)
        if len(data) % size:
            raise AccessError(f"{len(data)} bytes are no whole number of {size}-byte elements")
        describe(&access, DIRECTION_OUT, port, size, path, NULL, 0)
        access.count = <uint32_t> (len(data) // size)
        access.data = <uint8_t *> PyBytes_AsString(data)
        self.from_python(&access)

    def load(self, uint32_t address, uint32_t size=4):
        """A load of device memory from Python: 1, 2 or 4 aligned bytes; returns the value, all ones where no window is."""
        return self._memory_access(DIRECTION_IN, address, size, ones(size))

    def store(self, uint32_t address, uint32_t size, uint32_t value):
        """A store likewise, which nothing hears where no window is."""
        self._memory_access(DIRECTION_OUT, address, size, value)

    def _memory_access(self, int direction, uint32_t address, uint32_t size, uint32_t value):
        cdef Access access
        cdef uint32_t number
        self._ask("memory access")
        if size not in (1, 2, 4) or address & (size - 1):
            raise AccessError(f"no access to device memory of {size} bytes at {address:#x}: 1, 2 or 4, and aligned")
        describe(&access, direction, address, size, EXIT, NULL, 0)
        access.space = SPACE_MEMORY
        access.value = value & ones(size)
        for number, (region, _) in enumerate(self._regions):
            if region.mapped and region.base <= address < region.base + region.size:
                if self.gate != NULL:
                    self.gate(self.gate_context)
                self.carry_memory(&access, number, <uint32_t> (self.memory_windows[number].offset + (address - region.base)))
                break
        return access.value

    def _ask(self, what):
        """Raise ThreadError if this thread may not do that now."""
        if self.guard is not None:
            self.guard.check(what)

    def _check(self, uint32_t port, uint32_t size, int path):
        self._ask("port access")
        if port >= PORTS or size not in (1, 2, 4) or not 0 <= path < PATH_KINDS:
            raise AccessError(f"no port access of {size} bytes at {port:#x} by path {path}")
