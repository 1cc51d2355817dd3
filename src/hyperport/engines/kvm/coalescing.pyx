# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
"""Ports whose writes the kernel queues (`--kvm-coalesce on`): those that their devices let be posted, while they do.

A zone of the kernel takes every write that lies inside it, so each is one port wide, and only bytes wait. The ring is
emptied before the VMM does anything for the guest, so what waits was written while its port was postable. The kernel
has room for about a thousand zones and port devices of its own; beyond that it refuses, and the write leaves the guest.
"""

from libc.stdint cimport uint32_t, uint64_t

from hyperport.bus.attributes cimport AttributeObserver, postable
from hyperport.engines.kvm.structs cimport hp_ioctl

cdef enum:
    REGISTER_COALESCED_MMIO = 0x4010AE67        # <linux/kvm.h>: _IOW(KVMIO, 0x67, struct kvm_coalesced_mmio_zone)
    UNREGISTER_COALESCED_MMIO = 0x4010AE68
    PIO = 1

cdef struct Zone:               # struct kvm_coalesced_mmio_zone
    uint64_t address
    uint32_t size
    uint32_t pio


cdef class CoalescedPorts(AttributeObserver):
    """vm: descriptor of the virtual machine, which close() forgets."""

    cdef int vm

    def __init__(self, int vm):
        self.vm = vm

    def close(self):
        self.vm = -1

    cdef void changed(self, uint32_t port, uint32_t attributes) noexcept nogil:
        cdef Zone zone = Zone(port, 1, PIO)
        if self.vm >= 0:
            hp_ioctl(self.vm, REGISTER_COALESCED_MMIO if attributes & postable(1) else UNREGISTER_COALESCED_MMIO, &zone)
