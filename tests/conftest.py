# SPDX-License-Identifier: GPL-2.0-or-later
"""Running guests in tests: the built-in ones, and a few bytes of machine code."""

from __future__ import annotations

import contextlib
import faulthandler
import os
import signal
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any, Final, NoReturn

import pytest
from hypothesis import settings

from hyperport import EngineError, Machine, MemoryBackend, Outcome
from hyperport.engines.kvm import host
from hyperport.guests.registry import locate

ROOT: Final = Path(__file__).parents[1]
LIMIT_S: Final = 120  # hung, not slow
GRACE_S: Final = 30  # after the limit of pytest-timeout
MIB: Final = 1 << 20
FNV_OFFSET: Final = 2166136261  # FNV-1a, 32 bits
FNV_PRIME: Final = 16777619

terminal_key: Final = pytest.StashKey[int]()

# hypothesis' deadline is a wall-clock time, which a loaded host does not keep.
settings.register_profile("hyperport", deadline=None)
settings.load_profile("hyperport")

# A background job of a script is started with these ignored, and so would be every process that a test starts.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGQUIT, signal.SIG_DFL)
signal.signal(signal.SIGHUP, signal.SIG_DFL)


def pytest_addoption(parser: pytest.Parser) -> None:
    with contextlib.suppress(ValueError):  # somebody has it already
        parser.addoption("--require-kvm", action="store_true", help="fail where KVM is missing, instead of skipping")


def pytest_configure(config: pytest.Config) -> None:
    config.stash[terminal_key] = os.dup(2)  # pytest captures it later


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Ends the whole run, with the stacks of all threads, where pytest-timeout cannot fail one test.

    Its signal waits for Python: the main thread may be inside a guest or a loop of C and never come back.
    """
    marker = item.get_closest_marker("timeout")
    limit = float(marker.args[0] if marker else item.config.getoption("timeout") or item.config.getini("timeout"))
    if limit:
        faulthandler.dump_traceback_later(limit + GRACE_S, exit=True, file=item.config.stash[terminal_key])
    try:
        return (yield)
    finally:
        faulthandler.cancel_dump_traceback_later()


def lacking(config: pytest.Config, what: str) -> NoReturn:
    """Skip, or with --require-kvm fail: this host's KVM cannot do it."""
    if config.getoption("--require-kvm"):
        pytest.fail(f"--require-kvm: {what}", pytrace=False)
    pytest.skip(what)


@pytest.fixture
def kvm(request: pytest.FixtureRequest) -> host.Host:
    """What the host's KVM is worth; without it the test is skipped."""
    try:
        return host.examine()
    except EngineError as error:
        lacking(request.config, str(error))


@pytest.fixture
def hardware_kvm(request: pytest.FixtureRequest, kvm: host.Host) -> host.Host:
    """A KVM that runs 32-bit kernels."""
    if not kvm.hardware:
        lacking(request.config, f"/dev/kvm is {kvm}; 32-bit kernels need hardware")
    return kvm


def run_guest(name: str, append: str = "", *, timeout: float = LIMIT_S, **machine: Any) -> tuple[Outcome, str]:
    """Run a built-in guest; its outcome and what it wrote on COM1, with plain newlines."""
    console = MemoryBackend()
    with built_in(name, append, serial=console, **machine) as built:
        outcome = built.run(timeout=timeout)
    return outcome, console.output().decode().replace("\r\n", "\n")


def built_in(name: str, append: str = "", **machine: Any) -> Machine:
    """A machine with a built-in guest loaded, on Unicorn unless another engine is named."""
    guest = locate(name)
    options: dict[str, Any] = {"kernel": guest.kernel, "memory": guest.memory, "engine": "unicorn", **machine}
    return Machine(append=append, **options)


def machine_code(listing: str) -> bytes:
    """The bytes of a listing: hexadecimal on the left, assembly after a semicolon."""
    return b"".join(bytes.fromhex(line.partition(";")[0]) for line in listing.splitlines())


def flat_guest(directory: Path, listing: str, **machine: Any) -> Machine:
    """A machine that runs a listing at 0x10000 in 32-bit protected mode, without interrupts."""
    image = directory / "guest.bin"
    image.write_bytes(machine_code(listing))
    options: dict[str, Any] = {"memory": 2 * MIB, "engine": "unicorn", **machine}
    return Machine(kernel=image, flat=(0x10000, "protected"), **options)


def command(*arguments: str) -> list[str]:
    """A command line of hyperport run, with this interpreter; on Unicorn unless another engine is named."""
    engine = () if "--engine" in arguments else ("--engine", "unicorn")
    return [sys.executable, "-m", "hyperport", "run", *engine, *arguments]


def run_command(*arguments: str, limit: float = LIMIT_S) -> subprocess.CompletedProcess[str]:
    """Run `hyperport run` as a process of its own, without a terminal."""
    return subprocess.run(
        command(*arguments),
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=limit,
        check=False,
    )


def fnv1a(data: bytes) -> int:
    """The 32-bit FNV-1a checksum, as guest/programs/echo.c counts it."""
    checksum = FNV_OFFSET
    for byte in data:
        checksum = (checksum ^ byte) * FNV_PRIME & 0xFFFFFFFF
    return checksum
