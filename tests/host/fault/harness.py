# SPDX-License-Identifier: GPL-2.0-or-later
"""Makes every host call of a backend fail once at every point, and looks what becomes of it.

A backend is tested by a Scenario, in the table BACKENDS of scenarios.py. inject() runs it in a child process below the
interposer (interposer.c): once to count the host calls that act() makes, then once for each call, each number of it and
each way to fail in WAYS. The child says each point before it tries it, so a crash or a hang has a name.

    python -m tests.host.fault NAME ...     the calls and counts of some backends, or of all

What is checked of every point: act() raises nothing but a HyperportError of one line; what it had open is closed when
the scenario is gone; and what the scenario itself checks afterwards, when calls work again: no wrong bytes.
"""

from __future__ import annotations

import ctypes
import errno
import gc
import json
import os
import select
import subprocess
import sys
import tempfile
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, Protocol

from hyperport.errors import HyperportError

HERE: Final = Path(__file__).parent
ROOT: Final = HERE.parents[2]
PATIENCE_S: Final = 60  # without a new point: hung
SHORT, END = -1, -2  # of interposer.c: half of what was asked for; nothing, as at the end of a file

_READ: Final = (errno.EIO, errno.EAGAIN, errno.EINTR, errno.ENOMEM, SHORT, END)
_WRITE: Final = (errno.ENOSPC, errno.EIO, errno.EAGAIN, errno.EINTR, errno.ENOMEM, SHORT, END)
_SOCKET: Final = (errno.ENOMEM, errno.EINTR, errno.ECONNREFUSED)
WAYS: Final[dict[str, tuple[int, ...]]] = {
    "open": (errno.EIO, errno.EMFILE, errno.ENOMEM, errno.ENOSPC, errno.EINTR, errno.EACCES),
    **dict.fromkeys(("read", "pread", "recv"), _READ),
    **dict.fromkeys(("write", "pwrite", "send"), _WRITE),
    **dict.fromkeys(("readv", "recvmsg"), _READ[:4]),
    **dict.fromkeys(("writev", "sendmsg"), _WRITE[:5]),
    **dict.fromkeys(("fdatasync", "fsync", "ftruncate"), (errno.ENOSPC, errno.EIO, errno.EINTR, errno.ENOMEM)),
    "lseek": (errno.EIO, errno.EINVAL),  # not ENXIO: it is an answer of SEEK_DATA, no fault
    "flock": (errno.EWOULDBLOCK, errno.ENOLCK, errno.EINTR),
    "fstat": (errno.EIO, errno.ENOMEM),
    "fcntl": (errno.EMFILE, errno.EAGAIN, errno.EINTR),
    "close": (errno.EIO, errno.ENOSPC, errno.EINTR),
    **dict.fromkeys(("link", "unlink", "rename"), (errno.EIO, errno.ENOSPC, errno.ENOMEM)),
    **dict.fromkeys(("socket", "connect", "bind", "listen", "accept"), _SOCKET),
    "poll": (errno.EINTR, errno.ENOMEM),
    "ioctl": (errno.EIO, errno.EINTR, errno.ENOTTY),
    **dict.fromkeys(("pipe", "eventfd", "socketpair"), (errno.EMFILE, errno.ENOMEM)),
    **dict.fromkeys(("tcgetattr", "tcsetattr"), (errno.EIO, errno.EINTR)),
    **dict.fromkeys(("malloc", "calloc", "realloc"), (errno.ENOMEM,)),
}


class Scenario(Protocol):
    """One use of one backend. A new one is made for every point."""

    def prepare(self, folder: Path) -> None:
        """Lay out files; calls work."""

    def act(self) -> None:
        """Use the backend; one call fails. A HyperportError may come out, nothing else."""

    def check(self, error: HyperportError | None) -> None:
        """Calls work again. Assert that nothing is wrong. error: what came out of act()."""


Backends = dict[str, Callable[[], Scenario]]


class FaultError(AssertionError):
    """A backend did not bear a fault."""


def name_of(way: int) -> str:
    """In words."""
    return {SHORT: "short", END: "end"}.get(way) or errno.errorcode[way]


