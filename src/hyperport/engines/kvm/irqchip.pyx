# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3
"""The interrupt controllers that the kernel has (`--kvm-irqchip on`), as our devices see them: sixteen inputs.

The kernel answers their ports (20h, 21h, A0h, A1h, 4D0h, 4D1h), and delivers what they decide, by itself; so INTR is
never high here.
"""

from libc.stdint cimport uint32_t

from hyperport.lines.interrupt_controller cimport InterruptController
from hyperport.engines.kvm.structs cimport KVM_IRQ_LINE, hp_ioctl

cdef struct IrqLevel:           # struct kvm_irq_level
    uint32_t line
    uint32_t level


cdef class KernelIrqchip(InterruptController):
    """Drives the kernel's inputs from the moment on that a KVM engine was made with it."""

    def __init__(self):
        self.vm = -1

    cdef void on_line(self, int number, int level) noexcept nogil:
        cdef IrqLevel wanted = IrqLevel(<uint32_t> number, <uint32_t> level)
        if self.vm >= 0:
            hp_ioctl(self.vm, KVM_IRQ_LINE, &wanted)
