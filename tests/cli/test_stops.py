# SPDX-License-Identifier: GPL-2.0-or-later
"""Whatever holds the machine, the command ends when it is told to, with the status that it would have had.

Each case would hang for ever without the watchdog (src/hyperport/host/watchdog.py).
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Final

import pytest

from hyperport import Device, Machine, StopKind, Timeout

from ..conftest import MIB

HANGS_S: Final = 60  # a case that takes that long does hang
ENTRY: Final = "0x7c00,real"
READS_PORT: Final = bytes.fromhex("ba0003 ec ebfe")  # mov $0x300, %dx; in (%dx), %al; jmp .
SPINS: Final = bytes.fromhex("ebfe")
READS_DISK: Final = bytes.fromhex(
    "baf601 b0e0 ee  baf201 b001 ee  baf301 b005 ee  baf701 b020 ee  ebfe"
)  # READ SECTORS of the fifth

DEVICES: Final = """
import re, time
READY = "/proc/self/cwd/ready"
class Loop:
    def read(self, offset, size):
        open(READY, "w").close()
        while True:
            pass
    write = None
    def write(self, offset, size, value): pass
class Stubborn(Loop):
    def read(self, offset, size):
        open(READY, "w").close()
        while True:
            try:
                while True: pass
            except BaseException:
                pass
class Sleep(Loop):
    def read(self, offset, size):
        open(READY, "w").close()
        time.sleep(10000)
class Held(Loop):
    def read(self, offset, size):
        open(READY, "w").close()
        re.match("(a+)+$", "a" * 64 + "b")  # holds the interpreter's lock
