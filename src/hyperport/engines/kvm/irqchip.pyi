# SPDX-License-Identifier: GPL-2.0-or-later
from hyperport.lines.interrupt_controller import InterruptController

class KernelIrqchip(InterruptController): ...
