# SPDX-License-Identifier: GPL-2.0-or-later
from __future__ import annotations

from collections.abc import Iterator

import pytest

from .guest import PATHS, CpuGuest


@pytest.fixture
def cpu() -> Iterator[CpuGuest]:
    made = CpuGuest()
    yield made
    made.close()


@pytest.fixture(params=PATHS)
def on_path(request: pytest.FixtureRequest) -> Iterator[CpuGuest]:
    """On each path, without the ROM."""
    made = CpuGuest(request.param)
    yield made
    made.close()