def build(folder: Path) -> Path:
    """The interposer, compiled."""
    library = folder / "interposer.so"
    flags = ["-std=gnu11", "-O1", "-fno-builtin", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC"]
    compiler = os.environ.get("CC", "gcc")
    subprocess.run([compiler, *flags, "-o", str(library), str(HERE / "interposer.c"), "-ldl"], check=True)
    return library


def environment(library: Path) -> dict[str, str]:
    """Of a process below the interposer."""
    return os.environ | {"LD_PRELOAD": str(library), "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}


def inject(backend: str, library: Path, command: list[str] | None = None, patience: float = PATIENCE_S) -> Counter[str]:
    """Try every point of a backend; how many there were, by call. Raises FaultError with what was found.

    command: a child of one's own, which ends with child(). patience: seconds.
    """
    child = subprocess.Popen(
        command or [sys.executable, "-m", __package__, "--child", backend],
        env=environment(library),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd=ROOT,
    )
    assert child.stdout is not None
    lines: list[str] = []
    waiting, rest = True, b""
    while waiting:
        if not select.select([child.stdout], [], [], patience)[0]:
            child.kill()
            child.wait()
            raise FaultError(f"{backend}: hung for {patience:g} s at {lines[-1] if lines else 'its start'}")
        part = os.read(child.stdout.fileno(), 1 << 16)
        waiting = bool(part)
        *new, rest = (rest + part).split(b"\n")
        lines += [line.decode(errors="replace") for line in new]
    child.stdout.close()
    if child.wait():
        tail = "\n".join(lines[-30:])
        raise FaultError(f"{backend}: status {child.returncode}, the last point is the last one named:\n{tail}")
    return Counter(json.loads(lines[-1]))


class _Faults:
    """The interposer below this process."""

    def __init__(self) -> None:
        library: Any = ctypes.CDLL(None)
        library.fault_name.restype = ctypes.c_char_p
        library.fault_count.restype = ctypes.c_long
        self.library = library

    def count(self, act: Callable[[], None]) -> dict[str, int]:
        """How often act() makes each call that can be made to fail."""
        self.library.fault_begin()
        act()
        self.library.fault_end()
        names: list[str] = []
        while name := self.library.fault_name(len(names)):
            names.append(name.decode())
        assert set(names) == set(WAYS), "the tables of interposer.c and harness.py are the same"
        return {name: count for name in names if (count := self.library.fault_count(name.encode()))}

    def fail(self, name: str, number: int, way: int, act: Callable[[], None]) -> int:
        """Call act() with one call failing; how many have failed: 1, or 0 if it did not get so far."""
        assert self.library.fault_arm(name.encode(), ctypes.c_long(number), way) == 0
        try:
            act()
        finally:
            hits: int = self.library.fault_end()
        return hits


def _descriptors() -> int:
    gc.collect()
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def _points(counts: dict[str, int]) -> Iterator[tuple[str, int, int]]:
    for name, count in counts.items():
        for number in range(1, count + 1):
            for way in WAYS[name]:
                yield name, number, way


def child(make: Callable[[], Scenario]) -> int:
    """The child's part: exit status 0 and, last, the counts as JSON; or 1 and what was found."""
    faults = _Faults()
    with tempfile.TemporaryDirectory() as base:
        for warm_up in (True, False):  # the second time nothing is imported any more
            folder = Path(base) / str(warm_up)
            folder.mkdir()
            scenario = make()
            scenario.prepare(folder)
            counts = faults.count(scenario.act)
            scenario.check(None)
        del scenario
        before = _descriptors()
        tried: Counter[str] = Counter()
        for name, number, way in _points(counts):
            print(f"{name} {number} {name_of(way)}", flush=True)
            with tempfile.TemporaryDirectory(dir=base) as place:
                try:
                    tried[name] += _try_point(faults, make(), Path(place), (name, number, way))
                except Exception:
                    traceback.print_exc(file=sys.stdout)
                    return 1
            after = _descriptors()
            if after != before:
                print(f"{after - before} descriptors are still open")
                return 1
    print(json.dumps(tried))
    return 0


def _try_point(faults: _Faults, scenario: Scenario, folder: Path, point: tuple[str, int, int]) -> int:
    scenario.prepare(folder)
    hits = [0]
    told: HyperportError | None = None

    def act() -> None:
        nonlocal told
        try:
            scenario.act()
        except HyperportError as error:
            told = error.with_traceback(None)

    hits[0] = faults.fail(*point, act)
    if told is not None:
        assert hits[0], f"without a fault: {told}"
        assert str(told).strip(), "an error says something"
        assert "\n" not in str(told), "an error is one line"
    scenario.check(told)
    return hits[0]
