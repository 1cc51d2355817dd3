# SPDX-License-Identifier: GPL-2.0-or-later
"""What the counters that are always on cost an access: this tree beside a copy of it that has none, in turn.

    python bench/counters.py [--pairs 15] [--count 1000000]

The copy is made in a folder of its own, its tallies are taken out, and what hangs on them is compiled: a minute. The
loop is that of observers.py, one IN from the compiled port 80h. A build's figure hangs on where its code lies, too,
and that is in the difference.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median, quantiles

TREE = Path(__file__).parent.parent
COPIED = ("src", "guest", "build", "docs", "setup.py", "pyproject.toml", "README.md", "LICENSE", "MANIFEST.in")
TALLIES = {  # file: what is taken out of it
    "bus/port_bus.pxd": "    tally.accesses += elements\n    tally.crossings += access.crossings\n",
    "bus/port_bus.pyx": "        tally.accesses += access.count\n        tally.crossings += access.crossings\n",
}
MEASURE = "import sys, observers; print(observers.measure(None, int(sys.argv[1])))"


def without_tallies(folder: Path) -> Path:
    """A built copy of the tree that counts nothing."""
    for name in COPIED:
        source = TREE / name
        if source.is_dir():
            shutil.copytree(source, folder / name, symlinks=True)
        elif source.exists():
            shutil.copy2(source, folder / name)
    for name, counting in TALLIES.items():
        file = folder / "src" / "hyperport" / name
        text = file.read_text()
        assert text.count(counting) == 1, f"{name}: the tallies are not where they were"
        file.write_text(text.replace(counting, ""))
    subprocess.run([sys.executable, "setup.py", "--quiet", "build_ext", "--inplace"], cwd=folder, check=True)
    return folder


def measure(tree: Path, count: int) -> float:
    """ns of CPU for an access, in a process of its own."""
    path = os.pathsep.join((str(tree / "src"), str(TREE / "bench")))
    told = subprocess.run(
        [sys.executable, "-c", MEASURE, str(count)],
        env=os.environ | {"PYTHONPATH": path},
        stdout=subprocess.PIPE,
        check=True,
    )
    return float(told.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=15)
    parser.add_argument("--count", type=int, default=1_000_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="hyperport-counters-") as folder:
        bare = without_tallies(Path(folder))
        pairs = [(measure(TREE, options.count), measure(bare, options.count)) for _ in range(options.pairs)]
    low, middle, high = quantiles([with_tallies - plain for with_tallies, plain in pairs], n=4)
    plain = median(plain for _, plain in pairs)
    print(f"counters add {middle:.1f} ns ({low:.1f} to {high:.1f}) to {plain:.1f} ns an access")


if __name__ == "__main__":
    main()