"""

HUNG_READ: Final = """
#define _GNU_SOURCE
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>
ssize_t pread64(int fd, void *to, size_t size, off64_t at);
ssize_t pread64(int fd, void *to, size_t size, off64_t at)
{
    if (at != 5 * 512)
        return syscall(SYS_pread64, fd, to, size, at);
    close(creat("ready", 0600));
    for (;;)
        pause();
}
ssize_t pread(int fd, void *to, size_t size, off_t at);
ssize_t pread(int fd, void *to, size_t size, off_t at) { return pread64(fd, to, size, at); }
"""


INTERRUPTED: Final = """
import os, signal, sys, threading, time
sys.argv[:] = ["hyperport", "run", "-k", "guest.bin", "--flat", "0x7c00,real", "--serial", "null", "-q"]
import hyperport.cli.main
threading.Thread(target=lambda: (time.sleep({delay}), os.kill(os.getpid(), signal.SIGINT))).start()
sys.exit(hyperport.cli.main.main())
"""


def start(
    folder: Path, code: bytes, *options: str, stdout: int = subprocess.DEVNULL, **more: str
) -> subprocess.Popen[bytes]:
    (folder / "devices.py").write_text(DEVICES)
    (folder / "guest.bin").write_bytes(code)
    return subprocess.Popen(
        [sys.executable, "-m", "hyperport", "run", "-q", "-k", "guest.bin", "--flat", ENTRY, *options],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=subprocess.PIPE,
        env=os.environ | more,
    )


def ended(running: subprocess.Popen[bytes]) -> tuple[int, str]:
    try:
        _, errors = running.communicate(timeout=HANGS_S)
    finally:
        running.kill()
    return running.returncode, errors.decode()


def ready(folder: Path, running: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + HANGS_S
    while not (folder / "ready").exists():
        assert running.poll() is None
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.parametrize("kind", ["Loop", "Stubborn", "Sleep", "Held"])
def test_device_that_never_returns(kind: str, tmp_path: Path) -> None:
    device = ("--device", f"devices.py:{kind},base=0x300")
    status, errors = ended(start(tmp_path, READS_PORT, *device, "--timeout", "1"))
    assert (status, len(errors.splitlines())) == (124, 1), errors


@pytest.mark.parametrize("kind", ["Loop", "Sleep", "Held"])
@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_device_that_never_returns_and_a_signal(kind: str, signum: signal.Signals, tmp_path: Path) -> None:
    running = start(tmp_path, READS_PORT, "--device", f"devices.py:{kind},base=0x300")
    ready(tmp_path, running)
    running.send_signal(signum)
    status, errors = ended(running)
    assert (status, len(errors.splitlines())) == (128 + signum, 1), errors


@pytest.mark.parametrize("how", ["timeout", "signal"])
def test_disk_whose_file_hangs(how: str, tmp_path: Path) -> None:
    source = tmp_path / "hung.c"
    source.write_text(HUNG_READ)
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", str(tmp_path / "hung.so"), str(source)], check=True)
    (tmp_path / "disk").write_bytes(bytes(1 << 20))
    limit = ("--timeout", "1") if how == "timeout" else ()
    running = start(tmp_path, READS_DISK, "--disk", "disk", *limit, LD_PRELOAD=str(tmp_path / "hung.so"))
    if how == "signal":
        ready(tmp_path, running)
        running.send_signal(signal.SIGTERM)
    status, errors = ended(running)
    assert status == {"timeout": 124, "signal": 143}[how], errors
    assert "does not stop" in errors


def test_file_that_is_a_fifo_without_a_writer(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    status, errors = ended(start(tmp_path, SPINS, "--config", "fifo", "--timeout", "1"))
    assert (status, len(errors.splitlines())) == (124, 1), errors


def test_reader_that_does_not_read(tmp_path: Path) -> None:
    floods = bytes.fromhex("bae900 b041 ee ebfd")  # to the debug console, for ever
    reader, writer = os.pipe()
    try:
        status, errors = ended(start(tmp_path, floods, "--debugcon", "stdio", "--timeout", "1", stdout=writer))
    finally:
        os.close(writer)
        os.close(reader)
    assert status == 124, errors


@pytest.mark.parametrize("delay", [0.02, 0.05, 0.1, 0.15, 0.2, 0.3])
def test_interrupt_while_importing_is_quiet(delay: float, tmp_path: Path) -> None:
    """Whenever it comes after the interpreter has begun with our code; before that it is the interpreter's matter."""
    script = INTERRUPTED.format(delay=delay)
    (tmp_path / "guest.bin").write_bytes(SPINS)
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=HANGS_S, check=False
    )
    assert done.returncode in (130, -signal.SIGINT), done.stderr
    assert "Traceback" not in done.stderr


class Loops(Device):
    def read(self, offset: int, size: int) -> int:
        while True:
            pass


def machine_that_reads(device: Device, folder: Path) -> Machine:
    (folder / "guest.bin").write_bytes(READS_PORT)
    machine = Machine(memory=MIB, engine="unicorn", kernel=folder / "guest.bin", flat=(0x7C00, "real"))
    machine.attach(device, 0x300)
    return machine


def test_run_comes_back_from_byte_code_that_loops(tmp_path: Path) -> None:
    with machine_that_reads(Loops(), tmp_path) as machine:
        assert machine.run(timeout=0.2) == Timeout(0.2)
        assert machine.run(timeout=0.2) == Timeout(0.2), "and the machine goes on: the guest spins now"


def test_run_comes_back_when_another_thread_asks(tmp_path: Path) -> None:
    with machine_that_reads(Loops(), tmp_path) as machine:
        timer = threading.Timer(0.3, machine.request_stop, (StopKind.QUIT,))
        timer.start()
        assert machine.run(timeout=HANGS_S).kind == "quit"
        timer.join()


def test_nothing_arrives_after_the_run(tmp_path: Path) -> None:
    """The exception for the device's code is taken back where it came too late."""
    with machine_that_reads(Device(), tmp_path) as machine:
        for _ in range(20):
            assert machine.run(timeout=0.01) == Timeout(0.01)
            for _ in range(1000):
                pass
