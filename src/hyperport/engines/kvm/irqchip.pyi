# SPDX-License-Identifier: GPL-2.0-or-later
from hyperport.bus.interrupt_controller import InterruptController

class KernelIrqchip(InterruptController): ...
