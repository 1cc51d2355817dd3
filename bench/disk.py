# SPDX-License-Identifier: GPL-2.0-or-later
"""Reading an IDE disk by PIO: Debian's pata_legacy and a guest program, on hyperport and on qemu TCG.

    python bench/disk.py [--pairs 3] [--megabytes 64] [--sectors 1000]

Debian reads a disk with dd and times it by its own clock; guest/programs/diskbench.c reads sectors by REP INS and times
itself by the TSC. Both run from the same image, which the host has in its page cache. qemu offers blocks of 16 sectors
to READ MULTIPLE, as its firmware would set, hyperport 128.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
from pathlib import Path

from port import nanoseconds

from hyperport.guests import initramfs
from hyperport.guests.registry import locate
from pairs import alternate, hyperport, qemu, report, run

LIMIT_S = 300.0
MIB = 1 << 20
ROUNDS = 3  # of dd in one boot; the quickest counts

SCRIPT = """\
while [ ! -b /dev/sda ]; do sleep 0.1; done
for round in {rounds}; do
    echo 3 >/proc/sys/vm/drop_caches
    read -r before rest </proc/uptime
    dd if=/dev/sda of=/dev/null bs=64k count={blocks} 2>/dev/null
    read -r after rest </proc/uptime
    echo "dd $before $after"
done
reboot -f
"""


def seconds(output: str) -> float:
    """The quickest of the `dd BEFORE AFTER` lines, in seconds of the guest's uptime."""
    rows = re.findall(r"^dd ([\d.]+) ([\d.]+)", output, re.MULTILINE)
    if len(rows) != ROUNDS:
        sys.exit(f"the guest did not read its disk: {output[-500:]}")
    return min(float(after) - float(before) for before, after in rows)


def checksums(output: str) -> list[str]:
    return re.findall(r"^checksum \S+ \S+", output, re.MULTILINE)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--megabytes", type=int, default=64)
    parser.add_argument("--sectors", type=int, default=1000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        disk = Path(folder) / "disk.img"
        disk.write_bytes(bytes(range(256)) * (max(options.megabytes * MIB, options.sectors * 512) // 256))
        debian_dd(options.pairs, options.megabytes, disk, Path(folder) / "initrd")
        program(options.pairs, options.sectors, disk)


def debian_dd(pairs: int, megabytes: int, disk: Path, initrd: Path) -> None:
    guest = locate("debian")
    assert guest.initrd is not None
    rounds = " ".join(map(str, range(ROUNDS)))
    script = initramfs.regular(initramfs.RUN, SCRIPT.format(rounds=rounds, blocks=megabytes * 16).encode())
    initrd.write_bytes(guest.initrd.read_bytes() + initramfs.cpio([script]))
    append = f"{guest.append} quiet hp.modules=disk"
    mine = hyperport("--kernel", guest.kernel, "--initrd", initrd, "--append", append, "--disk", disk)
    peer = qemu("-kernel", guest.kernel, "-initrd", initrd, "-append", append, *qemu_disk(disk))
    ours, theirs = alternate(
        pairs, lambda: seconds(run(mine, LIMIT_S).output), lambda: seconds(run(peer, LIMIT_S).output)
    )
    report(f"dd of {megabytes} MiB, pata_legacy", "s", ours, theirs)


def program(pairs: int, sectors: int, disk: Path) -> None:
    kernel = locate("diskbench").kernel
    mine = hyperport("--kernel", kernel, "--append", f"n={sectors}", "--disk", disk)
    peer = qemu("-kernel", kernel, "-append", f"n={sectors}", *qemu_disk(disk))
    ours, theirs = alternate(pairs, lambda: run(mine, LIMIT_S).output, lambda: run(peer, LIMIT_S).output)
    if len({tuple(checksums(output)) for output in (*ours, *theirs)}) != 1 or not checksums(ours[0]):
        sys.exit(f"the two did not read the same: {checksums(ours[0])} and {checksums(theirs[0])}")
    for name in nanoseconds(ours[0]):
        report(
            f"diskbench {name}, a sector",
            "ns",
            [nanoseconds(output)[name] for output in ours],
            [nanoseconds(output)[name] for output in theirs],
        )


def qemu_disk(disk: Path) -> list[str]:
    """The disk on qemu's IDE, as it uses an image for which speed matters: a writable raw file in the page cache."""
    return ["-drive", f"file={disk},if=ide,format=raw,cache=writeback"]


if __name__ == "__main__":
    main()
