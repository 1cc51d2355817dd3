# SPDX-License-Identifier: GPL-2.0-or-later
"""What is said of a host's KVM, and what --engine auto makes of it. No /dev/kvm is needed."""

from __future__ import annotations

import errno
import fcntl
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest

from hyperport import ConfigError, EngineError, Machine
from hyperport.engines import automatic, resolve
from hyperport.engines.kvm import api, host
from hyperport.engines.kvm.host import Host
from hyperport.time.insn_clock import InsnClock

REAL = Host(instruction_ns=0.4, exit_ns=1300.0, paging=True, interrupt_return=True)
SOFTWARE = Host(instruction_ns=400.0, exit_ns=9000.0, paging=False, interrupt_return=False)


@pytest.fixture(autouse=True)
def own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    host.examine.cache_clear()
    yield tmp_path / "hyperport" / "kvm.txt"
    host.examine.cache_clear()


def answering(monkeypatch: pytest.MonkeyPatch, found: Host | EngineError) -> list[int]:
    """Let the measurement give this; the list grows by one each time."""
    calls: list[int] = []

    def measured() -> Host:
        calls.append(1)
        if isinstance(found, EngineError):
            raise found
        return found

    monkeypatch.setattr(api, "open_device", lambda: os.open(os.devnull, os.O_RDONLY))
    monkeypatch.setattr(host, "measure_in_child", measured)
    return calls


@pytest.mark.parametrize(
    ("found", "hardware"),
    [
        (REAL, True),
        (SOFTWARE, False),
        (Host(0.4, 1300.0, paging=False, interrupt_return=True), False),
        (Host(0.4, 1300.0, paging=True, interrupt_return=False), False),
        (Host(25.0, 1300.0, paging=True, interrupt_return=True), False),
    ],
)
def test_what_counts_as_hardware(found: Host, hardware: bool) -> None:
    assert found.hardware is hardware


def test_words() -> None:
    assert str(REAL) == "hardware: 0.4 ns an instruction, 1.3 us an exit"
    assert str(SOFTWARE) == "a software emulation: 400 ns an instruction, 9 us an exit"


@pytest.mark.parametrize(("found", "engine"), [(REAL, "kvm"), (SOFTWARE, "unicorn")])
def test_auto_takes_hardware_only(monkeypatch: pytest.MonkeyPatch, found: Host, engine: str) -> None:
    answering(monkeypatch, found)
    entry, reason = automatic()
    assert (entry.name, reason) == (engine, f"/dev/kvm is {found}")
    assert resolve("auto", "hypercall").name == engine


def test_auto_needs_the_path(monkeypatch: pytest.MonkeyPatch) -> None:
    answering(monkeypatch, REAL)
    entry, reason = automatic("trap")
    assert (entry.name, reason) == ("unicorn", "kvm has no path trap")
    with Machine(io="trap", memory=1 << 20) as machine:
        assert machine.engine.name == "unicorn"


def test_auto_needs_the_convention(monkeypatch: pytest.MonkeyPatch) -> None:
    answering(monkeypatch, REAL)
    assert resolve("auto", "hypercall", ("vmi",)).name == "kvm"
    entry, reason = automatic("hypercall", ("vmi", "lguest", "kvm"))
    assert (entry.name, reason) == ("unicorn", "kvm has no ABI kvm, lguest")


