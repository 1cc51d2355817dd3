# SPDX-License-Identifier: GPL-2.0-or-later
"""Options that only this engine has."""

from __future__ import annotations

from typing import Final

from hyperport.options import SWITCH, Option

OPTIONS: Final = (
    Option(
        "kvm-irqchip",
        "engine `kvm`: the kernel's interrupt controllers and timer instead of ours; `off` by default",
        SWITCH,
        metavar="on|off",
        default=False,
        values=("on", "off"),
        engine="kvm",
        see="KVM",
    ),
    Option(
        "kvm-coalesce",
        "engine `kvm`: the kernel queues writes that may come late; `off` by default",
        SWITCH,
        metavar="on|off",
        default=False,
        values=("on", "off"),
        engine="kvm",
        see="KVM",
    ),
)
