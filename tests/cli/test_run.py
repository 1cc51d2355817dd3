# SPDX-License-Identifier: GPL-2.0-or-later
from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from hyperport.guests.registry import Need
from hyperport.outcome import STATUS_HALTED, STATUS_TIMEOUT

from ..conftest import run_command
from . import fake_machine
from .conftest import Cli
from .fake_machine import Machine

KERNEL = ("run", "--kernel", "/bzImage", "--serial", "null")


def test_status_and_streams_of_a_guest_that_exits(cli: Cli) -> None:
    status, out, err = cli("run", "-k", "/bzImage", "--append", "exit=3", "--serial", "stdio")
    assert (status, out) == (7, "hello\r\n")
    assert err == "hyperport: the guest exited with value 3 (status 7)\n"


def test_clean_end_is_status_zero(cli: Cli) -> None:
    assert cli(*KERNEL, "--append", "ports") == (0, "", "hyperport: the guest switched the machine off\n")


def test_triple_fault_shows_the_registers(cli: Cli) -> None:
    status, out, err = cli(*KERNEL, "--append", "fault")
    assert (status, out) == (80, "")
    assert err.startswith("hyperport: triple fault at 0000:00007c00 (status 80)\n")
    assert "eip 00007c00" in err


def test_timeout(cli: Cli) -> None:
    status, _, err = cli(*KERNEL, "--append", "echo", "--timeout", "0.05")
    assert status == 124
    assert "stopped after 0.05 s" in err


def test_exception_of_a_device_comes_out_with_its_traceback(cli: Cli) -> None:
    status, _, err = cli(*KERNEL, "--append", "raise")
    assert status == 70
    assert err.startswith("Traceback")
    assert err.endswith("ZeroDivisionError: a device in Python went wrong\n")


def test_machine_that_cannot_be_built_is_one_line(cli: Cli) -> None:
    assert cli(*KERNEL, "--append", "refuse") == (78, "", "hyperport: this machine cannot be built\n")


def test_options_reach_the_machine(cli: Cli) -> None:
    loading = ("-i", "/initrd", "-m", "1G", "--append", "exit=0", "--flat", "0x7c00,real", "--module", "/mod,arg 1")
    devices = ("--device", "a.py:A,base=0x300", "--device", "b.py:B,base=0x310,irq=5,n=1")
    cli(*KERNEL, *loading, *devices, "--engine", "unicorn")
    config = Machine.built[-1].config
    assert (config.kernel, config.initrd, config.memory) == (Path("/bzImage"), Path("/initrd"), 1 << 30)
    assert (config.engine, config.flat, config.modules) == ("unicorn", (0x7C00, "real"), ((Path("/mod"), "arg 1"),))
    assert [(device.class_name, device.irq, device.options) for device in config.devices] == [
        ("A", None, {}),
        ("B", 5, {"n": "1"}),
    ]


def test_known_guest_brings_its_own_settings_and_options_are_stronger(cli: Cli) -> None:
    assert cli("run", "tiny", "--serial", "null")[0] == 1
    config = Machine.built[-1].config
    assert (config.kernel, config.memory, config.append) == (Path("/vmlinuz"), 8 << 20, "exit=0")
    assert cli("run", "tiny", "--serial", "null", "--append", "exit=1", "-m", "64")[0] == 3
    assert Machine.built[-1].config.memory == 64 << 20


