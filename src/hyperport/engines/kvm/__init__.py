# SPDX-License-Identifier: GPL-2.0-or-later
"""The KVM engine: the host's own processor runs the guest. Start reading at engine.pyx."""

from __future__ import annotations

from hyperport.engines.base import Check
from hyperport.engines.kvm.engine import KvmEngine

factory = KvmEngine


def check() -> list[Check]:
    """Whether this host can run guests, and how well."""
    from hyperport.engines.kvm.host import checks

    return checks()
