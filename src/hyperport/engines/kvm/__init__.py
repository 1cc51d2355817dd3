# SPDX-License-Identifier: GPL-2.0-or-later
"""The KVM engine: the host's own processor runs the guest. Start reading at engine.pyx."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hyperport.engines.base import Check


def factory(*parts: Any) -> Any:
    """A KvmEngine; it is imported only now, so that the options of this folder cost nothing."""
    from hyperport.engines.kvm.engine import KvmEngine

    return KvmEngine(*parts)


def interrupt_controller(config: Any) -> Any:
    """With --kvm-irqchip on, what stands for the kernel's controllers and timer; else None, for ours."""
    if not config.kvm_irqchip:
        return None
    from hyperport.engines.kvm.irqchip import KernelIrqchip

    return KernelIrqchip()


def join(engine: Any, bus: Any, config: Any) -> None:
    """What the engine's own options want of the machine once all chips are there."""
    if config.kvm_coalesce:
        engine.coalesce(bus.attributes)


def check() -> list[Check]:
    """Whether this host can run guests, and how well."""
    from hyperport.engines.kvm.host import checks

    return checks()
