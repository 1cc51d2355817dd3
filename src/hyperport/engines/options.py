# SPDX-License-Identifier: GPL-2.0-or-later
"""Options of what executes the guest. An engine's own stand in its folder."""

from __future__ import annotations

from typing import Final

from hyperport.engines import ENGINES
from hyperport.engines.kvm.options import OPTIONS as KVM_OPTIONS
from hyperport.options import Option

OPTIONS: Final = (
    Option(
        "engine",
        "what runs guest code, see `hyperport list engines`; `auto`, the default, is `kvm` where that is hardware, "
        "else `unicorn`",
        metavar="NAME",
        default="auto",
        values=lambda: ("auto", *ENGINES),
        see="KVM",
    ),
    *KVM_OPTIONS,
)
