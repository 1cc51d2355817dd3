# SPDX-License-Identifier: GPL-2.0-or-later
"""Every host call of every backend in the table fails once at every point (tests/host/fault)."""

from __future__ import annotations

import os
import re
import shutil
import sys
from pathlib import Path
from typing import Final

import pytest

from .fault import harness
from .fault.scenarios import BACKENDS

# Calls that a backend must have made: a scenario that does nothing proves nothing.
MADE: Final = {
    "disk": {"open", "pread", "pwrite", "fdatasync", "flock", "lseek", "fstat", "close"},
    "disk-overlay": {"open", "pread", "pwrite", "fdatasync", "flock", "calloc"},
    "disk-overlay-new": {"open", "write", "pwrite", "ftruncate", "fsync", "link", "unlink", "calloc"},
    "disk-snapshot": {"ftruncate", "pread", "pwrite", "calloc"},
    "cdrom": {"open", "pread"},
    "line-file": {"open", "poll", "write", "close"},
    "line-pipe": {"poll", "write"},
    "line-pty": {"poll", "write", "read", "ioctl"},
    "line-unix": {"socket", "bind", "listen", "accept", "open", "fcntl", "poll", "write", "read", "unlink"},
    "line-tty": {"tcgetattr", "tcsetattr", "eventfd", "poll", "read", "write"},
    "net-tap": {"open", "ioctl", "read", "write", "close"},
    "net-user": {"open", "socketpair", "fcntl", "send", "recv", "close", "pipe"},
    "net-listen": {"socket", "bind", "listen", "accept", "send", "recv", "open", "write", "unlink"},
    "net-socket": {"socket", "connect", "send", "recv", "open", "write"},
    "pcap": {"open", "write", "close"},
    "trace": {"write", "close"},
    "stats-and-screenshot": {"open", "write", "rename", "close"},
}

LACKING: Final = {  # what a host may lack: then the row is a skip, but for CI
    "net-user": None if shutil.which("passt") else "passt is not installed",
    "net-tap": None if Path("/dev/net/tun").exists() else "there is no /dev/net/tun",
}


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return harness.build(tmp_path_factory.mktemp("interposer"))


@pytest.mark.parametrize("backend", BACKENDS)
def test_every_host_call_fails_once_at_every_point(backend: str, library: Path) -> None:
    lacking = LACKING.get(backend)
    if lacking and not os.environ.get("CI"):
        pytest.skip(lacking)
    tried = harness.inject(backend, library)
    assert set(tried) >= MADE.get(backend, set())
    print(backend, dict(tried))


CARELESS: Final = """
import os, sys, time
from tests.host.fault.harness import child
from hyperport.errors import HostError
KEPT = []
class Careless:
    def prepare(self, folder):
        self.path = folder / "file"
        self.path.write_bytes(b"content")
    def fails(self):
        try:
            os.close(os.open(self.path, os.O_RDONLY))
        except OSError:
            return True
        return False
    def act(self):
        {body}
    def check(self, error):
        pass
sys.exit(child(Careless))
"""


@pytest.mark.parametrize(
    ("body", "found"),
    [
        ("self.path.read_bytes()", "OSError"),
        ("KEPT.append(os.open('/dev/null', 0) if self.fails() else 0)", "1 descriptors are still open"),
        ("os.abort() if self.fails() else None", "status -6"),
        ("time.sleep(60) if self.fails() else None", "hung for 2 s at open 1 EIO"),
        ("if self.fails(): raise HostError('two\\nlines')", "an error is one line"),
        ("if not self.fails(): raise HostError('of itself')", "of itself"),
    ],
)
def test_what_is_not_borne_is_found(body: str, found: str, tmp_path: Path, library: Path) -> None:
    """The harness itself: a traceback, a leak, a crash and a hang are each told with their point."""
    script = tmp_path / "careless.py"
    script.write_text(CARELESS.format(body=body))
    with pytest.raises(harness.FaultError, match=re.escape(found)):
        harness.inject("careless", library, [sys.executable, str(script)], patience=2)
