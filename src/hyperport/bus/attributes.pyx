# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
"""What holds for the accesses of each port just now: a flat table, and who wants to know when it changes.

A chip says register by register and state by state what may be posted and what is shadowed (PortDevice.attributes) and
calls publish() when that has changed; so an attribute can come and go while the guest runs. Who makes use of them keeps a
copy and is told of each change: the page of exitless, and writes that wait in the kernel's ring (--kvm-coalesce). While
nobody observes, devices do not say it by themselves, which each of their accesses would pay for: they are asked.

An attribute is given for one size. It holds only where an access of that size goes whole to one device: what the bus
splits is several accesses, and its device has spoken for none of them alone.
"""

from libc.stdint cimport uint8_t, uint32_t
from libc.stdlib cimport calloc, free, realloc

from weakref import WeakSet

from hyperport.errors import AccessError

cdef enum:
    PORTS = 65536


cdef class AttributeObserver:
    """Hears of each change of a port's attributes, on the vCPU's thread or while the machine is built."""

    cdef void changed(self, uint32_t port, uint32_t attributes) noexcept nogil:
        """attributes: the bits that hold from now on."""
        pass

    cdef void shown(self, uint32_t port, uint32_t attributes) noexcept nogil:
        """The same bits hold, but what is read there may be something else now."""
        pass


cdef class CallbackAttributeObserver(AttributeObserver):
    """Hands each change to a Python callable as (port, attributes)."""

    cdef object callback

    def __init__(self, callback):
        self.callback = callback

    cdef void changed(self, uint32_t port, uint32_t attributes) noexcept with gil:
        self.callback(port, attributes)


cdef class PortAttributes:
    """The attributes of 65,536 ports. To set some takes time by the number of observers only, and allocates nothing."""

    def __cinit__(self):
        self.rows = <uint8_t *> calloc(PORTS, 1)
        self.sizes = <uint8_t *> calloc(PORTS, 1)
        if self.rows == NULL or self.sizes == NULL:
            raise MemoryError("no memory for the attributes of ports")
        self._watching = []
        self._devices = WeakSet()

    def __dealloc__(self):
        free(self.rows)
        free(self.sizes)
        free(self.observers)

    cdef void set(self, uint32_t port, uint32_t attributes) noexcept nogil:
        """From now on these hold, as far as the port's sizes allow, and what is shadowed may have another value."""
        cdef uint32_t sizes = self.sizes[port]
        cdef Py_ssize_t i
        attributes &= postable(sizes) | shadowed(sizes)
        if self.rows[port] == attributes:
            if attributes >> SHADOWED_SHIFT:
                for i in range(self.observer_count):
                    (<AttributeObserver> self.observers[i]).shown(port, attributes)
            return
        self.rows[port] = <uint8_t> attributes
        for i in range(self.observer_count):
            (<AttributeObserver> self.observers[i]).changed(port, attributes)

    cdef ask_devices(self, bint observed):
        """Bring the rows up to date where nobody observes. observed: publish() is to tell them from now on."""
        if not self.observer_count:
            for device in self._devices:
                device.tell_windows(self, observed)

    def note_device(self, device):
        """A device that has a window here, with tell_windows()."""
        self._devices.add(device)

    def observe(self, observer):
        """Tell an AttributeObserver, or a callable(port, attributes), of each change; what holds already, at once."""
        cdef AttributeObserver watching
        cdef void **grown
        cdef uint32_t port
        self.ask_devices(True)
        watching = observer if isinstance(observer, AttributeObserver) else CallbackAttributeObserver(observer)
        grown = <void **> realloc(self.observers, <size_t> (self.observer_count + 1) * sizeof(void *))
        if grown == NULL:
            raise MemoryError("no memory for an observer of attributes")
        self.observers = grown
        self._watching.append(watching)
        self.observers[self.observer_count] = <void *> watching
        self.observer_count += 1
        for port in range(<uint32_t> PORTS):
            if self.rows[port]:
                watching.changed(port, self.rows[port])

    def held(self):
        """(port, attribute bits) of all ports that have some, by port."""
        cdef uint32_t port
        self.ask_devices(False)
        return [(port, self.rows[port]) for port in range(<uint32_t> PORTS) if self.rows[port]]

    def at(self, uint32_t port):
        """The attribute bits of port: bits 0 to 2, OUTs of 1, 2 and 4 bytes are postable; 3 to 5, INs are shadowed."""
        if port >= PORTS:
            raise AccessError(f"port {port:#x} is outside 0 to 0xffff")
        self.ask_devices(False)
        return self.rows[port]
