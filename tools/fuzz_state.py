# SPDX-License-Identifier: GPL-2.0-or-later
"""Fuzz saved machines: mutants of a whole machine's record, of the machine to be made, and damaged files
(hyperport.testing.fuzz_state).

    python tools/fuzz_state.py --mutants 20000 --each 2000 --restores 2000 --files 2000 --seed 1

Exit status 0 if each was a StateError that changed nothing, or a machine that goes round.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

sys.path.insert(0, str(Path(__file__).parents[1]))

from hyperport.testing.fuzz_state import FuzzStateResult, fuzz_files, fuzz_records, fuzz_restores
from hyperport.testing.saved_guest import attach, busy_machine
from tools.script import script


def told(what: str, result: FuzzStateResult) -> None:
    """One line."""
    print(f"{what}: {result.mutants} mutants, {result.refused} refused, {result.taken} taken", flush=True)


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description="Fuzz saved machines.")
    parser.add_argument("--mutants", type=int, default=20_000, help="of the record (default: %(default)s)")
    parser.add_argument("--each", type=int, default=0, help="of each device's record alone (default: %(default)s)")
    parser.add_argument("--restores", type=int, default=2000, help="of files to restore (default: %(default)s)")
    parser.add_argument("--files", type=int, default=2000, help="damaged files (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    began = time.monotonic()
    with TemporaryDirectory() as folder, busy_machine(Path(folder)) as machine:
        file = Path(folder) / "machine.state"
        told("records", fuzz_records(machine, options.mutants, options.seed))
        for name in machine.named_devices() if options.each else ():
            told(name, fuzz_records(machine, options.each, options.seed, ("devices", name)))
        told("restores", fuzz_restores(machine, file, options.restores, options.seed, attach))
        told("files", fuzz_files(machine, file, options.files, options.seed))
    print(f"seed {options.seed}, {time.monotonic() - began:.0f} s")
    return 0


if __name__ == "__main__":
    script(main)
