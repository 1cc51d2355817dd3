# SPDX-License-Identifier: GPL-2.0-or-later
"""Linux that is told of lguest is told about: a kernel that does not know it ends at once."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from hyperport.cli.run import _tell_subarch

LINUX = bytes(0x1FE) + b"\x55\xaa" + bytes(2) + b"HdrS" + bytes(1 << 13)


@pytest.mark.parametrize(
    ("io", "abi", "image", "told"),
    [
        ("hypercall", ("vmi", "lguest"), LINUX, True),
        ("exitless", ("lguest",), LINUX, True),
        ("hypercall", ("vmi", "kvm"), LINUX, False),
        ("exit", ("vmi",), LINUX, False),
        ("hypercall", ("lguest",), b"\x7fELF" + bytes(1 << 13), False),
    ],
)
def test_a_kernel_that_may_not_know_lguest(
    io: str, abi: tuple[str, ...], image: bytes, told: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kernel = tmp_path / "kernel"
    kernel.write_bytes(image)
    machine: Any = SimpleNamespace(config=SimpleNamespace(io=io, abi=abi, kernel=kernel, flat=None))
    _tell_subarch(machine)
    said = capsys.readouterr().err
    assert ("hardware_subarch 1" in said, said.count("\n")) == (told, int(told))
