# SPDX-License-Identifier: GPL-2.0-or-later
"""How a tool of this folder runs its main()."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from typing import NoReturn


def script(main: Callable[[], int]) -> NoReturn:
    """Exit with what main() returns. A reader who has left, as `| head`, ends it silently, as other commands."""
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    sys.exit(main())
