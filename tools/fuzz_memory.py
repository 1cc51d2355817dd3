# SPDX-License-Identifier: GPL-2.0-or-later
"""Generated programs on device memory beside the same ones on RAM (tests/engines/hostile/windows.py).

    python tools/fuzz_memory.py --programs 20000 --seed 1 --engine unicorn --io exit --clock virtual

Program N of a seed is always the same; one that ends otherwise is named and ends the run with status 1.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.engines.hostile.windows import CLOCKS, PATHS, Pair, WindowError, run_windows
from tools.script import script


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--programs", type=int, default=10_000, metavar="N", help="how many (default %(default)s)")
    parser.add_argument("--seed", default="1", help="any text (default 1)")
    parser.add_argument("--first", type=int, default=0, metavar="N", help="begin with program N")
    parser.add_argument("--engine", choices=("unicorn", "kvm"), default="unicorn")
    parser.add_argument("--io", choices=tuple(PATHS), default="exit")
    parser.add_argument("--clock", choices=tuple(CLOCKS), default="virtual")
    options = parser.parse_args()
    began = time.monotonic()
    pair = Pair(options.engine, options.io, options.clock)
    try:
        counts = run_windows(options.seed, range(options.first, options.first + options.programs), pair)
    except WindowError as error:
        print(f"{error}\n{error.__notes__[0]}")
        return 1
    finally:
        pair.close()
    kinds = ", ".join(f"{kind} {count}" for kind, count in sorted(counts.items()))
    print(f"fuzz_memory: {options.programs} programs, seed {options.seed}, {time.monotonic() - began:.0f} s: {kinds}")
    return 0


if __name__ == "__main__":
    script(main)