def test_a_guest_that_drives_the_test_device_has_it_unless_the_user_says_otherwise(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(fake_machine.GUESTS["tiny"], "testdev", True)
    cli("run", "tiny", "--serial", "null")
    assert Machine.built[-1].config.testdev
    cli("run", "--kernel", "/vmlinuz", "--append", "exit=0", "--serial", "null")
    assert not Machine.built[-1].config.testdev
    file = tmp_path / "machine.toml"
    file.write_text('guest = "tiny"\ntestdev = false\n')
    cli("run", "--config", str(file), "--serial", "null")
    assert not Machine.built[-1].config.testdev


def test_what_a_guest_needs_is_said_in_one_line_if_it_is_not_there(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    disk = tmp_path / "disk.img"
    disk.write_bytes(bytes(512))
    monkeypatch.setattr(fake_machine.GUESTS["tiny"], "need", Need("disks", "--disk FILE", "it reads a disk"))
    line = "hyperport: guest tiny: it reads a disk: add --disk FILE\n"
    assert cli("run", "tiny", "--serial", "null")[2].count(line) == 1
    assert line not in cli("run", "tiny", "--serial", "null", "--disk", str(disk))[2]


def test_machine_file_is_weaker_than_the_command_line_and_devices_add_up(cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "machine.toml"
    file.write_text(
        'kernel = "bzImage"\nappend = "exit=2"\nmemory = "16M"\nserial = "file:log"\ndevices = ["a.py:A,base=0x300"]\n'
    )
    status, out, _ = cli("run", "--config", str(file), "-m", "32", "--device", "b.py:B,base=0x310")
    config = Machine.built[-1].config
    assert (status, out) == (5, "")
    assert (config.kernel, config.memory) == (tmp_path / "bzImage", 32 << 20)
    assert [device.path for device in config.devices] == [tmp_path / "a.py", Path("b.py")]
    assert (tmp_path / "log").read_bytes() == b"hello\r\n"


def test_kernel_of_the_command_line_replaces_the_guest_of_the_machine_file(cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "machine.toml"
    file.write_text('guest = "far"\nserial = "null"\nappend = "exit=0"\n')
    assert cli("run", "--config", str(file), "-k", "/other")[0] == 1
    assert Machine.built[-1].config.kernel == Path("/other")
    assert cli("run", "--config", str(file))[0] == 68


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (("run",), 2, "nothing to run"),
        (("run", "tiny", "-k", "x"), 2, "give one of the two"),
        (("run", "tiny", "tiny"), 2, "Unused"),
        (("run", "--nix"), 2, "Unknown option"),
        (("run", "tiny", "--timeout", "soon"), 2, "--timeout"),
        (("run", "tiny", "-m", "12Q"), 2, "size '12Q'"),
        (("run", "tiny", "--serial", "tty"), 2, "serial line 'tty'"),
        (("run", "tiny", "--device", "x"), 2, "device 'x'"),
        (("run", "tiny", "--echr", "ab"), 2, "escape key"),
        (("run", "nobody"), 78, "not known"),
        (("run", "far"), 68, "hyperport fetch far"),
        (("run", "tiny", "--stats", "/nowhere/at/all.json"), 78, "cannot be written"),
        (("run", "tiny", "--serial", "null", "--trace-ports=/nowhere/t"), 78, "port trace"),
        (("run", "tiny", "--config", "/nowhere.toml"), 78, "machine file /nowhere.toml"),
        (("nix",), 2, "nix"),
    ],
)
def test_errors_are_one_line(cli: Cli, arguments: tuple[str, ...], status: int, words: str) -> None:
    got, out, err = cli(*arguments)
    assert (got, out) == (status, "")
    assert re.fullmatch(r"hyperport: [^\n]+\n", err)
    assert words in err


def test_report_and_trace_go_to_stderr(cli: Cli) -> None:
    status, out, err = cli(*KERNEL, "--append", "ports", "--report", "--trace-ports")
    assert (status, out) == (0, "")
    trace, _, table = err.partition("hyperport: the guest switched the machine off\n")
    assert trace == "out 0300 1 41\n" + 3 * "in  03fd 1 ff\n" + "out 0300 1 61\nout 0300 1 62\n"
    assert [line.split()[:1] + line.split()[-2:] for line in table.splitlines()] == [
        ["port", "accesses", "crossings"],
        ["0300", "3", "2"],
        ["03fd", "3", "3"],
        ["all", "6", "5"],
    ]


def test_trace_into_a_file(cli: Cli, tmp_path: Path) -> None:
    cli(*KERNEL, "--append", "ports", f"--trace-ports={tmp_path}/trace")
    assert (tmp_path / "trace").read_text().startswith("out 0300 1 41\nin  03fd 1 ff\n")


def test_stats_is_one_json_object(cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "stats.json"
    assert cli(*KERNEL, "--append", "ports", "--stats", str(file))[0] == 0
    stats = json.loads(file.read_text())
    assert {"outcome", "wall_s", "cpu_s", "engine", "io", "exceptions", "irqs", "hlts", "ports"} <= set(stats)
    assert stats["outcome"] == "power-off"
    assert stats["ports"][0] == {
        "port": 0x300,
        "size": 1,
        "direction": "out",
        "path": "exit",
        "device": "scratch",
        "accesses": 3,
        "crossings": 2,
    }
    assert [path.name for path in tmp_path.iterdir()] == ["stats.json"]


def test_debugcon_on_stdio_shares_stdout_but_not_stdin(cli: Cli) -> None:
    assert cli("run", "tiny", "--debugcon", "stdio")[0:2] == (1, "hello\r\n")


def test_a_picture_of_the_screen_is_written_at_the_end(tmp_path: Path) -> None:
    picture = tmp_path / "end.png"
    done = run_command("demo", "--screenshot", str(picture), "--serial", "null")
    assert done.returncode == 1
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_the_text_of_the_screen_is_written_at_the_end_and_after_a_timeout(tmp_path: Path) -> None:
    image, text = tmp_path / "guest.bin", tmp_path / "screen.txt"
    write = bytes.fromhex("c705 a0800b00 4f074b07")  # movl $"OK", 0xb80a0: the second line
    arguments = ("-k", str(image), "--flat", "0x10000,protected", "--screen-text", str(text))
    image.write_bytes(write + b"\xfa\xf4")
    assert run_command(*arguments).returncode == STATUS_HALTED
    assert text.read_text() == "\nOK\n" + 23 * "\n"
    text.unlink()
    image.write_bytes(write + b"\xeb\xfe")
    assert run_command(*arguments, "--timeout", "1").returncode == STATUS_TIMEOUT
    assert text.read_text().split() == ["OK"]


def test_a_picture_that_cannot_be_written_is_refused_at_once(cli: Cli, tmp_path: Path) -> None:
    status, _, err = cli(*KERNEL, "--append", "ports", "--screenshot", str(tmp_path / "none" / "end.png"))
    assert (status, err.count("\n")) == (78, 1)
    assert "screenshot: " in err
