# SPDX-License-Identifier: GPL-2.0-or-later
"""Debian's ne.ko on the NE2000: to the host through passt, and between two machines."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import http.server
import re
import shutil
import struct
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from .conftest import missing, trouble
from .scripted import LIMIT_S, environment, run_script, scripted

pytestmark = pytest.mark.real

SIZE: Final = 16 << 20
PING_GROUPS: Final = Path("/proc/sys/net/ipv4/ping_group_range")
NOBODY: Final = 65534
WORDS: Final = "hp.modules=net"

LEASE: Final = """\
ifconfig eth0 up
udhcpc -q -n -i eth0
gateway=$(ip route | sed -n 's/default via \\([0-9.]*\\).*/\\1/p')
"""


def require_passt() -> None:
    if shutil.which("passt") is None:
        missing("passt is not installed: apt-get install passt")


def numbers(size: int) -> bytes:
    """What `seq 9999999 | head -c SIZE` prints."""
    return "".join(f"{number}\n" for number in range(1, size // 6)).encode()[:size]


def md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


@contextlib.contextmanager
def served(folder: Path) -> Iterator[int]:
    """A web server on the loopback interface with the files of folder; its port."""
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize("how", ["", ",paced=no"], ids=["paced", "ethernet"])
def test_dhcp_and_tcp_through_passt(tmp_path: Path, how: str) -> None:
    """Unpaced, the cable has 10 Mbit/s, which ne.ko keeps up with: 16 MiB arrive whole, with errors none."""
    require_passt()
    pcap, files = tmp_path / "net.pcap", tmp_path / "files"
    data = numbers(SIZE)
    files.mkdir()
    (files / "data").write_bytes(data)
    with served(files) as port:
        script = f"{LEASE}wget -q -O - http://$gateway:{port}/data | md5sum; ifconfig eth0 | grep packets\n"
        told = run_script(tmp_path, script, "--net", f"user,pcap={pcap}{how}", words=WORDS)
    assert "lease of" in told
    assert md5(data) in told, told
    assert re.search(r"RX packets:\d+ errors:0 ", told), told
    recorded = pcap.read_bytes()
    assert struct.unpack_from("<I", recorded)[0] == 0xA1B23C4D
    assert len(recorded) > SIZE


def test_ping_through_passt(tmp_path: Path) -> None:
    require_passt()
    first, last = map(int, PING_GROUPS.read_text().split())
    if not first <= NOBODY <= last:
        missing(f"{PING_GROUPS} does not let passt send an echo request: write 0 2147483647 into it")
    told = run_script(tmp_path, f"{LEASE}ping -c 3 -W 5 $gateway\n", "--net", "user", words=WORDS)
    assert "3 packets transmitted, 3 packets received" in told, told


@pytest.mark.parametrize(("how", "size"), [("", SIZE), (",paced=no", SIZE)], ids=["paced", "ethernet"])
def test_tcp_between_two_machines(tmp_path: Path, how: str, size: int) -> None:
    """Unpaced, frames come with 10 Mbit/s, and one that finds no room is lost: TCP does the rest."""
    left, right = tmp_path / "left", tmp_path / "right"
    for folder in (left, right):
        folder.mkdir()
    serve = (
        "ifconfig eth0 10.0.0.1 up; mkdir /tmp/files\n"
        f"seq 9999999 | head -c {size} >/tmp/files/data\n"
        "md5sum </tmp/files/data; httpd -p 80 -h /tmp/files\n"
        "nc -l -p 5000 </dev/null\n"
    )
    fetch = (
        "ifconfig eth0 10.0.0.2 up\n"
        "until wget -q -O /tmp/got http://10.0.0.1/data; do sleep 1; done\n"
        "md5sum </tmp/got; ifconfig eth0 | grep packets\n"
        "ping -c 3 -W 5 10.0.0.1\n"
        "echo done | nc 10.0.0.1 5000\n"
    )
    path = tmp_path / "cable"
    listener = start(scripted(left, serve, "--net", f"listen={path}{how}", words=WORDS))
    wait_for(path, listener)
    connecter = start(scripted(right, fetch, "--net", f"socket={path}{how}", words=WORDS))
    with listener, connecter:
        try:
            told, errors = connecter.communicate(timeout=LIMIT_S)
            said, _ = listener.communicate(timeout=LIMIT_S)
        finally:
            for process in (listener, connecter):
                process.kill()
    assert connecter.returncode == 0, errors
    assert "3 packets transmitted, 3 packets received" in told, told[-2000:]
    wanted = md5(numbers(size))
    assert wanted in said, said[-2000:]
    assert wanted in told, told[-2000:]
    assert [line for line in trouble(told) + trouble(said) if "NETDEV WATCHDOG" not in line] == []


def start(line: list[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        line,
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
    )


def wait_for(path: Path, process: subprocess.Popen[str]) -> None:
    """Until the listening machine has made its socket."""
    while not path.exists():
        if process.poll() is not None:
            pytest.fail(f"the listening machine has ended: {process.communicate()[1]}")
        threading.Event().wait(0.05)


def test_the_driver_is_loaded_on_demand(tmp_path: Path) -> None:
    script = "echo before: $(ls /sys/class/net); load net; echo after: $(ls /sys/class/net)\n"
    told = run_script(tmp_path, script, "--net", "none", words="")
    assert "before: lo\n" in told
    assert "after: eth0 lo\n" in told