@pytest.mark.parametrize("clock", ["insns", InsnClock()])
def test_auto_needs_the_count_of_a_clock_of_instructions(monkeypatch: pytest.MonkeyPatch, clock: Any) -> None:
    answering(monkeypatch, REAL)
    entry, reason = automatic(counts=True)
    assert (entry.name, reason) == ("unicorn", "kvm counts no instructions")
    with Machine(clock=clock, memory=1 << 20) as machine:
        assert machine.engine.name == "unicorn"
    with pytest.raises(ConfigError, match=r"kvm") as caught:
        Machine(clock=clock, engine="kvm")
    assert "unicorn" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_auto_without_kvm_says_why(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(api, "DEVICE", tmp_path / "kvm")
    entry, reason = automatic()
    assert entry.name == "unicorn"
    assert reason == f"{tmp_path / 'kvm'} is not there: load the module kvm_intel or kvm_amd"


def test_the_measurement_is_kept_for_a_boot(monkeypatch: pytest.MonkeyPatch, own_cache: Path) -> None:
    calls = answering(monkeypatch, SOFTWARE)
    assert host.examine() == host.examine() == SOFTWARE
    host.examine.cache_clear()
    assert host.examine() == SOFTWARE
    assert len(calls) == 1
    monkeypatch.setattr(host, "cache_key", lambda: ["another boot"])
    host.examine.cache_clear()
    assert host.examine() == SOFTWARE
    assert len(calls) == 2
    own_cache.write_bytes(b'{"key": 1}')
    host.examine.cache_clear()
    assert host.examine() == SOFTWARE
    assert len(calls) == 3


def test_a_failure_is_not_kept(monkeypatch: pytest.MonkeyPatch, own_cache: Path) -> None:
    calls = answering(monkeypatch, EngineError("kvm: it hangs; use --engine unicorn"))
    for _ in range(2):
        with pytest.raises(EngineError, match="it hangs"):
            host.examine()
    assert len(calls) == 2
    assert not own_cache.exists()
    assert automatic()[1] == "it hangs"


def test_a_cache_that_cannot_be_written_is_no_error(monkeypatch: pytest.MonkeyPatch, own_cache: Path) -> None:
    own_cache.parent.write_text("no directory")
    answering(monkeypatch, REAL)
    assert host.examine() == REAL


def test_a_child_that_hangs_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "LIMIT_S", 0.2)
    monkeypatch.setattr(subprocess, "run", _with_command(subprocess.run, ["/bin/sleep", "30"]))
    with pytest.raises(EngineError, match=r"hangs it for 0[.]2 s; use --engine unicorn"):
        host.measure_in_child()


def test_a_child_that_fails_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    command = ["/bin/sh", "-c", "echo first >&2; echo no luck >&2; exit 1"]
    monkeypatch.setattr(subprocess, "run", _with_command(subprocess.run, command))
    with pytest.raises(EngineError, match="a first guest fails: no luck; use --engine unicorn"):
        host.measure_in_child()


def _with_command(run: Any, command: list[str]) -> Any:
    return lambda _, **options: run(command, **options)


@pytest.mark.parametrize(
    ("trouble", "words"),
    [
        (errno.ENOENT, "is not there: load the module kvm_intel or kvm_amd, or use --engine unicorn"),
        (errno.EACCES, "is not for this user: join the group that owns it, or use --engine unicorn"),
        (errno.EMFILE, "cannot be opened: Too many open files; use --engine unicorn"),
    ],
)
def test_a_device_that_cannot_be_opened_is_one_line(monkeypatch: pytest.MonkeyPatch, trouble: int, words: str) -> None:
    def refuse(*_: object) -> NoReturn:
        raise OSError(trouble, os.strerror(trouble))

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(EngineError, match=words) as caught:
        api.open_device()
    assert "\n" not in str(caught.value)


def test_a_device_that_is_no_kvm_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "DEVICE", Path("/dev/null"))
    with pytest.raises(EngineError, match=r"/dev/null does not answer as KVM: .*; use --engine unicorn"):
        api.open_device()


def test_a_busy_device_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def busy(_: int, request: int, __: object) -> int:
        if request == api.CREATE_VM:
            raise OSError(errno.EBUSY, "busy")
        return 1

    monkeypatch.setattr(api, "open_device", lambda: os.open(os.devnull, os.O_RDONLY))
    monkeypatch.setattr(fcntl, "ioctl", busy)
    with pytest.raises(EngineError, match="is busy: another hypervisor has the CPU; stop it, or use --engine unicorn"):
        api.VirtualMachine()


def test_doctor_tells_what_it_can(monkeypatch: pytest.MonkeyPatch) -> None:
    answering(monkeypatch, SOFTWARE)
    checks = {check.name: check for check in host.checks()}
    assert {name: check.ok for name, check in checks.items()} == {
        "device": True,
        "processor": False,
        "paging": False,
        "interrupt return": False,
    }
    assert "software emulation" in checks["processor"].detail


def test_a_command_says_once_which_engine_it_took(own_cache: Path) -> None:
    from ..conftest import run_command

    done = run_command("--engine", "auto", "outcome", "--append", "exit 3", "--timeout", "30")
    assert done.returncode == 7
    assert len([line for line in done.stderr.splitlines() if line.startswith("hyperport: engine ")]) == 1
    named = run_command("outcome", "--append", "exit 3", "--engine", "unicorn", "--timeout", "30")
    assert "hyperport: engine " not in named.stderr
